"""The parent's side of measuring: which processes run, in which order, and how failures are recorded."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ..core import child
from ..core.errors import ChildError
from ..core.machine import thread_environment
from ..core.memory import read_stage
from ..core.records import MeasurementRecord, Measuring, Stage, TimelinePoint
from .process import measure_in_child, sample_in_child

SAMPLE_INTERVAL_S = 0.05

# How long several clients ask at once in each timed process.
CONCURRENT_S = 1.0


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One process to start: an artifact and the number of the repetition."""

    artifact: Path
    repetition: int

    @property
    def name(self) -> str:
        """Name of the step in a journal."""
        return f"measure {self.artifact.name} {self.repetition}"


def steps(artifacts: Sequence[Path], repetitions: int) -> Iterator[Step]:
    """All processes in order: variants in turn, every other round backwards, so that a drift touches all alike."""
    for repetition in range(repetitions + 1):
        for artifact in artifacts if repetition % 2 == 0 else reversed(artifacts):
            yield Step(artifact=artifact, repetition=repetition)


def measure(step: Step, workload: str, settings: Measuring, *, sampled: bool = True) -> MeasurementRecord:
    """Run one step in a fresh process; ChildError if it failed or ran out of time.

    Repetition 0 is read from outside: its time line, unless `sampled` is False, and its memory at the end.
    """
    if step.repetition:
        return measure_timed(step, workload, settings)
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        begin, done, release = (Path(directory) / name for name in ("begin", "done", "release"))
        for path in (begin, done, release):
            os.mkfifo(path)
        measuring = child.call(
            measure_in_child,
            step.artifact,
            step.repetition,
            workload,
            settings,
            begin=begin if sampled else None,
            hold=(done, release),
        )
        with contextlib.ExitStack() as stack:
            measured = stack.enter_context(measuring.started(thread_environment(settings.threads)))
            sampler = None
            if sampled:
                sampling = child.call(sample_in_child, measured.pid, SAMPLE_INTERVAL_S, settings.timeout_s, begin)
                sampler = stack.enter_context(sampling.started())
            final = _read_at_end(measured, done, release, settings.timeout_s)
            record = measured.result(settings.timeout_s)
            points: tuple[TimelinePoint, ...] = ()
            if sampler:
                with contextlib.suppress(ChildError):  # not the variant's fault; a note says the time line is empty
                    points = sampler.result(30)
    return msgspec.structs.replace(record, timeline=points, final=final)


def measure_timed(step: Step, workload: str, settings: Measuring) -> MeasurementRecord:
    """Run one step in a fresh process for its latencies; ChildError if it failed or ran out of time."""
    measuring = child.call(
        measure_in_child, step.artifact, step.repetition, workload, settings, concurrent_s=CONCURRENT_S
    )
    return measuring.run(timeout_s=settings.timeout_s, environment=thread_environment(settings.threads))


def _read_at_end(measured: child.Child[MeasurementRecord], done: Path, release: Path, timeout_s: float) -> Stage | None:
    """Memory of the process, read from outside when it says that it is done; None if it never does."""
    said = os.open(done, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not child.readable_or_ended(said, measured.process, timeout_s):
            return None
        final = read_stage("final, from outside", measured.pid)
        _let_go(release)
        return final
    except OSError:
        return None
    finally:
        os.close(said)


def _let_go(release: Path) -> None:
    """Write to a FIFO whose reader is about to open it; give up after two seconds, when it must have died."""
    for _ in range(200):
        try:
            handle = os.open(release, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.01)
            continue
        os.write(handle, b"go")
        os.close(handle)
        return
