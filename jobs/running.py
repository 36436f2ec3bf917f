"""A run: what is done for each variant of a checkpoint, in which order, and what becomes of a variant that fails."""

from __future__ import annotations

import datetime
import importlib.metadata
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..bench import Step, Workload, measure, steps
from ..bench.ledger import dependencies
from ..bench.workload import EMBEDDED as EMBEDDED_WORKLOAD
from ..core.cache import cache_directory
from ..core.commit import commit_of
from ..core.errors import CheckpointError, ChildError, MissingDependencyError, SlimnerError, UserError
from ..core.install import install_hint
from ..core.journal import Journal
from ..core.ledger_records import ImportLedger
from ..core.machine import boot_id, describe
from ..core.records import (
    BuildRecord,
    EvaluationRecord,
    Failure,
    MeasurementRecord,
    Measuring,
    Results,
    RunSettings,
)
from ..core.store import RESULTS_SCHEMA, write_text
from ..eval import Corpus, CorpusSource, Differences, differences
from ..eval.corpora import EMBEDDED
from ..reports import Beside, Decision, Policy, Row, decide, rows_of, undecided, write_report
from ..variants import VARIANTS, Artifact, Checkpoint, LoadOptions, Variant, resolve_checkpoint
from ..variants.building import build, facts
from ..variants.variant import DEFAULT_EXPORTER
from .deciding import complexity
from .defaults import TEXTS, corpus_for, remember, unsaid
from .inputs import corpus_of, require, workload_of
from .progress import SILENT, Progress
from .scoring import score
from .unknown import tell_unknown

