"""Untimed work side by side: as many jobs at a time as cores and memory allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from .child import Group
from .machine import describe

T = TypeVar("T")


def cores() -> int:
    """Cores that this process may use, at least one."""
    machine = describe()
    return max(1, min(machine.cores, math.ceil(machine.cpu_quota_cores or machine.cores)))


def room(bytes_each: float, cores_each: int = 1) -> int:
    """How many jobs of that need fit at a time, at least one."""
    machine = describe()
    limits = (available_bytes(), machine.memory_limit_bytes, machine.memory_bytes)
    memory = min(limit for limit in limits if limit)
    return max(1, min(cores() // cores_each, int(memory / bytes_each)))


def available_bytes() -> int | None:
    """Memory that can be had without swapping, as the kernel estimates it; None where it does not."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def side_by_side(tasks: Sequence[Callable[[], T]], most: int) -> Iterator[tuple[int, Future[T]]]:
    """Do all tasks, at most so many at a time, and give the index and the finished future of each as it ends.

    When the iteration is left early, the child processes that the tasks have started are killed.
    """
    group = Group()
    with ThreadPoolExecutor(max(1, min(most, len(tasks))), initializer=group.join) as threads:
        futures = {threads.submit(task): index for index, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                yield futures[future], future
        finally:
            for future in futures:
                future.cancel()
            group.end()
