"""Intervals on F1 over sentences, of which a corpus is a sample: the Bayesian bootstrap with one sentence more.

A percentile bootstrap has no width when no sentence that is drawn differs, so it passes whatever it was not shown. Here
each sentence gets a random weight (D. Rubin, The Bayesian Bootstrap, Annals of Statistics 9, 1981), and one sentence
that was not seen, the worst for the end in question, is weighted with them (N. Gaffke, Three test statistics for a
nonparametric one-sided hypothesis on the mean of a nonnegative variable, Mathematical Methods of Statistics 14, 2005;
E. Learned-Miller and P. Thomas, A new confidence interval for the mean of a bounded random variable, arXiv:1905.06208).
For a share of sentences this is the exact interval of Clopper and Pearson: after n sentences without a difference, the
share of sentences that differ may still be 1 - 0.025 ** (1 / n), some 3.7 / n, at the end of a 95 % interval.

What the unseen sentence costs has to be assumed, as nothing in the data bounds it. At the lower end, which says how
much may be lost, it is one of the corpus's average size in which nothing is found any more, or a single entity with
wrong ends if that costs more. At the upper end, which says how much is lost at least, one entity is gained. It is more
where the differences that were seen suggest more. A few seen losses may all be small ones by chance, where whole
sentences are lost and sizes are skewed. How large an unseen one is then follows from the sizes of all sentences, not
from those few: the ratio of their third moment to the second, which corrects the interval for skewness (compare P.
Hall, On the removal of skewness by transformation, Journal of the Royal Statistical Society B 54, 1992), is taken over
all sentences. `studies/f1.py` counts false passes, false alarms and misses for losses by entity and by sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec
import numpy as np

from ..core.records import EvaluationRecord

LEVEL = 0.95

# Draws beyond each end of an interval, so that the ends of a wider one are known as well: 10,000 in all at 95 %.
DRAWS_BEYOND = 250
BLOCK = 500


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and its interval, at 95 % by default, in the figure's own unit."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the width of the interval, for a short ± notation."""
        return (self.high - self.low) / 2


class F1Change(msgspec.Struct, frozen=True, kw_only=True):
    """F1 of a candidate minus that of the baseline, in percentage points, and sentences only one of them got right."""

    points: Interval
    gained: int
    lost: int


def counts(record: EvaluationRecord, kind: str | None = None) -> np.ndarray:
    """Right, predicted and gold entities by sentence, of one type or of all, shape (sentences, 3)."""
    rows = [
        tuple(
            sum(c)
            for c in zip(*((c.right, c.predicted, c.gold) for c in sentence if kind in (None, c.type)), strict=True)
        )
        or (0, 0, 0)
        for sentence in record.sentences
    ]
    return np.asarray(rows, dtype=np.float64).reshape(-1, 3)


def f1_of(sums: np.ndarray) -> np.ndarray:
    """F1 from sums of right, predicted and gold in the last axis; 0 where there is nothing to find or found."""
    total = sums[..., 1] + sums[..., 2]
    result: np.ndarray = np.divide(2 * sums[..., 0], total, out=np.zeros_like(total), where=total > 0)
    return result


