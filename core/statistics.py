"""Statistics of measurements: percentiles that have enough samples, intervals over processes. Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

import numpy as np

from .paired import student
from .records import MeasurementRecord, Record

# A percentile is printed from this many samples beyond it, at least.
SAMPLES_BEYOND = 10

# Upper ends of the length buckets, in characters; longer texts are in one of their own.
BUCKETS = (16, 50, 128, 256, 512)

# Relative standard deviation of timings between runs, beyond what the processes of a run show, that is assumed where
# the machine has not shown its own (`core/between_runs.py`). Twenty runs in a row (studies/repeatability.py) took 2 %:
# without it 8 of 10 intervals of p50 held, and 7 of cold start. Runs of other hours differ by more.
ASSUMED = 0.03

NORMAL_95 = 1.96


class Spread(Record, frozen=True, kw_only=True):
    """A figure and its 95 % interval over `processes` fresh processes; both ends None from one process."""

    value: float
    low: float | None
    high: float | None
    processes: int

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval, None where there is none."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


def percentile(samples: Sequence[float] | np.ndarray, q: float) -> float | None:
    """The q-th percentile, or None if fewer than ten samples would lie beyond it, on the thinner side."""
    if len(samples) * min(q, 100 - q) / 100 < SAMPLES_BEYOND:
        return None
    return float(np.percentile(samples, q))


def samples_needed(q: float) -> int:
    """The least number of samples for the q-th percentile to be printed."""
    return math.ceil(SAMPLES_BEYOND * 100 / min(q, 100 - q))


def spread(values: Sequence[float], *, drift: float = 0.0) -> Spread:
    """Mean of one positive value a process and its interval, by Student's t on logarithms.

    The processes are the sample: iterations of one process share its memory layout and its moment, so more of them make
    a figure smoother but not surer (Kalibera and Jones, 2013). The processes of one run also share the state of the
    machine: `drift` is the relative deviation between runs that their spread cannot show, and widens the interval.
    Raises ValueError without values.
    """
    if not values:
        raise ValueError("no values")
    if len(values) == 1:
        return Spread(value=values[0], low=None, high=None, processes=1)
    logs = [math.log(value) for value in values]
    centre = statistics.fmean(logs)
    reach = math.hypot(student(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs)), NORMAL_95 * drift)
    return Spread(
        value=math.exp(centre), low=math.exp(centre - reach), high=math.exp(centre + reach), processes=len(logs)
    )


def spread_of_differences(values: Sequence[float]) -> Spread:
    """Mean of one value a process, of any sign, and its interval by Student's t. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    if len(values) == 1:
        return Spread(value=values[0], low=None, high=None, processes=1)
    centre = statistics.fmean(values)
    reach = student(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Spread(value=centre, low=centre - reach, high=centre + reach, processes=len(values))


def clean_ms(record: MeasurementRecord) -> list[float]:
    """Latencies of a process in ms, without disturbed blocks if there are others."""
    return [record.samples_ms[i] for i in record.clean]


def bucket(length: int) -> int:
    """Index of the length bucket of a text, `len(BUCKETS)` for a text longer than the last."""
    return next((i for i, limit in enumerate(BUCKETS) if length <= limit), len(BUCKETS))


def by_length(records: Iterable[MeasurementRecord], lengths: Sequence[int]) -> list[list[float]]:
    """Latencies in ms of all timed processes by length bucket, the extra samples among them."""
    found: list[list[float]] = [[] for _ in range(len(BUCKETS) + 1)]
    for record in records:
        if record.timed:
            for i in record.clean:
                found[bucket(lengths[record.texts[i]])].append(record.samples_ms[i])
            for text, value in zip(record.extra_texts, record.extra_ms, strict=True):
                found[bucket(lengths[text])].append(value)
    return found
