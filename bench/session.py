"""The parent's side of measuring: which processes run, in which order, and what becomes of those that fail."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ..core import child
from ..core.errors import ChildError
from ..core.machine import thread_environment
from ..core.records import MeasurementRecord, TimelinePoint

SAMPLE_INTERVAL_S = 0.05


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How each artifact is measured. Repetition 0 is sampled from outside, the others are timed."""

    workload: str
    threads: int
    repetitions: int
    samples: int
    warmup: int
    timeout_s: float
    seed: int


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


def measure(step: Step, plan: Plan) -> MeasurementRecord:
    """Run one step in a fresh process; ChildError if it failed or ran out of time."""
    arguments = {
        "directory": str(step.artifact),
        "workload": plan.workload,
        "threads": plan.threads,
        "repetition": step.repetition,
        "samples": plan.samples,
        "warmup": plan.warmup,
        "seed": plan.seed,
    }
    environment = thread_environment(plan.threads)
    job = "slimner.bench.process:measure_in_child"
    if step.repetition:
        return child.run(
            job, {**arguments, "gate": None}, MeasurementRecord, timeout_s=plan.timeout_s, environment=environment
        )
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        gate = os.path.join(directory, "gate")
        os.mkfifo(gate)
        with child.started(job, {**arguments, "gate": gate}, environment) as measured:
            sampling = {
                "process": measured.pid,
                "interval_s": SAMPLE_INTERVAL_S,
                "timeout_s": plan.timeout_s,
                "gate": gate,
            }
            with child.started("slimner.bench.process:sample_in_child", sampling) as sampler:
                record = measured.result(MeasurementRecord, plan.timeout_s)
                try:
                    points = sampler.result(tuple[TimelinePoint, ...], 30)
                except ChildError:
                    points = ()  # not the variant's fault; a note says that the time line is empty
    return msgspec.structs.replace(record, timeline=points)
