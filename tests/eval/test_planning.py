"""How many sentences a gate needs, held against corpora that are drawn and judged."""

from __future__ import annotations

import numpy as np
import pytest
from slimner.eval.intervals import change_interval
from slimner.eval.planning import MOST_SENTENCES, assumed, observed, plan, power


def pair(sentences: int, differ: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two scores on two entities a sentence, of which the two differ in so many sentences, evenly."""
    draw = np.random.default_rng(seed)
    one = np.full((sentences, 3), 2.0)
    two = one.copy()
    which = draw.random(sentences)
    two[which < differ / 2, 0] = 1
    one[which > 1 - differ / 2, 0] = 1
    return one, two


@pytest.mark.parametrize("differ", [0.0, 0.02, 0.2])
def test_corpora_of_the_planned_size_pass_as_often_as_planned(differ: float) -> None:
    differences = observed(*pair(20_000, differ, 1))
    needed = plan(differences, 1.0, "").sentences[0]
    assert needed is not None
    found = [change_interval(*pair(needed, differ, seed), seed=seed) for seed in range(100)]
    passes = sum(interval is not None and interval.low >= -1 for interval in found)
    assert passes >= 68  # 80 of 100 less three standard deviations
    assert power(differences, needed // 2, 1.0) < 0.8


def test_wider_margins_and_likelier_agreement_need_fewer_sentences() -> None:
    few, many = (observed(*pair(5000, differ, 1)) for differ in (0.01, 0.1))
    sizes = [plan(of, margin, "").sentences[0] for of, margin in ((few, 2.0), (few, 1.0), (many, 1.0), (many, 0.5))]
    assert sizes == sorted(set(sizes))


def test_what_no_corpus_can_show_is_said_so() -> None:
    found = plan(assumed(np.ones(100)), 0.001, "assumed")
    assert found.sentences == (None, None)
    assert "more than ten million sentences" in str(found)
    assert MOST_SENTENCES == 10_000_000
