"""How often F1 is judged wrongly on little evidence: a small part of studies/f1.py, with a fixed seed."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from slimner.core.paired import proportion
from slimner.eval.intervals import change_interval, score_interval, typical_loss

STUDY = runpy.run_path(str(Path(__file__).parents[2] / "studies" / "f1.py"))
RUNS = 300


@pytest.mark.parametrize(
    ("plant", "rate", "loss", "sentences"),
    [
        ("missing", 1.0, 2.0, 1),
        ("missing", 0.3, 1.0, 20),
        ("wrong", 1.0, 1.0, 100),
        ("wrong", 3.0, 2.0, 50),
        ("silent", 1.0, 2.0, 200),
        ("churn", 1.0, 5.0, 100),
        ("missing", 0.3, 5.0, 500),
    ],
)
def test_a_loss_as_large_as_the_margin_rarely_passes(plant: str, rate: float, loss: float, sentences: int) -> None:
    cell = STUDY["Cell"](plant=plant, shape="poisson", rate=rate, loss=loss, sentences=sentences)
    found = STUDY["judge"](cell, RUNS)
    assert proportion(found.passes, RUNS)[0] <= 0.025
    assert found.passes / RUNS <= 0.04
    if sentences >= 50:
        assert found.covered >= 0.93 * found.judged


def test_a_few_short_silent_sentences_do_not_hide_that_long_ones_may_fall_silent() -> None:
    cell = STUDY["Cell"](plant="silent", shape="geometric", rate=3.0, loss=5.0, sentences=100)
    # in the long run 0.5 % pass, or 4 % if only the seen losses count
    assert STUDY["judge"](cell, RUNS).passes / RUNS <= 0.01


def test_a_typical_loss_is_a_moment_ratio_of_all_sentences_or_the_part_that_is_lost_at_once() -> None:
    one = np.array([[1.0, 1, 1], [2, 2, 2], [3, 3, 3]])
    gone = np.array([[0.0, 0, 1], [2, 2, 2], [3, 3, 3]])
    size = (1 + 8 + 27) / (1 + 4 + 9)
    assert typical_loss(one, gone, 0.5) == pytest.approx(1.5 * size)
    single = np.array([[1.0, 1, 1], [2, 2, 2], [2, 2, 3]])
    assert typical_loss(one, single, 0.5) == pytest.approx(1.5 * size / 3)
    assert typical_loss(one, one, 0.5) == 0


def alike(sentences: int, entities: int = 1) -> np.ndarray:
    return np.full((sentences, 3), float(entities))


def test_one_sentence_proves_nothing_and_identical_answers_only_what_their_number_allows() -> None:
    one = change_interval(alike(1), alike(1), seed=1)
    assert one is not None
    assert one.low < -50
    many = change_interval(alike(1000), alike(1000), seed=1)
    assert many is not None
    # of a sentence with one entity, up to 1 - 0.025 ** (1 / 1000) may differ, each at the price of one entity
    assert many.low == pytest.approx(-100 * (1 - 0.025 ** (1 / 1000)), rel=0.05)
    assert many.value == 0
    # what may be gained is one entity that was missing, which costs half of one with wrong ends
    assert many.high == pytest.approx(-many.low / 2, rel=0.05)


def test_for_a_share_of_sentences_the_interval_is_clopper_and_pearsons() -> None:
    table = np.array([[1.0, 1, 1]] * 190 + [[0.0, 1, 1]] * 10)
    found = score_interval(table, seed=1)
    low, high = proportion(190, 200)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.002)


def test_without_gold_entities_there_is_nothing_to_judge() -> None:
    table = np.array([[0.0, 1, 0]] * 20)
    assert change_interval(table, table, seed=1) is None
    assert score_interval(table, seed=1) is None
