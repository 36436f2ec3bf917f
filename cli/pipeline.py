"""The order of work of a run: what is done for each variant, and what becomes of a variant that fails."""

from __future__ import annotations

import datetime
import importlib.metadata
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..bench import Step, Workload, measure, steps
from ..core import child
from ..core.cache import cache_directory
from ..core.commit import commit_of
from ..core.errors import CheckpointError, ChildError, SlimnerError
from ..core.journal import Journal
from ..core.machine import boot_id, describe, thread_environment
from ..core.records import BuildRecord, EvaluationRecord, Failure, MeasurementRecord, Results, Settings
from ..core.store import RESULTS_SCHEMA
from ..eval import Corpus
from ..variants import Checkpoint, Variant, verify
from ..variants.building import build, facts
from .progress import Steps


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run was asked for, read and checked; `workload_name` is what a child reads.

    `corpus` is None for random weights, whose answers mean nothing.
    """

    checkpoint: Checkpoint
    corpus: Corpus | None
    workload: Workload
    workload_name: str
    variants: tuple[Variant, ...]
    settings: Settings
    broken: tuple[Failure, ...] = ()


class Pipeline:
    """One run. Finished steps are kept in a journal below `out` until `finish`, so that it can be interrupted."""

    def __init__(self, inputs: Inputs, out: Path, progress: Steps, *, fresh: bool) -> None:
        self.inputs = inputs
        self.out = out
        self.progress = progress
        self.fresh = fresh
        self.failures: list[Failure] = list(inputs.broken)
        self.artifacts: dict[str, Path] = {}

    def run(self) -> Results:
        """Do all of it."""
        started, begun = datetime.datetime.now(datetime.UTC), time.monotonic()
        settings, commit = self.inputs.settings, commit_of(Path.cwd())
        self.progress.phase("build", len(self.inputs.variants))
        builds = [built for variant in self.inputs.variants if (built := self._build(variant))]
        self._open_journal()
        evaluations: list[EvaluationRecord] = []
        if self.inputs.corpus is not None:
            self.progress.phase("evaluate", len(self.artifacts))
            evaluations = [scored for name in tuple(self.artifacts) if (scored := self._evaluate(name))]
        todo = list(steps(list(self.artifacts.values()), settings.repetitions))
        self.progress.phase("measure", len(todo))
        measurements = [measured for step in todo if (measured := self._measure(step))]
        return Results(
            schema=RESULTS_SCHEMA,
            slimner=importlib.metadata.version("slimner"),
            started=started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - begun, 1),
            resumed=self.journal.resumed,
            commit=commit,
            machine=describe(),
            checkpoint=facts(self.inputs.checkpoint),
            corpus=self.inputs.corpus.facts if self.inputs.corpus else None,
            workload=self.inputs.workload.facts,
            settings=settings,
            builds=tuple(builds),
            evaluations=tuple(evaluations),
            measurements=tuple(measurements),
            failures=tuple(self.failures),
        )

    def finish(self) -> None:
        """The report is written: forget the steps."""
        self.journal.finish()

    def _open_journal(self) -> None:
        identity = (
            sorted(path.name for path in self.artifacts.values()),
            self.inputs.corpus.sha256 if self.inputs.corpus else None,
            self.inputs.workload.sha256,
            self.inputs.settings,
            describe(),
            boot_id(),
        )
        self.journal = Journal(self.out / ".unfinished", identity, fresh=self.fresh)

    def _keep(self, step: str, record: EvaluationRecord | MeasurementRecord) -> None:
        try:
            self.journal.put(step, record)
        except OSError as error:  # the run itself goes on in memory
            self.progress.failed(step, f"not kept for a later start: {error}", counts=False)

    def _fail(self, variant: str, step: str, error: Exception) -> None:
        kind = error.kind if isinstance(error, ChildError) else "refused"
        tail = error.stderr_tail if isinstance(error, ChildError) else ""
        self.failures.append(Failure(variant=variant, step=step, kind=kind, reason=str(error), stderr_tail=tail))
        self.artifacts.pop(variant, None)
        self.progress.failed(step, f"{variant}: {error}")

    def _build(self, variant: Variant) -> BuildRecord | None:
        self.progress.now("build", variant.name)
        begun = time.monotonic()
        try:
            path, cached = build(
                self.inputs.checkpoint, variant, cache=cache_directory(), timeout_s=self.inputs.settings.timeout_s
            )
        except CheckpointError:
            raise  # it would fail every variant alike
        except (SlimnerError, OSError) as error:
            self._fail(variant.name, "build", error)
            return None
        manifest = verify(path)
        self.artifacts[variant.name] = path
        spent = f"{time.monotonic() - begun:.1f} s"
        self.progress.done("build", f"{variant.name} ({'cached' if cached else spent})")
        return BuildRecord(
            variant=variant.name,
            artifact=manifest.name,
            size_bytes=manifest.size_bytes,
            seconds=manifest.build_s,
            peak_bytes=manifest.build_peak_bytes,
            cached=cached,
            parity=manifest.parity,
        )

    def _evaluate(self, variant: str) -> EvaluationRecord | None:
        assert self.inputs.corpus is not None
        step = f"evaluate {variant}"
        record = self.journal.get(step, EvaluationRecord)
        if record is None:
            self.progress.now("evaluate", variant)
            try:
                record = child.run(
                    "slimner.eval.scoring:evaluate_in_child",
                    {
                        "directory": str(self.artifacts[variant]),
                        "corpus": self.inputs.corpus.source,
                        "threads": self.inputs.settings.threads,
                    },
                    EvaluationRecord,
                    timeout_s=self.inputs.settings.timeout_s,
                    environment=thread_environment(self.inputs.settings.threads),
                )
            except (SlimnerError, OSError) as error:
                self._fail(variant, "evaluate", error)
                return None
            self._keep(step, record)
        self.progress.done("evaluate", f"{variant} F1 {record.strict.f1 * 100:.2f}")
        return record

    def _measure(self, step: Step) -> MeasurementRecord | None:
        variant = next((name for name, path in self.artifacts.items() if path == step.artifact), None)
        if variant is None:
            self.progress.done("measure", f"skipped a process of a failed variant ({step.artifact.name})")
            return None
        record = self.journal.get(step.name, MeasurementRecord)
        if record is None:
            self.progress.now("measure", variant)
            try:
                verify(step.artifact)
                record = measure(step, self.inputs.workload_name, self.inputs.settings)
            except (SlimnerError, OSError) as error:
                self._fail(variant, "measure", error)
                return None
            self._keep(step.name, record)
        self.progress.done("measure", f"{variant}, process {step.repetition}")
        return record


def order(variants: Sequence[Variant], baseline: str) -> tuple[Variant, ...]:
    """The baseline first, then from the simple to the less simple."""
    return tuple(sorted(variants, key=lambda v: (v.name != baseline, v.complexity, v.name)))
