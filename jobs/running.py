"""A run: the variants of a checkpoint built, scored, measured and compared, and a report of it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..bench import Workload
from ..bench.ledger import dependencies
from ..bench.workload import EMBEDDED as EMBEDDED_WORKLOAD
from ..core.errors import MissingDependencyError, SlimnerError, UserError
from ..core.install import install_hint
from ..core.ledger_records import ImportLedger
from ..core.locks import held_directory
from ..core.records import (
    Failure,
    Measuring,
    Results,
    RunSettings,
)
from ..core.store import write_text
from ..eval import Corpus, CorpusSource, Differences, differences
from ..eval.corpora import EMBEDDED
from ..reports import Beside, Decision, Policy, Row, decide, rows_of, write_report
from ..variants import VARIANTS, Checkpoint, LoadOptions, Variant, resolve_checkpoint
from ..variants.building import facts
from ..variants.variant import DEFAULT_EXPORTER
from . import between_runs
from .defaults import TEXTS, corpus_for, remember, unsaid
from .inputs import corpus_of, require, require_measuring, workload_of
from .pipeline import Pipeline, headline
from .progress import SILENT, Progress
from .unknown import tell_unknown

REPORT = "slimner-report"
TIE_BUDGET_S = 120.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found: its raw results, a row for each variant, the decision, and the path of the report."""

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
    baseline = baseline if source.weights or baseline != "fp32" else "imported"
    chosen, broken = _chosen(variants, baseline, source)
    with held_directory(Path(out)):
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
        progress.note(headline(pipeline))
        if source.trained:
            tell_unknown(source.tokenizer, labelled, texts, progress)
        results = pipeline.run()
        remember(results.checkpoint, pipeline.corpus, texts)
        for name in pipeline.artifacts:
            own = [record for record in results.measurements if record.variant == name]
            between_runs.remember(own, texts.sha256, settings)
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


def _chosen(
    names: Sequence[str] | None, baseline: str, source: Checkpoint
) -> tuple[tuple[Variant, ...], tuple[Failure, ...]]:
    """The variants to compare, in order, the baseline among them; and those of plugins that cannot be imported."""
    failures: list[Failure] = []
    variants = [VARIANTS.get(baseline)]
    if names:
        variants += [VARIANTS.get(name) for name in dict.fromkeys(names) if name != baseline]
    else:
        for name in VARIANTS.names():
            try:
                variant = VARIANTS.get(name)
            except UserError as error:  # a broken plugin that was not asked for by name
                failures.append(Failure(variant=name, step="load", kind="refused", reason=str(error)))
            else:
                fits = variant.standard and name != baseline and variant.imports != source.weights
                variants += [variant] if fits else []
    lacking = sorted({module for variant in variants for module in variant.missing(building=True)})
    if all(variant.missing(building=True) for variant in variants):
        raise MissingDependencyError(
            f"no variant can be built here: {', '.join(lacking)} not installed", install_hint("lab")
        )
    require("seqeval", "memory_profiler")
    require_measuring()
    return order(variants, baseline), tuple(failures)


def order(variants: Sequence[Variant], baseline: str) -> tuple[Variant, ...]:
    """The baseline first, then by complexity."""
    return tuple(sorted(variants, key=lambda v: (v.name != baseline, v.complexity, v.name)))


def _texts_of(corpus: Corpus, out: Path) -> str:
    """The embedded workload for the embedded corpus; else the corpus's own texts, written beside the report."""
    if corpus.source.name == EMBEDDED:
        return EMBEDDED_WORKLOAD
    path = out / TEXTS
    write_text(path, "".join(" ".join(sentence.text.splitlines()) + "\n" for sentence in corpus.sentences))
    return str(path)


def _changed(results: Results, corpus: Corpus) -> list[Differences]:
    """What each variant finds differently from the baseline, where both were scored."""
    scored = {record.variant: record for record in results.evaluations}
    base = scored.get(results.settings.baseline)
    return [differences(base, record, corpus) for record in scored.values() if base is not None and record is not base]


def _dependencies(artifact: Path, workload: Workload, settings: Measuring, progress: Progress) -> ImportLedger | None:
    """What the imports of a program that runs the artifact cost; None, with a remark, if that cannot be measured."""
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        texts = Path(directory) / "texts.txt"
        write_text(texts, "\n".join(workload.texts[:20]) + "\n")
        try:
            return dependencies(artifact, texts, settings, lambda what: None)
        except SlimnerError as error:
            progress.failed("explain", f"dependencies of the winner: {error}", counts=False)
            return None
