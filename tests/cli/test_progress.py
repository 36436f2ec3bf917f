"""Progress as a terminal emulator draws it, and as a log gets it."""

from __future__ import annotations

import io

import pyte
import pytest
from slimner.cli import progress
from slimner.cli.progress import Steps, duration
from slimner.cli.screen import Screen

from ..made import make


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


def emulated(written: str, width: int) -> list[str]:
    screen = pyte.Screen(width, 40)
    pyte.Stream(screen).feed(written.replace("\n", "\r\n"))
    return [line.rstrip() for line in screen.display if line.strip()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_table_fills_in_above_one_line_of_progress_and_is_gone_at_the_end(width: int, clock: Clock) -> None:
    results = make({"fp32": (360, 400, 8.0), "lean": (360, 70, 4.0)})
    file = io.StringIO()
    steps = Steps(Screen(file=file, width=width, force_terminal=True))
    with steps:
        steps.phase("build", 2)
        for build in results.builds:
            steps.found(build)
            steps.done("build", build.variant)
        steps.phase("measure", 6)
        steps.now("measure", "fp32")
        steps._live.refresh()
        early = emulated(file.getvalue(), width)
        for record in results.measurements[:4]:
            steps.now("measure", record.variant)
            clock.now += 60 if record.variant == "fp32" else 20
            steps.found(record)
            steps.done("measure", record.variant)
        steps._live.refresh()
        late = emulated(file.getvalue(), width)
    assert early[0].split() == ["variant", "F1", "size", "memory", "p50", "p95", "qps", "processes"]
    assert early[1].split() == ["fp32", "-", "40", "MB", "-", "-", "-", "-", "0"]
    assert early[-1].endswith("measure 0/6 · fp32")
    assert late[2].split()[:6] == ["lean", "-", "7.0", "MB", "70", "MB"]
    assert late[-1].endswith("measure 4/6 · about 1 min left")
    assert len(late) == len(early) == 4
    assert emulated(file.getvalue(), width) == []


def test_time_left_is_told_from_steps_that_ended_only_and_not_from_kept_ones(clock: Clock) -> None:
    steps = Steps(Screen(file=io.StringIO(), width=100))
    steps.phase("measure", 10)
    for _ in range(5):
        steps.done("measure", "kept from an interrupted run")
    assert steps.left_s() is None
    for variant, seconds in (("fp32", 30), ("lean", 10)):
        steps.now("measure", variant)
        clock.now += seconds
        steps.done("measure", variant)
    assert steps.left_s() == pytest.approx(60)
    steps.now("measure", "fp32")
    clock.now += 20
    assert steps.left_s() == pytest.approx(40)


def test_a_log_gets_a_line_a_step() -> None:
    file = io.StringIO()
    with Steps(Screen(file=file, width=10_000)) as steps:
        steps.phase("build", 2)
        steps.now("build", "fp32")
        steps.done("build", "fp32 (cached)")
        steps.failed("build", "lean: no nodes")
        steps.note("note: a remark")
    assert file.getvalue().splitlines() == [
        "build 1/2: fp32 (cached)",
        "build failed: lean: no nodes",
        "note: a remark",
    ]


def test_a_time_to_wait_is_no_finer_than_it_is_known() -> None:
    assert [duration(s) for s in (0, 7, 38, 57, 61, 200, 4000)] == [
        "5 s",
        "5 s",
        "40 s",
        "55 s",
        "1 min",
        "3 min",
        "67 min",
    ]
