"""Immutable results of load: what a server or a predictor answered, how fast, and whether the generator kept up."""

from __future__ import annotations

import numpy as np

from .ledger_records import Processes
from .records import Machine, Note, Record
from .statistics import percentile


class LoadRecord(Record, frozen=True, kw_only=True):
    """One run of a load generator.

    A closed loop has `clients`; an open loop has `rate_per_s` and `arrivals`. Latencies, in ms, are those of correct
    answers; in an open loop they count from the scheduled send time. `invalid` is the reason if the figures are not
    valid.
    """

    target: str
    machine: Machine
    clients: int | None = None
    rate_per_s: float | None = None
    arrivals: str | None = None
    seconds: float
    sent: int
    answered: int
    errors: dict[str, int]
    wrong: int
    latencies_ms: tuple[float, ...]
    late_share: float
    lag_p99_ms: float | None
    generator_cores: float
    server: Processes | None = None
    invalid: tuple[str, ...] = ()

    @property
    def per_s(self) -> float:
        """Right answers per second."""
        return self.answered / self.seconds

    def latency_ms(self, q: float) -> float | None:
        """The q-th percentile of latency in ms, None from too few samples."""
        return percentile(np.asarray(self.latencies_ms), q)

    @property
    def failed(self) -> int:
        """Requests without a right answer."""
        return self.wrong + sum(self.errors.values())


class LoadReport(Record, frozen=True, kw_only=True):
    """What `slimner load` found: its runs in order, and the peak rate if one was searched."""

    target: str
    machine: Machine
    checked: str
    runs: tuple[LoadRecord, ...]
    limit_p95_ms: float | None = None
    peak: LoadRecord | None = None
    notes: tuple[Note, ...] = ()
