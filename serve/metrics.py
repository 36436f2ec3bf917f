"""What Prometheus is told: counters and histograms that add up over the workers, and memory read when it asks.

Workers share files in `$PROMETHEUS_MULTIPROC_DIR`, which `gunicorn_conf` sets before anything is imported from here;
without it, one process speaks for itself.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..core.memory import read_stage

DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

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
INSIDE = Gauge(
    "slimner_queue", "Requests being answered or waiting for their turn.", registry=_own, multiprocess_mode="livesum"
)


def count(route: str, status: int) -> None:
    """One request of a route that ended with a status."""
    _requests(route, status).inc()
    if status >= 400:
        ERRORS.labels(str(status)).inc()


@functools.cache
def _requests(route: str, status: int) -> Counter:
    return REQUESTS.labels(route, str(status))


@functools.cache
def _step(name: str) -> Histogram:
    return STEPS.labels(name)


def answered(texts: int, seconds: Mapping[str, float]) -> None:
    """One answered request of so many texts, and the time of its steps."""
    TEXTS.inc(texts)
    SECONDS.observe(sum(seconds.values()))
    for step, spent in seconds.items():
        _step(step).observe(spent)


def prepare() -> None:
    """Make the series that always exist, so that they read 0 and not nothing before the first request."""
    for step in ("wait", "tokenize", "infer", "decode"):
        _step(step)


def exposition() -> bytes:
    """Everything in the text format, summed over all workers."""
    registry = CollectorRegistry()
    if os.environ.get(DIRECTORY):
        registry.register(_Workers(registry=None))  # type: ignore[no-untyped-call]
    else:
        registry.register(_Own())
    registry.register(_Memory())
    return generate_latest(registry)


def worker_died(process: int) -> None:
    """Forget the gauges of a worker that is gone; its counters stay."""
    if os.environ.get(DIRECTORY):
        multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]


class _Own(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from _own.collect()


class _Workers(multiprocess.MultiProcessCollector):
    """The files of all workers, without one that its worker has opened this moment and not yet given its size."""

    def collect(self) -> Iterable[Metric]:
        files = [str(file) for file in Path(os.environ[DIRECTORY]).glob("*.db") if _size(file)]
        return self.merge(files)  # type: ignore[no-untyped-call, no-any-return]


def _size(file: Path) -> int:
    """Bytes of a file, 0 when it has gone."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


class _Memory(Collector):
    """PSS of master and workers now; it can be summed, RSS could not."""

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("slimner_pss_bytes", "Proportional set size by process.", labels=("process",))
        master = os.getppid() if os.environ.get(DIRECTORY) else os.getpid()
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