def unseen(one: np.ndarray, two: np.ndarray, *, whole: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Counts of one further, hypothetical sentence, which `one` gets right and `two` wrong.

    `two` finds nothing in it: in a `whole` sentence of average size, or one entity with wrong ends if that costs more;
    else in a sentence of one entity. Its cost is the difference of its `share`. After losses were seen it is at least
    `typical_loss`, and at least what makes the interval right to second order: their third moment over their second,
    which is 1 for losses of one size and more where some are larger.
    """
    gold = one[:, 2]
    size = float(gold.sum() / (gold > 0).sum())
    f1 = float(f1_of(two.sum(axis=0)))
    size = size if whole else 1.0
    right, wrong, cost = np.array([size, size, size]), np.array([0, 0, size]), (2 - f1) * size
    if whole and cost < 2:
        right, wrong, cost = np.array([1.0, 1, 1]), np.array([0.0, 1, 1]), 2.0
    differ = (one != two).any(axis=1)
    lost = np.clip(share(one, f1)[differ] - share(two, f1)[differ], 0, None)
    if lost.any():
        least = max(float((lost**3).sum() / (lost**2).sum()), typical_loss(one, two, f1))
        scale = max(1.0, least / cost)
        right, wrong = right * scale, wrong * scale
    return right, wrong


def typical_loss(one: np.ndarray, two: np.ndarray, f1: float) -> float:
    """Third moment over second of what losses cost, from the sizes of all sentences and the part that is lost at once.

    That part of a sentence is 1 where whole sentences fall silent, one entity's share of its sentence where entities
    are lost one by one, and between them where both happen: the mean over the sentences that lost some, by the square
    of how many, as the second moment counts them. 0 if no entity was lost.
    """
    gold, right = one[:, 2], one[:, 0]
    gone = np.clip(right - two[:, 0], 0, None)
    if not gone.any():
        return 0.0
    part = float((gone**3 / np.maximum(right, 1)).sum() / (gone**2).sum())
    return (2 - f1) * part * float((gold**3).sum() / (gold**2).sum())


def share(table: np.ndarray, f1: float) -> np.ndarray:
    """What each sentence adds to F1's numerator: 2 * right - F1 * (predicted + gold)."""
    result: np.ndarray = 2 * table[..., 0] - f1 * (table[..., 1] + table[..., 2])
    return result


def _weighted(
    seed: int, table: np.ndarray, level: float, beyond: int = DRAWS_BEYOND
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sums of a table over randomly weighted sentences, and the weight of the unseen one, in blocks of draws.

    Sentences with the same counts share a weight: a sum of exponential ones is a gamma variable.
    """
    draw = np.random.default_rng(seed)
    table = table[table.any(axis=1)]  # sentences without any entity weigh nothing in F1
    _, first, times = np.unique(table, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)  # the order of the corpus, which does not depend on who is the candidate
    rows, times = table[first[order]], times[order]
    for _ in range(math.ceil(2 * beyond / (1 - level) / BLOCK - 1e-6)):
        weights = draw.standard_gamma(times, size=(BLOCK, len(times)))
        yield weights @ rows, draw.standard_exponential((BLOCK, 1))


def score_interval(table: np.ndarray, *, seed: int, level: float = LEVEL) -> Interval | None:
    """F1 in 0..1 and its interval from right, predicted and gold by sentence; None without any gold entity."""
    if not table[:, 2].any():
        return None
    right, wrong = unseen(np.repeat(table[:, 2:], 3, axis=1), table)
    low, high = [], []
    for sums, weight in _weighted(seed, table, level):
        low.append(f1_of(sums + weight * wrong))
        high.append(f1_of(sums + weight * right))
    return _ends(float(f1_of(table.sum(axis=0))), np.concatenate(low), np.concatenate(high), level)


def change_interval(
    one: np.ndarray, two: np.ndarray, *, seed: int, level: float = LEVEL, beyond: int = DRAWS_BEYOND
) -> Interval | None:
    """F1 of `two` minus F1 of `one` and its interval in percentage points; None without any gold entity.

    Both hold the right, predicted and gold counts of the same sentences, shape (sentences, 3); `beyond` draws of the
    bootstrap lie beyond each end.
    """
    if not one[:, 2].any():
        return None
    low, high = [], []
    kept_by_one, lost_by_two = unseen(one, two)
    kept_by_two, lost_by_one = unseen(two, one, whole=False)
    for sums, weight in _weighted(seed, np.hstack((one, two)), level, beyond):
        before, after = sums[:, :3], sums[:, 3:]
        low.append(f1_of(after + weight * lost_by_two) - f1_of(before + weight * kept_by_one))
        high.append(f1_of(after + weight * kept_by_two) - f1_of(before + weight * lost_by_one))
    value = float(f1_of(two.sum(axis=0)) - f1_of(one.sum(axis=0))) * 100
    return _ends(value, np.concatenate(low) * 100, np.concatenate(high) * 100, level)


def _ends(value: float, low: np.ndarray, high: np.ndarray, level: float) -> Interval:
    half = (1 - level) / 2
    ends = float(np.quantile(low, half)), float(np.quantile(high, 1 - half))
    return Interval(value=value, low=min(value, ends[0]), high=max(value, ends[1]))


def f1_interval(record: EvaluationRecord, *, seed: int) -> Interval | None:
    """Strict F1 in 0..1 with its 95 % interval; None if the corpus has no gold entity."""
    return score_interval(counts(record), seed=seed)


def f1_change(
    baseline: EvaluationRecord,
    candidate: EvaluationRecord,
    *,
    seed: int,
    level: float = LEVEL,
    kind: str | None = None,
) -> F1Change | None:
    """Change of strict F1, of one type or of all, in percentage points with its paired interval.

    None without any gold entity, as nothing can be judged; ValueError if the two were not scored on the same corpus.
    """
    if baseline.corpus_sha256 != candidate.corpus_sha256:
        raise ValueError(f"scored on different corpora: {baseline.corpus} and {candidate.corpus}")
    one, two = counts(baseline, kind), counts(candidate, kind)
    points = change_interval(one, two, seed=seed, level=level)
    if points is None:
        return None
    if _same(baseline, candidate):
        points = Interval(value=0.0, low=0.0, high=0.0)

    def perfect(table: np.ndarray) -> np.ndarray:
        result: np.ndarray = (table[:, 0] == table[:, 1]) & (table[:, 0] == table[:, 2])
        return result

    return F1Change(
        points=points,
        gained=int((perfect(two) & ~perfect(one)).sum()),
        lost=int((perfect(one) & ~perfect(two)).sum()),
    )


def _same(one: EvaluationRecord, two: EvaluationRecord) -> bool:
    """Whether both are the same artifact; then unseen sentences cannot differ either."""
    return (
        bool(one.artifact)
        and one.artifact == two.artifact
        and one.machine.instructions == two.machine.instructions
        and one.predictions == two.predictions
        and one.sentences == two.sentences
    )
