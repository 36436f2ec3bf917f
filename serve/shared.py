"""Numbers of `prometheus_client` in memory that forked workers share, a row for each of them.

Its own way for several processes keeps files, in the end one more set for every worker that ever was, and a file system
that is full ends whoever writes to them. Here nothing is left behind by any death: the memory has no name. A row keeps
what a dead worker counted, and what its gauges held is forgotten.
"""

from __future__ import annotations

import itertools
import mmap
import threading
from typing import Any

from prometheus_client import disable_created_metrics, values

ROWS = 65
"""Row 0 is the master's, or of a process by itself; workers take turns at the others."""

COLUMNS = 2048

_used = mmap.mmap(-1, ROWS)
_table = memoryview(mmap.mmap(-1, ROWS * COLUMNS * 8)).cast("d")
_next = itertools.count()
_lock = threading.Lock()
_gauges: list[int] = []
_row = 0


def row() -> int:
    """The row of this process."""
    return _row


def enter(number: int) -> None:
    """Make this process the worker with the given number; its gauges begin at 0."""
    global _row  # one process, one row
    _row = 1 + number % (ROWS - 1)
    _used[_row] = 1
    forget(number)


def forget(number: int) -> None:
    """What the gauges of a worker hold, which is gone or only begins."""
    for column in _gauges:
        _table[(1 + number % (ROWS - 1)) * COLUMNS + column] = 0.0


class Value:
    """A number of this process, read as the sum over all: what `prometheus_client` wants of `values.ValueClass`."""

    _multiprocess = False

    def __init__(self, typ: str, *_: Any, **__: Any) -> None:
        self._column = next(_next)
        if self._column >= COLUMNS:
            raise IndexError("more series than there are columns")
        if typ == "gauge":
            _gauges.append(self._column)

    def inc(self, amount: float) -> None:
        with _lock:
            _table[_row * COLUMNS + self._column] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        with _lock:
            _table[_row * COLUMNS + self._column] = value

    def set_exemplar(self, exemplar: Any) -> None:
        """There are none."""

    def get(self) -> float:
        return sum(_table[row * COLUMNS + self._column] for row in range(ROWS) if not row or _used[row])

    def get_exemplar(self) -> None:
        """There are none."""


def use() -> None:
    """Let metrics that are made from here on hold their numbers so."""
    values.ValueClass = Value
    disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each, which is not needed
