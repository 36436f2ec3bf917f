"""What comparisons leave behind of how long a change lasts, and what the next ones make of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from slimner.bench.pairs import Pair
from slimner.core.lasting import lasting_of
from slimner.core.machine import describe
from slimner.core.records import MeasurementRecord
from slimner.jobs.lasting import KIND, known, remember
from slimner.jobs.shown import directory_of

from ..made import make


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMNER_CACHE", str(tmp_path / "cache"))


def pairs(factors: list[float]) -> list[Pair]:
    one = make({"lean": (380, 70, 4)}).measurements[0]

    def slower(factor: float) -> MeasurementRecord:
        return msgspec.structs.replace(one, samples_ms=tuple(ms * factor for ms in one.samples_ms))

    return [Pair(number=i + 1, baseline_first=True, baseline=one, candidate=slower(f)) for i, f in enumerate(factors)]


def test_a_machine_remembers_what_its_pairs_have_shown() -> None:
    here = pairs([1.0])[0].baseline.machine
    assert known(here) == {}
    in_runs = [1.1, 1.1, 1.1, 1.1, 0.9, 0.9, 0.9, 0.9] * 2
    remember(pairs(in_runs))
    assert known(here)["p50"].pairs == 16
    assert known(here)["p50"].correlation > 0.5
    remember(pairs([1.1, 0.9] * 8))
    assert known(here)["p50"].pairs == 32
    assert known(here)["p50"].correlation < 0.3
    assert known(msgspec.structs.replace(here, cpu="another")) == {}
    next(directory_of(KIND, here).glob("*.json")).write_text("{")
    assert known(here)["p50"].pairs == 16


def test_pairs_that_show_nothing_leave_nothing() -> None:
    remember([])
    remember(pairs([1.0, 1.1, 0.9]))
    assert not list(directory_of(KIND, describe()).glob("*.json"))
    assert lasting_of([1.0, 1.1, 0.9]).pairs == 0
