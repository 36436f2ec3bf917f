"""Comparing two sides: artifacts in pairs, recorded results as recorded, or one with the other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ..bench import Workload
from ..bench.pairs import Pair, Tally, measure_pairs
from ..bench.session import Step, measure_timed
from ..core.cache import cache_directory
from ..core.errors import EXIT_FAILED, EXIT_INCONCLUSIVE, UserError
from ..core.gate_records import Outcome
from ..core.journal import Journal
from ..core.locks import measuring_alone
from ..core.machine import boot_id, describe
from ..core.metrics import metric_of
from ..core.records import EvaluationRecord, Measuring, Record, RunSettings
from ..core.verdicts import Comparison, Side
from ..eval import Corpus, CorpusSource
from ..reports import Policy, Terms, compare_sides
from ..reports.gate import EXIT_CODES, decided_by_scores, joint_outcome, margins
from ..reports.verdicts import change_of
from ..variants import Artifact
from . import lasting
from .between_runs import between_runs, deviations
from .defaults import corpus_for, unsaid, workload_for
from .inputs import Source, require, require_measuring, source_of
from .progress import SILENT, Progress, tell
from .scoring import score
from .unknown import tell_unknown

# How each process of a pair is measured, if nothing else is asked for.
PAIRED = Measuring(samples=100)
BUDGET_S = 300.0


class Compared(Record, frozen=True, kw_only=True):
    """Comparisons, a variant each, and the margins they were judged at, in words.

    `f1_required` says whether the user's policy asked for F1; else F1 need not be judged.
    """

    comparisons: tuple[Comparison, ...]
    margins: str
    f1_required: bool = False

    @property
    def exit_code(self) -> int:
        """0 nothing is worse; 1 something is; 3 cannot tell; 4 a side has failed, or a required F1 was not judged."""
        if any(side.failures for c in self.comparisons for side in (c.baseline, c.candidate)):
            return EXIT_FAILED
        found = [verdict.verdict for comparison in self.comparisons for verdict in comparison.verdicts]
        if self.f1_required and "not judged" in found:
            return EXIT_FAILED
        if all(verdict in ("not comparable", "not judged") for verdict in found):
            return EXIT_INCONCLUSIVE
        outcomes: set[Outcome] = {joint_outcome(comparison.verdicts) for comparison in self.comparisons}
        return max((EXIT_CODES[outcome] for outcome in outcomes), key=(0, 3, 1).index)


def compare(
    baseline: str | Path | Source,
    candidate: str | Path | Source,
    *,
    variant: str | None = None,
    policy: Policy | None = None,
    corpus: str | Path | CorpusSource | Corpus | None = None,
    workload: str | Path | Workload | None = None,
    settings: Measuring = PAIRED,
    budget_s: float = BUDGET_S,
    progress: Progress = SILENT,
) -> Compared:
    """Compare a candidate with its baseline, metric by metric: better, worse, same, or inconclusive.

    Either is results, an artifact, a bundle or a checkpoint (of which `variant` is built). Two artifacts are measured
    now, in pairs, until every metric has a verdict or the budget is spent. Raises UserError when they have no variant
    in common, ChildError when a process failed.
    """
    judged, sources = margins(policy or Policy())
    required = policy is not None and policy.f1_max_drop_pp is not None
    one, two = (source(given, variant, settings, progress) for given in (baseline, candidate))
    comparisons = compare_sources(
        one,
        two,
        Terms(margins=judged, seed=settings.seed),
        corpus=corpus,
        workload=workload,
        settings=settings,
        budget_s=budget_s,
        to_the_end=True,
        f1_required=required,
        progress=progress,
    )
    if not comparisons:
        raise UserError(f"{one.label} and {two.label} have no variant in common", "name one with --variant")
    return Compared(comparisons=tuple(comparisons), margins=sources, f1_required=required)


def source(given: str | Path | Source, variant: str | None, settings: Measuring, progress: Progress) -> Source:
    """A side: as given, or found from its name."""
    return given if isinstance(given, Source) else source_of(given, variant, settings.timeout_s, progress)


def compare_sources(
    baseline: Source,
    candidate: Source,
    question: Terms,
    *,
    corpus: str | Path | CorpusSource | Corpus | None,
    workload: str | Path | Workload | None,
    settings: Measuring,
    budget_s: float,
    to_the_end: bool,
    f1_required: bool = True,
    progress: Progress,
) -> list[Comparison]:
    """Compare two sides: artifacts in pairs, recorded results as recorded, or one with the other.

    Pairs go on until every metric has a verdict if `to_the_end`, else until it is known whether one is worse. An
    artifact against results is scored and measured as the results were. Two artifacts for which no corpus is known
    are compared without F1, unless `f1_required`.
    """
    models = [side.artifact.manifest.checkpoint for side in (baseline, candidate) if side.artifact]

    def sentences() -> Corpus | None:
        try:
            return corpus_for(corpus, *models, progress=progress)
        except UserError as error:
            if f1_required or not unsaid(corpus):
                raise
            progress.note(f"F1 is not judged: {error}")
            return None

    if models:
        require_measuring()
    if baseline.artifact and candidate.artifact:
        require("seqeval")
        pairing = Pairing(
            baseline=baseline,
            candidate=candidate,
            corpus=sentences(),
            workload=workload_for(workload, *models, progress=progress),
            settings=settings,
        )
        tell_unknown(candidate.artifact.tokenizer, pairing.corpus, pairing.workload, progress)
        question = msgspec.structs.replace(question, lasting=lasting.known(describe()))
        return [pairing.compare(question, to_the_end=to_the_end, budget_s=budget_s, progress=progress)]
    one, two = baseline.recorded, candidate.recorded
    recorded = baseline.results or candidate.results
    if not (one and two) and recorded:
        require("seqeval")
        labelled = corpus_for(corpus, *models, progress=progress)
        texts = workload_for(workload, *models, progress=progress)
        for found, side in ((one, baseline), (two, candidate)):
            if side.artifact:
                measured = _as_recorded(side.artifact, side.label, labelled, texts, recorded.settings, progress)
                found[measured.variant] = measured
    return compare_recorded(one, two, question)


def compare_recorded(baseline: Mapping[str, Side], candidate: Mapping[str, Side], question: Terms) -> list[Comparison]:
    """Judge each variant that both sides have, from recorded figures."""
    shared = [name for name in baseline if name in candidate]
    asked = msgspec.structs.replace(question, variants=max(1, len(shared)))
    found: list[Comparison] = []
    for name in shared:
        one, two = baseline[name], candidate[name]
        asked = msgspec.structs.replace(asked, between_runs=between_runs(one.machine, two.machine))
        found.append(compare_sides(one, two, asked))
    return found


def settled(comparison: Comparison, *, to_the_end: bool) -> bool:
    """Whether more pairs cannot change the answer: every verdict with `to_the_end`, else whether something is worse."""
    measured = [v for v in comparison.verdicts if v.metric not in ("f1", "size")]
    if to_the_end:
        return all(verdict.verdict != "inconclusive" for verdict in measured)
    return joint_outcome(measured) != "inconclusive" or joint_outcome(comparison.verdicts) == "regression"


def _open(comparison: Comparison, *, to_the_end: bool) -> str:
    """What a comparison cannot tell yet, with its intervals."""
    found = [
        f"{metric_of(verdict.metric).title} {change_of(verdict)}"
        for verdict in comparison.verdicts
        if (verdict.verdict == "inconclusive" if to_the_end else joint_outcome([verdict]) == "inconclusive")
    ]
    return f"open: {', '.join(found)}"


class Pairing(msgspec.Struct, frozen=True, kw_only=True):
    """Two artifacts, and what they are scored and measured on."""

    baseline: Source
    candidate: Source
    corpus: Corpus | None
    workload: Workload
    settings: Measuring

    @property
    def artifacts(self) -> tuple[Artifact, Artifact]:
        """The baseline's and the candidate's artifact."""
        assert self.baseline.artifact is not None
        assert self.candidate.artifact is not None
        return self.baseline.artifact, self.candidate.artifact

    def compare(self, question: Terms, *, to_the_end: bool, budget_s: float, progress: Progress) -> Comparison:
        """Score both, measure pairs until it is settled or the budget is spent, and judge.

        Unless it goes `to_the_end`, nothing is measured when F1, a type's F1 or size have become worse already.
        """
        begun = time.monotonic()
        one, two = self._sides(question, progress)
        scores = _judged(one, two, (), (0,), question)
        if not to_the_end and (decided := decided_by_scores(scores)):
            return msgspec.structs.replace(scores, ended=decided)
        baseline, candidate = self.artifacts
        journal = Journal(cache_directory() / "unfinished-pairs", self._identity(question))
        tally = Tally(budget_s=budget_s)
        progress.phase("measure", tally.most)
        open_yet = f"first looked at after {tally.looks[0]} pairs"
        for pair in measure_pairs(
            baseline.path,
            candidate.path,
            self.workload.source,
            self.settings,
            concurrent=any(name.startswith("qps") for name in question.margins),
            journal=journal,
            tell=progress.note,
        ):
            look = tally.take(pair)
            tell(pair, progress)
            if look:
                judged = _judged(one, two, tally.pairs, tally.looked, question)
                if settled(judged, to_the_end=to_the_end):
                    tally.ended = "settled"
                else:
                    open_yet = _open(judged, to_the_end=to_the_end)
            if tally.ended:
                break
            progress.now("measure", f"{open_yet}; at most {tally.left_s:.0f} s more")
        journal.finish()
        lasting.remember(tally.pairs)
        return msgspec.structs.replace(
            _judged(one, two, tally.pairs, tally.looked or (0,), question),
            disturbed_pairs=len(tally.pairs) - tally.undisturbed,
            baseline_first=tuple(pair.baseline_first for pair in tally.pairs),
            seconds=round(time.monotonic() - begun, 1),
            ended=tally.ended,
        )

    def _sides(self, question: Terms, progress: Progress) -> tuple[Side, Side]:
        """Both sides, scored if F1 is to be compared, with nothing measured yet."""
        scored: list[EvaluationRecord | None] = [None, None]
        if self.corpus is not None and "f1" in question.margins:
            progress.phase("evaluate", 2)
            for i, artifact in enumerate(self.artifacts):
                progress.now("evaluate", str(artifact.path))
                scored[i] = score(
                    artifact, self.corpus, threads=self.settings.threads, timeout_s=self.settings.timeout_s
                )
                progress.done("evaluate", str(artifact.path))
        labels = self.baseline.label, self.candidate.label
        one, two = (
            unmeasured(artifact, label, self.corpus, self.workload, self.settings, evaluation)
            for artifact, label, evaluation in zip(self.artifacts, labels, scored, strict=True)
        )
        return one, two

    def _identity(self, question: Terms) -> object:
        names = [(str(artifact.path.resolve()), artifact.manifest.seal) for artifact in self.artifacts]
        return (names, self.workload.sha256, self.settings, sorted(question.margins), describe(), boot_id())


def _judged(one: Side, two: Side, pairs: Sequence[Pair], looks: Sequence[int], question: Terms) -> Comparison:
    return compare_sides(
        msgspec.structs.replace(one, measurements=tuple(pair.baseline for pair in pairs)),
        msgspec.structs.replace(two, measurements=tuple(pair.candidate for pair in pairs)),
        question,
        looks=tuple(looks),
    )


def unmeasured(
    artifact: Artifact,
    label: str,
    corpus: Corpus | None,
    workload: Workload,
    settings: Measuring,
    evaluation: EvaluationRecord | None,
) -> Side:
    """A side of which nothing has been measured yet."""
    machine = describe()
    return Side(
        label=label,
        variant=artifact.manifest.variant,
        artifact=artifact.manifest.name,
        size_bytes=artifact.manifest.size_bytes,
        corpus=corpus.facts if corpus else None,
        workload=workload.facts,
        settings=settings,
        machine=machine,
        evaluation=evaluation,
        deviations=deviations(machine),
    )


def _as_recorded(
    artifact: Artifact, label: str, corpus: Corpus, workload: Workload, settings: RunSettings, progress: Progress
) -> Side:
    """Score and measure an artifact as a run would have, to be compared with recorded results."""
    progress.phase("evaluate", 1)
    evaluation = score(artifact, corpus, threads=settings.threads, timeout_s=settings.timeout_s)
    side = unmeasured(artifact, label, corpus, workload, settings, evaluation)
    progress.done("evaluate", label)
    progress.phase("measure", settings.repetitions)
    measured = []
    for repetition in range(1, settings.repetitions + 1):
        step = Step(artifact=artifact.path, repetition=repetition)
        with measuring_alone(progress.note):
            measured.append(measure_timed(step, workload.source, settings))
        progress.done("measure", f"{label}, process {repetition}")
    return msgspec.structs.replace(side, measurements=tuple(measured))
