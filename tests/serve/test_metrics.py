"""What Prometheus is told while workers come and go."""

from __future__ import annotations

import os

from slimner.serve import metrics, shared


def told(series: str) -> float:
    lines = metrics.exposition().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} "))


def in_a_fork(worker: int) -> None:
    """A worker that answers three texts and dies in the middle of a fourth."""
    child = os.fork()
    if child == 0:
        shared.enter(worker)
        metrics.TEXTS.inc(3)
        metrics.INSIDE.inc()
        os._exit(0)
    os.waitpid(child, 0)


def test_what_a_dead_worker_counted_stays_and_what_it_held_does_not() -> None:
    texts, inside = told("slimner_texts_total"), told("slimner_queue")
    in_a_fork(1)
    in_a_fork(2)
    assert told("slimner_texts_total") == texts + 6
    assert told("slimner_queue") == inside + 2
    shared.forget(1)
    assert told("slimner_queue") == inside + 1
    in_a_fork(1 + shared.ROWS - 1)  # so many workers later, in the same row
    assert told("slimner_texts_total") == texts + 9
    shared.forget(1)
    shared.forget(2)
    assert told("slimner_queue") == inside


def test_a_status_that_nobody_thought_of_is_counted_too() -> None:
    before = told('slimner_errors_total{status="other"}')
    metrics.count("/v1/ner", 418, 0.001)
    assert told('slimner_errors_total{status="other"}') == before + 1
