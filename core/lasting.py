"""How alike the changes of successive pairs are, and how much wider that makes an interval from them. Pure functions.

What favours one side of a pair may last to the next, whichever side begins. So many changes then tell less than as many
independent ones, and an interval that takes them for independent is too narrow. Ten pairs are too few to know how far
that goes, so what earlier pairs on the machine have shown is used together with the pairs at hand; where there are few
or none, a correlation is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .records import Record

SCHEMA = 1

# The most that earlier pairs count, so that the pairs at hand always have a say.
MOST_PAIRS = 100

# As long as a machine has shown fewer pairs than this, the missing ones are taken to have shown such a correlation.
# So a gate's error holds on a machine of which nothing is known, too (`nox -s family`).
ASSUMED_PAIRS = 30
ASSUMED_CORRELATION = 0.5

# The largest correlation that is taken: beyond it no interval would be of use.
LARGEST = 0.9


class Lasting(Record, frozen=True, kw_only=True):
    """Correlation of a pair's change with the next pair's, from so many `pairs`; 0 from 0 where nothing is known."""

    correlation: float = 0.0
    pairs: int = 0


class PairsShown(Record, frozen=True, kw_only=True):
    """What the pairs of one comparison have shown, by metric."""

    schema: int = SCHEMA
    date: str
    metrics: dict[str, Lasting]


UNKNOWN = Lasting()


def lasting_of(values: Sequence[float]) -> Lasting:
    """The correlation of each change with the next one; nothing is known from fewer than six, or where all are equal.

    The correlation in a sample of n is too low by (1 + 4 r) / n on average, which is put right: F. Marriott and
    J. Pope, Bias in the estimation of autocorrelations, Biometrika 41, 1954.
    """
    n = len(values)
    centred = np.asarray(values, dtype=np.float64) - np.mean(values)
    total = float(centred @ centred)
    if n < 6 or total <= 1e-30:
        return UNKNOWN
    found = (n * float(centred[1:] @ centred[:-1]) / total + 1) / (n - 4)
    return Lasting(correlation=max(-1.0, min(1.0, found)), pairs=n)


def together(shown: Sequence[Lasting]) -> Lasting:
    """What several comparisons have shown, each by its number of pairs."""
    pairs = sum(one.pairs for one in shown)
    return Lasting(correlation=sum(o.correlation * o.pairs for o in shown) / pairs, pairs=pairs) if pairs else UNKNOWN


def by_metric(shown: Sequence[PairsShown]) -> dict[str, Lasting]:
    """What all comparisons on a machine have shown, by metric."""
    names = sorted({name for one in shown for name in one.metrics})
    return {name: together([one.metrics[name] for one in shown if name in one.metrics]) for name in names}


def widening(values: Sequence[float], known: Lasting = UNKNOWN) -> float:
    """The factor, at least 1, by which an interval of the centre of `values` has to be wider than if each change were
    independent of the one before.

    The mean of n changes of a first-order autoregression with correlation r varies as if there were n / v of them, with
    v = (1 + r) / (1 - r), and their spread looks smaller than it is by the factor 1 - (v - 1) / (n - 1): G. Bayley and
    J. Hammersley, The effective number of independent observations in an autocorrelated time series, Supplement to the
    Journal of the Royal Statistical Society 8, 1946.
    """
    earlier = Lasting(correlation=known.correlation, pairs=min(known.pairs, MOST_PAIRS))
    assumed = Lasting(correlation=ASSUMED_CORRELATION, pairs=max(0, ASSUMED_PAIRS - known.pairs))
    r = max(0.0, min(LARGEST, together([earlier, assumed, lasting_of(values)]).correlation))
    n = len(values)
    v = max(1.0, min((1 + r) / (1 - r), n / 2))
    return math.sqrt(v / (1 - (v - 1) / max(1, n - 1)))
