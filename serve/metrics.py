"""Metrics for Prometheus: counters and histograms added up over the workers, and memory read on request.

All series stand in memory that the workers share (`slimner.serve.shared`), so whichever of them is asked tells the sum.
Their labels are known before the first request: those of a series that was made later would be seen by one worker only.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..core.memory import read_stage
from . import shared

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Small models answer in 3 ms, and tokenizing takes 0.1 ms; from there to the deadline.
BUCKETS_S = (
    *(0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0),
)
STEP_BUCKETS_S = (0.00005, 0.0001, 0.0002, 0.0005, *BUCKETS_S)
STEPS_OF_AN_ANSWER = ("wait", "tokenize", "infer", "decode")

STATUSES = (
    *(200, 204, 206, 304, 308),
    *(400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 416, 417, 421, 422, 431, 499),
    *(500, 501, 503, 504),
)
OTHER = "other"
UNKNOWN = "unknown"
"""The route of requests for unknown routes, as from scanners."""

REFUSED = "refused"
"""The route of requests refused before routing."""

shared.use()
_own = CollectorRegistry()
REQUESTS = Counter("slimner_requests", "Requests by route and status.", ("route", "status"), registry=_own)
ERRORS = Counter("slimner_errors", "Requests to a route that were not answered, by status.", ("status",), registry=_own)
TEXTS = Counter("slimner_texts", "Texts answered.", registry=_own)
DROPPED = Counter("slimner_dropped_connections", "Connections closed to make room for others.", registry=_own)
SECONDS = Histogram(
    "slimner_request_seconds",
    "Time of an answered request by route, from its last byte to its answer.",
    ("route",),
    registry=_own,
    buckets=BUCKETS_S,
)
STEPS = Histogram(
    "slimner_step_seconds",
    "Time of an answered request by step: wait, tokenize, infer, decode.",
    ("step",),
    registry=_own,
    buckets=STEP_BUCKETS_S,
)
INSIDE = Gauge("slimner_queue", "Texts being answered or waiting for their turn.", registry=_own)

_served: dict[str, str] = {}


def prepare(routes: Iterable[str] = ()) -> None:
    """Create every series before workers are forked."""
    for route in (*routes, UNKNOWN, REFUSED):
        for status in (*STATUSES, OTHER):
            REQUESTS.labels(route, str(status))
        SECONDS.labels(route)
    for status in (*STATUSES, OTHER):
        if status == OTHER or int(status) >= 400:
            ERRORS.labels(str(status))
    for step in STEPS_OF_AN_ANSWER:
        STEPS.labels(step)


def served(*, variant: str, model: str) -> None:
    """Record what this process serves."""
    _served.update(variant=variant, model=model, version=importlib.metadata.version("slimner"))


def count(route: str, status: int, seconds: float) -> None:
    """Count one request with its route, status and time."""
    told = str(status if status in STATUSES else OTHER)
    REQUESTS.labels(route, told).inc()
    if status < 400:
        SECONDS.labels(route).observe(seconds)
    elif route != UNKNOWN:
        ERRORS.labels(told).inc()


def answered(texts: int, seconds: Mapping[str, float]) -> None:
    """Count one answered request with its number of texts and the time of its steps."""
    TEXTS.inc(texts)
    for step, spent in seconds.items():
        STEPS.labels(step).observe(spent)


def exposition() -> bytes:
    """Everything in the text format, summed over all workers; series that never counted anything are left out."""
    registry = CollectorRegistry()
    registry.register(_Counted())
    registry.register(_Processes())
    return generate_latest(registry)


class _Counted(Collector):
    """All counted series; of those by route and status, only the ones above zero."""

    def collect(self) -> Iterator[Metric]:
        for family in _own.collect():
            if family.name in ("slimner_requests", "slimner_errors"):
                family.samples = [sample for sample in family.samples if sample.value]
            if family.name == "slimner_request_seconds":
                asked = {one.labels["route"] for one in family.samples if one.name.endswith("_count") and one.value}
                family.samples = [sample for sample in family.samples if sample.labels["route"] in asked]
            yield family


class _Processes(Collector):
    """What is served, and master and workers now with their PSS; it can be summed, RSS could not."""

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("slimner_info", "What is served, always 1.", labels=tuple(_served))
        info.add_metric(tuple(_served.values()), 1)
        yield info
        family = GaugeMetricFamily("slimner_pss_bytes", "Proportional set size by process.", labels=("process",))
        master = os.getppid() if shared.row() else os.getpid()
        workers = _children(master)
        summed = 0.0
        for child in workers:
            with contextlib.suppress(OSError):
                summed += read_stage("now", child).pss_bytes or 0
        with contextlib.suppress(OSError):
            family.add_metric(("master",), read_stage("now", master).pss_bytes or 0)
        family.add_metric(("workers",), summed)
        yield family
        yield GaugeMetricFamily("slimner_workers", "Worker processes there are.", len(workers))


def _children(process: int) -> list[int]:
    found: list[int] = []
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in tasks.read_text(encoding="ascii").split()]
    return found
