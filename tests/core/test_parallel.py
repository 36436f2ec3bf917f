"""Jobs side by side: each result comes once, and what they started ends with them."""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from slimner.core import child
from slimner.core.parallel import cores, room, side_by_side

JOBS = {"PYTHONPATH": str(Path(__file__).parent)}
sys.path.append(JOBS["PYTHONPATH"])
import child_jobs  # noqa: E402  (a module by itself: a child imports it by this name)


def test_every_task_ends_once_with_its_result_or_its_error() -> None:
    def task(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number * number

    ended = dict(side_by_side([partial(task, number) for number in range(6)], 2))
    assert sorted(ended) == list(range(6))
    assert [ended[i].result() for i in (0, 1, 2, 4, 5)] == [0, 1, 4, 16, 25]
    with pytest.raises(ValueError, match="three"):
        ended[3].result()


def test_when_the_iteration_is_left_the_children_are_killed_and_nothing_is_started() -> None:
    started: list[int] = []

    def task() -> None:
        with child.call(child_jobs.sleep_for_ever).started(JOBS) as process:
            started.append(process.pid)
            process.result(600)

    def leave() -> None:
        for _ in side_by_side([lambda: None, task, task, task], 3):
            while len(started) < 2:
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert len(started) <= 3
    assert not any(psutil.pid_exists(pid) for pid in started)


def test_there_is_room_for_one_at_least_and_for_no_more_than_cores() -> None:
    assert room(1 << 60) == 1
    assert room(1) == cores() <= (os.cpu_count() or 1)
    assert room(1, 1 << 20) == 1
