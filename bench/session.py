"""The parent's side of measuring: which processes run, in which order, and what becomes of those that fail."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..core import child
from ..core.errors import ChildError
from ..core.machine import thread_environment
from ..core.memory import read_stage
from ..core.records import MeasurementRecord, Settings, Stage, TimelinePoint

SAMPLE_INTERVAL_S = 0.05

JOB = "slimner.bench.process:measure_in_child"

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


def measure(step: Step, workload: str, settings: Settings, *, sampled: bool = True) -> MeasurementRecord:
    """Run one step in a fresh process; ChildError if it failed or ran out of time.

    Repetition 0 is read from outside: its time line, unless `sampled` is False, and its memory at the end.
    """
    if step.repetition:
        return measure_timed(step, workload, settings)
    arguments = arguments_of(step, workload, settings)
    environment = thread_environment(settings.threads)
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        gate, done, release = (os.path.join(directory, name) for name in ("gate", "done", "release"))
        for path in (gate, done, release):
            os.mkfifo(path)
        arguments |= {"gate": gate if sampled else None, "hold": (done, release)}
        with contextlib.ExitStack() as stack:
            measured = stack.enter_context(child.started(JOB, arguments, environment))
            sampler = None
            if sampled:
                sampling = {
                    "process": measured.pid,
                    "interval_s": SAMPLE_INTERVAL_S,
                    "timeout_s": settings.timeout_s,
                    "gate": gate,
                }
                sampler = stack.enter_context(child.started("slimner.bench.process:sample_in_child", sampling))
            final = _read_at_end(measured, done, release, settings.timeout_s)
            record = measured.result(MeasurementRecord, settings.timeout_s)
            points: tuple[TimelinePoint, ...] = ()
            if sampler:
                with contextlib.suppress(ChildError):  # not the variant's fault; a note says the time line is empty
                    points = sampler.result(tuple[TimelinePoint, ...], 30)
    return msgspec.structs.replace(record, timeline=points, final=final)


def measure_timed(step: Step, workload: str, settings: Settings) -> MeasurementRecord:
    """Run one step in a fresh process for its latencies; ChildError if it failed or ran out of time."""
    return child.run(
        JOB,
        {**arguments_of(step, workload, settings), "concurrent_s": CONCURRENT_S},
        MeasurementRecord,
        timeout_s=settings.timeout_s,
        environment=thread_environment(settings.threads),
    )


def arguments_of(step: Step, workload: str, settings: Settings) -> dict[str, Any]:
    """What every measured process is told."""
    return {
        "directory": str(step.artifact),
        "workload": workload,
        "threads": settings.threads,
        "repetition": step.repetition,
        "samples": settings.samples,
        "warmup": settings.warmup,
        "seed": settings.seed,
    }


def _read_at_end(measured: child.Child, done: str, release: str, timeout_s: float) -> Stage | None:
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


def _let_go(release: str) -> None:
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
