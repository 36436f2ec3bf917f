"""Intervals on F1 by the bootstrap over sentences, which are what a corpus is a sample of.

Percentile intervals: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13. For a change both
variants are resampled with the same sentences, as both were scored on the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from ..core.records import EvaluationRecord

LEVEL = 0.95

# Resamples beyond each end of an interval, so that the ends of a wider one are known as well: 2,000 in all at 95 %.
RESAMPLES_BEYOND = 50


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and its interval, at 95 % where nothing else is said, in the figure's own unit."""

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


def _counts(record: EvaluationRecord, kind: str | None = None) -> np.ndarray:
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


def _f1(sums: np.ndarray) -> np.ndarray:
    """F1 from sums of right, predicted and gold in the last axis; 0 where there is nothing to find or found."""
    total = sums[..., 1] + sums[..., 2]
    result: np.ndarray = np.divide(2 * sums[..., 0], total, out=np.zeros_like(total), where=total > 0)
    return result


def _resampled(seed: int, tables: Sequence[np.ndarray], level: float) -> Iterator[tuple[np.ndarray, ...]]:
    """Sums of each table over the same sentences, drawn with replacement, in blocks of resamples."""
    draw = np.random.default_rng(seed)
    sentences = len(tables[0])
    for _ in range(math.ceil(2 * RESAMPLES_BEYOND / (1 - level) / 100 - 1e-6)):
        weights = draw.multinomial(sentences, np.full(sentences, 1 / sentences), size=100).astype(np.float64)
        yield tuple(weights @ table for table in tables)


def _percentiles(value: float, draws: np.ndarray, level: float) -> Interval:
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value=value, low=float(low), high=float(high))


def f1_interval(record: EvaluationRecord, *, seed: int) -> Interval:
    """Strict F1 in 0..1 with its 95 % interval."""
    table = _counts(record)
    draws = np.concatenate([_f1(sums) for (sums,) in _resampled(seed, [table], LEVEL)])
    return _percentiles(float(_f1(table.sum(axis=0))), draws, LEVEL)


def f1_change(
    baseline: EvaluationRecord,
    candidate: EvaluationRecord,
    *,
    seed: int,
    level: float = LEVEL,
    kind: str | None = None,
) -> F1Change:
    """Change of strict F1, of one type or of all, in percentage points with its paired interval.

    ValueError if the two were not scored on the same corpus.
    """
    if baseline.corpus_sha256 != candidate.corpus_sha256:
        raise ValueError(f"scored on different corpora: {baseline.corpus} and {candidate.corpus}")
    one, two = _counts(baseline, kind), _counts(candidate, kind)
    draws = [(_f1(b) - _f1(a)) * 100 for a, b in _resampled(seed, [one, two], level)]
    value = float(_f1(two.sum(axis=0)) - _f1(one.sum(axis=0))) * 100

    def perfect(table: np.ndarray) -> np.ndarray:
        result: np.ndarray = (table[:, 0] == table[:, 1]) & (table[:, 0] == table[:, 2])
        return result

    return F1Change(
        points=_percentiles(value, np.concatenate(draws), level),
        gained=int((perfect(two) & ~perfect(one)).sum()),
        lost=int((perfect(one) & ~perfect(two)).sum()),
    )
