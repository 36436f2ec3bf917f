"""What Prometheus is told: counters and histograms that add up over the workers, and memory read when it asks.

All series stand in memory that the workers share (`slimner.serve.shared`), so whichever of them is asked tells the sum.
Their labels are known before the first request: those of a series that was made later would be seen by one worker only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..core.memory import read_stage
from . import shared

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

STATUSES = (
    *(200, 204, 206, 304, 308),
    *(400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 416, 417, 421, 422, 431, 499),
    *(500, 501, 503, 504),
)
OTHER = "other"

shared.use()
_own = CollectorRegistry()
REQUESTS = Counter("slimner_requests", "Requests by route and status.", ("route", "status"), registry=_own)
ERRORS = Counter("slimner_errors", "Requests that were not answered, by status.", ("status",), registry=_own)
TEXTS = Counter("slimner_texts", "Texts answered.", registry=_own)
SECONDS = Histogram("slimner_request_seconds", "Time of an answered request.", registry=_own, buckets=BUCKETS_S)
STEPS = Histogram(
    "slimner_step_seconds",
    "Time of an answered request by step: wait, tokenize, infer, decode.",
    ("step",),
    registry=_own,
    buckets=BUCKETS_S,
)
INSIDE = Gauge("slimner_queue", "Texts being answered or waiting for their turn.", registry=_own)


def prepare(routes: Iterable[str] = ()) -> None:
    """Make every series that there will be, before workers are forked."""
    for status in (*STATUSES, OTHER):
        for route in (*routes, OTHER):
            REQUESTS.labels(route, str(status))
        if status == OTHER or int(status) >= 400:
            ERRORS.labels(str(status))
    for step in ("wait", "tokenize", "infer", "decode"):
        STEPS.labels(step)


def count(route: str, status: int) -> None:
    """One request of a route that ended with a status."""
    told = str(status if status in STATUSES else OTHER)
    REQUESTS.labels(route, told).inc()
    if status >= 400:
        ERRORS.labels(told).inc()


def refused(status: int) -> None:
    """One request that was refused before its route was looked for."""
    count(OTHER, status)


def answered(texts: int, seconds: Mapping[str, float]) -> None:
    """One answered request of so many texts, and the time of its steps."""
    TEXTS.inc(texts)
    SECONDS.observe(sum(seconds.values()))
    for step, spent in seconds.items():
        STEPS.labels(step).observe(spent)


def exposition() -> bytes:
    """Everything in the text format, summed over all workers; series that never counted anything are left out."""
    registry = CollectorRegistry()
    registry.register(_Counted())
    registry.register(_Memory())
    return generate_latest(registry)


class _Counted(Collector):
    """All that was counted; of the many requests that there might be, by route and status, those that there were."""

    def collect(self) -> Iterator[Metric]:
        for family in _own.collect():
            if family.name in ("slimner_requests", "slimner_errors"):
                family.samples = [sample for sample in family.samples if sample.value]
            yield family


class _Memory(Collector):
    """PSS of master and workers now; it can be summed, RSS could not."""

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("slimner_pss_bytes", "Proportional set size by process.", labels=("process",))
        master = os.getppid() if shared.row() else os.getpid()
        workers = 0.0
        for child in _children(master):
            with contextlib.suppress(OSError):
                workers += read_stage("now", child).pss_bytes or 0
        with contextlib.suppress(OSError):
            family.add_metric(("master",), read_stage("now", master).pss_bytes or 0)
        family.add_metric(("workers",), workers)
        yield family


def _children(process: int) -> list[int]:
    found: list[int] = []
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in tasks.read_text(encoding="ascii").split()]
    return found
