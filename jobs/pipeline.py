"""The steps of a run: what is done for each variant, in which order, and how failures are recorded."""

from __future__ import annotations

import datetime
import importlib.metadata
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from ..bench import Step, Workload, measure, steps
from ..core.cache import cache_directory
from ..core.commit import commit_of
from ..core.errors import CheckpointError, ChildError, SlimnerError
from ..core.journal import Journal
from ..core.locks import measuring_alone
from ..core.machine import boot_id, describe
from ..core.parallel import room, side_by_side
from ..core.records import (
    BuildRecord,
    EvaluationRecord,
    Failure,
    MeasurementRecord,
    Results,
    RunSettings,
)
from ..core.store import RESULTS_SCHEMA
from ..eval import Corpus
from ..reports import Policy, rows_of, undecided
from ..variants import VARIANTS, Artifact, Checkpoint, Variant
from ..variants.building import build, facts
from .between_runs import deviations
from .deciding import complexity
from .progress import Progress
from .scoring import score, scored_at_a_time

T = TypeVar("T")

# What a build needs at its peak: torch and its exporter, and the weights in FP32 several times over.
BUILDING_BYTES = 700e6
BUILDING_SHARE = 6.0


class Pipeline:
    """The steps of one run. Finished ones are kept in a journal below `out`, so that it can be interrupted.

    `corpus` is None for random weights, whose answers mean nothing; `broken` are variants that cannot be imported.
    """

    def __init__(
        self,
        *,
        checkpoint: Checkpoint,
        corpus: Corpus | None,
        workload: Workload,
        variants: Sequence[Variant],
        settings: RunSettings,
        broken: Sequence[Failure],
        policy: Policy,
        tie_budget_s: float,
        exporter: str,
        out: Path,
        progress: Progress,
        fresh: bool,
    ) -> None:
        self.checkpoint, self.corpus, self.workload = checkpoint, corpus, workload
        self.variants, self.settings = variants, settings
        self.policy, self.tie_budget_s, self.complexity = policy, tie_budget_s, complexity(v.name for v in variants)
        self.exporter = exporter
        self.out, self.progress, self.fresh = out, progress, fresh
        self.failures: list[Failure] = list(broken)
        self.artifacts: dict[str, Artifact] = {}

    def run(self) -> Results:
        """Do all steps and return the results."""
        started, begun = datetime.datetime.now(datetime.UTC), time.monotonic()
        commit = commit_of(Path.cwd())
        builds = self._build()
        self.journal = self._open_journal()
        evaluations = self._evaluate(self.corpus) if self.corpus is not None else []
        todo = list(steps([artifact.path for artifact in self.artifacts.values()], self.settings.repetitions))
        self.progress.phase("measure", len(todo))
        measurements = [measured for step in todo if (measured := self._measure(step))]
        machine = describe()
        results = Results(
            schema=RESULTS_SCHEMA,
            slimner=importlib.metadata.version("slimner"),
            started=started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - begun, 1),
            resumed=self.journal.resumed,
            commit=commit,
            machine=machine,
            checkpoint=facts(self.checkpoint),
            corpus=self.corpus.facts if self.corpus else None,
            workload=self.workload.facts,
            settings=self.settings,
            builds=tuple(builds),
            evaluations=tuple(evaluations),
            measurements=tuple(measurements),
            failures=tuple(self.failures),
            deviations=deviations(machine),
        )
        return msgspec.structs.replace(
            results,
            measurements=(*results.measurements, *self._tell_apart(results)),
            failures=tuple(self.failures),
            seconds=round(time.monotonic() - begun, 1),
        )

    def _tell_apart(self, results: Results) -> list[MeasurementRecord]:
        """Further processes, a round at a time, of the variants of which it is open who wins.

        The rounds end when that is told, or when another one would go beyond the budget.
        """
        further: list[MeasurementRecord] = []
        repetition, left, spent = self.settings.repetitions, self.tie_budget_s, 0.0
        while left > spent and len(names := self._undecided(results, further)) > 1:
            begun, repetition = time.monotonic(), repetition + 1
            self.progress.phase("measure", len(names))
            for name in names if repetition % 2 else reversed(names):
                measured = self._measure(Step(artifact=self.artifacts[name].path, repetition=repetition))
                further += [measured] if measured else []
            spent = time.monotonic() - begun
            left -= spent
        return further

    def _undecided(self, results: Results, further: Sequence[MeasurementRecord]) -> list[str]:
        so_far = msgspec.structs.replace(results, measurements=(*results.measurements, *further))
        return [name for name in undecided(rows_of(so_far), self.complexity, self.policy) if name in self.artifacts]

    def _open_journal(self) -> Journal:
        identity = (
            sorted(artifact.path.name for artifact in self.artifacts.values()),
            self.corpus.sha256 if self.corpus else None,
            self.workload.sha256,
            self.settings,
            describe(),
            boot_id(),
        )
        return Journal(self.out / ".unfinished", identity, fresh=self.fresh)

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

    def _build(self) -> list[BuildRecord]:
        """Build the variants, as many side by side as fit."""
        self.progress.phase("build", len(self.variants))
        most = room(BUILDING_BYTES + BUILDING_SHARE * 4 * self.checkpoint.parameters)
        records: dict[str, BuildRecord] = {}
        built = self._side_by_side("build", [variant.name for variant in self.variants], self._build_one, most)
        for name, (artifact, cached, seconds) in built:
            manifest = artifact.manifest
            self.artifacts[name] = artifact
            records[name] = BuildRecord(
                variant=name,
                artifact=manifest.name,
                size_bytes=manifest.size_bytes,
                seconds=manifest.build_s,
                peak_bytes=manifest.build_peak_bytes,
                cached=cached,
                parity=manifest.parity,
            )
            self.progress.found(records[name])
            self.progress.done("build", f"{name} ({'cached' if cached else f'{seconds:.1f} s'})")
        names = [variant.name for variant in self.variants if variant.name in records]
        self.artifacts = {name: self.artifacts[name] for name in names}
        return [records[name] for name in names]

    def _build_one(self, name: str) -> tuple[Artifact, bool, float]:
        begun = time.monotonic()
        artifact, cached = build(
            self.checkpoint,
            VARIANTS.get(name),
            cache=cache_directory(),
            timeout_s=self.settings.timeout_s,
            exporter_name=self.exporter,
        )
        return artifact, cached, time.monotonic() - begun

    def _evaluate(self, corpus: Corpus) -> list[EvaluationRecord]:
        """Score the variants, as many side by side as fit; a large corpus is divided where cores are left."""
        names, threads = list(self.artifacts), self.settings.threads
        self.progress.phase("evaluate", len(names))
        found = {name: self.journal.get(f"evaluate {name}", EvaluationRecord) for name in names}
        records = {name: record for name, record in found.items() if record is not None}
        for name in records:
            self._tell_score(records[name])
        left = [name for name in names if name not in records]
        fit = min((scored_at_a_time(self.artifacts[name], threads) for name in left), default=1)
        processes = max(1, fit // max(1, len(left)))

        def score_one(name: str) -> EvaluationRecord:
            artifact = self.artifacts[name]
            return score(artifact, corpus, threads=threads, timeout_s=self.settings.timeout_s, processes=processes)

        for name, record in self._side_by_side("evaluate", left, score_one, fit):
            self._keep(f"evaluate {name}", record)
            self._tell_score(record)
            records[name] = record
        return [records[name] for name in names if name in records]

    def _tell_score(self, record: EvaluationRecord) -> None:
        self.progress.found(record)
        self.progress.done("evaluate", f"{record.variant} F1 {record.strict.f1 * 100:.2f}")

    def _side_by_side(
        self, phase: str, names: Sequence[str], job: Callable[[str], T], most: int
    ) -> Iterator[tuple[str, T]]:
        """What a job gives for each variant, as it ends; one that fails is kept as a failure and left out.

        An error of the checkpoint is raised: every variant alike would have it.
        """
        before = len(self.failures)
        self.progress.now(phase, ", ".join(names))
        for index, ended in side_by_side([partial(job, name) for name in names], most):
            try:
                yield names[index], ended.result()
            except CheckpointError:
                raise
            except (SlimnerError, OSError) as error:
                self._fail(names[index], phase, error)
        self.failures[before:] = sorted(self.failures[before:], key=lambda failure: names.index(failure.variant))

    def _measure(self, step: Step) -> MeasurementRecord | None:
        variant = next((name for name, artifact in self.artifacts.items() if artifact.path == step.artifact), None)
        if variant is None:
            self.progress.done("measure", f"skipped a process of a failed variant ({step.artifact.name})")
            return None
        record = self.journal.get(step.name, MeasurementRecord)
        if record is None:
            self.progress.now("measure", variant)
            try:
                with measuring_alone(self.progress.note):
                    record = measure(step, self.workload.source, self.settings)
            except (SlimnerError, OSError) as error:
                self._fail(variant, "measure", error)
                return None
            self._keep(step.name, record)
        self.progress.found(record)
        self.progress.done("measure", f"{variant}, process {step.repetition}")
        return record


def headline(pipeline: Pipeline) -> str:
    """What is about to run, in a line."""
    checkpoint, machine, threads = pipeline.checkpoint, describe(), pipeline.settings.threads
    scored = f"{len(pipeline.corpus.sentences):,} sentences" if pipeline.corpus else "random weights"
    return (
        f"{checkpoint.name} · {checkpoint.architecture} {checkpoint.parameters / 1e6:.1f} M · "
        f"{scored} · {machine.cores} cores, {machine.instructions} · "
        f"{threads} thread{'s' if threads > 1 else ''} each"
    )
