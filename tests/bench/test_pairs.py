"""Pairs of fresh processes, their order, and when measuring them ends."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slimner.bench.pairs import Pair, Tally, measure_pairs, order
from slimner.core.errors import UserError
from slimner.core.journal import Journal
from slimner.core.metrics import METRICS
from slimner.core.records import Measuring

from ..made import block, measurement

SETTINGS = Measuring(threads=1, samples=20, warmup=2, timeout_s=120, seed=7)


@given(st.integers(0, 10_000), st.integers(1, 60))
def test_each_block_of_two_pairs_has_both_orders_and_a_seed_gives_the_same_again(seed: int, pairs: int) -> None:
    found = list(islice(order(seed), pairs))
    assert found == list(islice(order(seed), pairs))
    assert all(one != other for one, other in zip(found[::2], found[1::2], strict=False))


def test_seeds_start_blocks_with_either_side() -> None:
    assert {next(order(seed)) for seed in range(20)} == {True, False}


def test_pairs_are_measured_for_as_long_as_they_are_asked_for(artifacts: dict[str, Path], small_workload: Path) -> None:
    measured = measure_pairs(artifacts["onnx-fp32"], artifacts["onnx-int8"], str(small_workload), SETTINGS)
    pairs = list(islice(measured, 2))
    assert [pair.number for pair in pairs] == [1, 2]
    assert [pair.baseline_first for pair in pairs] == list(islice(order(SETTINGS.seed), 2))
    assert [pair.baseline.variant for pair in pairs] == ["onnx-fp32"] * 2
    assert [pair.candidate.variant for pair in pairs] == ["onnx-int8"] * 2
    assert all(pair.baseline.texts == pair.candidate.texts for pair in pairs)
    assert all(pair.baseline.concurrent is None for pair in pairs)


def kept(journal: Journal, disturbed: Sequence[bool]) -> None:
    """Pairs as an interrupted run leaves them."""
    for number, bad in enumerate(disturbed, 1):
        one, two = measurement("a", number, 10**8, 8.0), measurement("b", number, 10**8, 8.0)
        if bad:
            two = msgspec.structs.replace(two, blocks=(block(taints=("waited for a core",)),))
        journal.put(f"pair {number}", Pair(number=number, baseline_first=True, baseline=one, candidate=two))


def resumed(tmp_path: Path, disturbed: Sequence[bool], *, looks: tuple[int, ...], budget_s: float = 1e9) -> Tally:
    journal = Journal(tmp_path / "journal", "x")
    kept(journal, disturbed)
    nowhere = tmp_path / "nowhere"
    tally = Tally(looks, budget_s)
    for pair in measure_pairs(nowhere, nowhere, "none", SETTINGS, journal=journal):
        tally.take(pair)
        if tally.ended:
            break
    return tally


def test_an_interrupted_measurement_goes_on_with_its_pairs_and_disturbed_ones_count_for_memory_only(
    tmp_path: Path,
) -> None:
    tally = resumed(tmp_path, [False, True, False, False, True, False], looks=(2, 4))
    assert [pair.number for pair in tally.pairs] == [1, 2, 3, 4, 5, 6]
    assert tally.undisturbed == 4
    assert tally.looked == [2, 4]
    assert tally.ended == "4 pairs, the most that are looked at"
    sides = [pair.baseline for pair in tally.pairs], [pair.candidate for pair in tally.pairs]
    assert len(METRICS["memory"].pairs(*sides)[0]) == 6
    assert len(METRICS["p50"].pairs(*sides)[0]) == 4


def test_the_budget_ends_it_and_not_a_count_of_disturbed_pairs(tmp_path: Path) -> None:
    tally = Tally(looks=(2, 4), budget_s=3600)
    kept(Journal(tmp_path / "journal", "x"), [True] * 40)
    nowhere = tmp_path / "nowhere"
    measured = measure_pairs(nowhere, nowhere, "none", SETTINGS, journal=Journal(tmp_path / "journal", "x"))
    assert not any(tally.take(pair) for pair in islice(measured, 40))
    assert (tally.undisturbed, tally.ended) == (0, "")
    assert 0 <= tally.left_s <= 3600


def test_a_spent_budget_ends_it_with_what_there_is(tmp_path: Path) -> None:
    tally = resumed(tmp_path, [False, False, False], looks=(10,), budget_s=-1)
    assert [pair.number for pair in tally.pairs] == [1]
    assert tally.looked == [1]
    assert "budget" in tally.ended


def test_a_process_that_fails_ends_it_with_an_error(tmp_path: Path, small_workload: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="manifest"):
        next(measure_pairs(tmp_path / "empty", tmp_path / "empty", str(small_workload), SETTINGS))