REPORT = "slimner-report"
TIE_BUDGET_S = 120.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found: its raw results, a row a variant, the decision, and where the report was written."""

    results: Results
    rows: tuple[Row, ...]
    decision: Decision
    report: Path


def run(
    checkpoint: str | Path | Checkpoint = EMBEDDED,
    *,
    load: LoadOptions | None = None,
    corpus: str | Path | CorpusSource | Corpus | None = None,
    workload: str | Path | Workload | None = None,
    variants: Sequence[str] | None = None,
    baseline: str = "fp32",
    policy: Policy | None = None,
    settings: Measuring | None = None,
    repetitions: int = 3,
    tie_budget_s: float = TIE_BUDGET_S,
    exporter: str = DEFAULT_EXPORTER,
    out: str | Path = REPORT,
    fresh: bool = False,
    progress: Progress = SILENT,
) -> Run:
    """Build, score and measure the variants of a checkpoint, pick one by a policy, and write a report to `out`.

    Without `variants` all that are installed are taken, without `workload` the texts of the corpus. Where it is open
    after the repetitions which variant wins, those in question are measured in more processes for up to `tie_budget_s`
    seconds. A variant that fails becomes a failure in the results, and the others go on. An interrupted run goes on
    where it stopped, unless `fresh`. Raises CheckpointError, CorpusError or another UserError when the request is
    wrong.
    """
    settings = settings or Measuring()
    source = checkpoint if isinstance(checkpoint, Checkpoint) else resolve_checkpoint(str(checkpoint), load)
    if source.trained:
        labelled = corpus_for(corpus, facts(source), progress=progress)
        labelled.require_types(source.labels.types)
    else:  # nothing is scored: only its texts may be taken
        labelled = corpus_of(EMBEDDED if corpus is None or unsaid(corpus) else corpus, progress)
    chosen, broken = _chosen(variants, baseline)
    texts = workload_of(workload if workload is not None else _texts_of(labelled, Path(out)))
    pipeline = Pipeline(
        checkpoint=source,
        corpus=labelled if source.trained else None,
        workload=texts,
        variants=chosen,
        settings=RunSettings(
            **msgspec.structs.asdict(settings),
            variants=(*(variant.name for variant in chosen), *(failure.variant for failure in broken)),
            baseline=baseline,
            repetitions=repetitions,
        ),
        broken=broken,
        policy=policy or Policy(),
        tie_budget_s=tie_budget_s,
        exporter=exporter,
        out=Path(out),
        progress=progress,
        fresh=fresh,
    )
    progress.note(_headline(pipeline))
    if source.trained:
        tell_unknown(source.tokenizer, labelled, texts, progress)
    results = pipeline.run()
    remember(results.checkpoint, pipeline.corpus, texts)
    rows = rows_of(results)
    decision = decide(rows, pipeline.complexity, pipeline.policy)
    imports = None
    if decision.winner:
        progress.phase("explain", 1)
        progress.now("explain", "dependencies of the winner")
        imports = _dependencies(pipeline.artifacts[decision.winner].path, texts, settings, progress)
        progress.done("explain", "dependencies of the winner")
    beside = Beside(dependencies=imports, differences=_changed(results, labelled))
    report = write_report(Path(out), results, rows, decision, beside)
    pipeline.journal.finish()
    return Run(results=results, rows=tuple(rows), decision=decision, report=report)


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
        """Do all of it."""
        started, begun = datetime.datetime.now(datetime.UTC), time.monotonic()
        commit = commit_of(Path.cwd())
        self.progress.phase("build", len(self.variants))
        builds = [built for variant in self.variants if (built := self._build(variant))]
        self.journal = self._open_journal()
        evaluations: list[EvaluationRecord] = []
        if self.corpus is not None:
            self.progress.phase("evaluate", len(self.artifacts))
            evaluations = [s for name in tuple(self.artifacts) if (s := self._evaluate(name, self.corpus))]
        todo = list(steps([artifact.path for artifact in self.artifacts.values()], self.settings.repetitions))
        self.progress.phase("measure", len(todo))
        measurements = [measured for step in todo if (measured := self._measure(step))]
        results = Results(
            schema=RESULTS_SCHEMA,
            slimner=importlib.metadata.version("slimner"),
            started=started.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - begun, 1),
            resumed=self.journal.resumed,
            commit=commit,
            machine=describe(),
            checkpoint=facts(self.checkpoint),
            corpus=self.corpus.facts if self.corpus else None,
            workload=self.workload.facts,
            settings=self.settings,
            builds=tuple(builds),
            evaluations=tuple(evaluations),
            measurements=tuple(measurements),
            failures=tuple(self.failures),
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

    def _build(self, variant: Variant) -> BuildRecord | None:
        self.progress.now("build", variant.name)
        begun = time.monotonic()
        try:
            artifact, cached = build(
                self.checkpoint,
                variant,
                cache=cache_directory(),
                timeout_s=self.settings.timeout_s,
                exporter_name=self.exporter,
            )
        except CheckpointError:
            raise  # it would fail every variant alike
        except (SlimnerError, OSError) as error:
            self._fail(variant.name, "build", error)
            return None
        self.artifacts[variant.name] = artifact
        spent = f"{time.monotonic() - begun:.1f} s"
        manifest = artifact.manifest
        record = BuildRecord(
            variant=variant.name,
            artifact=manifest.name,
            size_bytes=manifest.size_bytes,
            seconds=manifest.build_s,
            peak_bytes=manifest.build_peak_bytes,
            cached=cached,
            parity=manifest.parity,
        )
        self.progress.found(record)
        self.progress.done("build", f"{variant.name} ({'cached' if cached else spent})")
        return record

    def _evaluate(self, variant: str, corpus: Corpus) -> EvaluationRecord | None:
        step = f"evaluate {variant}"
        record = self.journal.get(step, EvaluationRecord)
        if record is None:
            self.progress.now("evaluate", variant)
            try:
                record = score(
                    self.artifacts[variant],
                    corpus,
                    threads=self.settings.threads,
                    timeout_s=self.settings.timeout_s,
                )
            except (SlimnerError, OSError) as error:
                self._fail(variant, "evaluate", error)
                return None
            self._keep(step, record)
        self.progress.found(record)
        self.progress.done("evaluate", f"{variant} F1 {record.strict.f1 * 100:.2f}")
        return record

    def _measure(self, step: Step) -> MeasurementRecord | None:
        variant = next((name for name, artifact in self.artifacts.items() if artifact.path == step.artifact), None)
        if variant is None:
            self.progress.done("measure", f"skipped a process of a failed variant ({step.artifact.name})")
            return None
        record = self.journal.get(step.name, MeasurementRecord)
        if record is None:
            self.progress.now("measure", variant)
            try:
                record = measure(step, self.workload.source, self.settings)
            except (SlimnerError, OSError) as error:
                self._fail(variant, "measure", error)
                return None
            self._keep(step.name, record)
        self.progress.found(record)
        self.progress.done("measure", f"{variant}, process {step.repetition}")
        return record


def _headline(pipeline: Pipeline) -> str:
    """What is about to run, in a line."""
    checkpoint, machine, threads = pipeline.checkpoint, describe(), pipeline.settings.threads
    scored = f"{len(pipeline.corpus.sentences):,} sentences" if pipeline.corpus else "random weights"
    return (
        f"{checkpoint.name} · {checkpoint.architecture} {checkpoint.parameters / 1e6:.1f} M · "
        f"{scored} · {machine.cores} cores, {machine.instructions} · "
        f"{threads} thread{'s' if threads > 1 else ''} each"
    )


def _chosen(names: Sequence[str] | None, baseline: str) -> tuple[tuple[Variant, ...], tuple[Failure, ...]]:
    """The variants to compare, in order, the baseline among them; and those of plugins that cannot be imported."""
    failures: list[Failure] = []
    variants = [VARIANTS.get(baseline)]
    if names:
        variants += [VARIANTS.get(name) for name in dict.fromkeys(names) if name != baseline]
    else:
        for name in VARIANTS.names():
            try:
                variants += [VARIANTS.get(name)] if name != baseline else []
            except UserError as error:  # a broken plugin that was not asked for by name
                failures.append(Failure(variant=name, step="load", kind="refused", reason=str(error)))
    lacking = sorted({module for variant in variants for module in variant.missing(building=True)})
    if all(variant.missing(building=True) for variant in variants):
        raise MissingDependencyError(
            f"no variant can be built here: {', '.join(lacking)} not installed", install_hint("lab")
        )
    require("seqeval", "memory_profiler")
    return order(variants, baseline), tuple(failures)


def order(variants: Sequence[Variant], baseline: str) -> tuple[Variant, ...]:
    """The baseline first, then from the simple to the less simple."""
    return tuple(sorted(variants, key=lambda v: (v.name != baseline, v.complexity, v.name)))


def _texts_of(corpus: Corpus, out: Path) -> str:
    """The embedded workload for the embedded corpus; else the corpus's own texts, written beside the report."""
    if corpus.source.name == EMBEDDED:
        return EMBEDDED_WORKLOAD
    path = out / TEXTS
    write_text(path, "".join(" ".join(sentence.text.splitlines()) + "\n" for sentence in corpus.sentences))
    return str(path)


def _changed(results: Results, corpus: Corpus) -> list[Differences]:
    """What each variant finds otherwise than the baseline, where both were scored."""
    scored = {record.variant: record for record in results.evaluations}
    base = scored.get(results.settings.baseline)
    return [differences(base, record, corpus) for record in scored.values() if base is not None and record is not base]


def _dependencies(artifact: Path, workload: Workload, settings: Measuring, progress: Progress) -> ImportLedger | None:
    """What the imports of a program that runs the artifact cost; None, with a line, if that cannot be told."""
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        texts = Path(directory) / "texts.txt"
        write_text(texts, "\n".join(workload.texts[:20]) + "\n")
        try:
            return dependencies(artifact, texts, settings, lambda what: None)
        except SlimnerError as error:
            progress.failed("explain", f"dependencies of the winner: {error}", counts=False)
            return None
