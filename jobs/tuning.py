"""Searching for a better `onnx-int8` of a checkpoint: layers in FP32 and fusions, measured in pairs, under a policy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from ..bench import Workload
from ..bench.pairs import spent
from ..bench.workload import EMBEDDED
from ..core import child
from ..core.cache import cache_directory
from ..core.errors import ChildError
from ..core.journal import Journal
from ..core.machine import WIDE_DOT_PRODUCTS, boot_id, describe, thread_environment
from ..core.metrics import METRICS, limits
from ..core.records import EvaluationRecord, Measuring
from ..core.store import sha256_of
from ..core.verdicts import Comparison, MetricVerdict
from ..eval import Corpus, CorpusSource, Interval, f1_change
from ..reports import Policy, Terms
from ..reports.tuning import Trial, Tuned
from ..reports.verdicts import change_of
from ..variants import VARIANTS, Artifact, Checkpoint, LoadOptions, Reader, resolve_checkpoint
from ..variants.building import build, facts, key_of
from ..variants.sensitivity import Sensitivity, sensitivities_in_child
from ..variants.variant import Tuning
from .best import hold, require_place
from .bundling import some
from .comparing import PAIRED, Pairing
from .defaults import corpus_for, unsaid, workload_for
from .inputs import Source, require, require_measuring
from .progress import SILENT, Progress
from .scoring import score

BUDGET_S = 1800.0
TEXTS, TOKENS = 12, 128
FUSIONS = ("SkipLayerNormFusion", "BiasGeluFusion")
MOST_LAYERS = 6
F1 = "F1"
EVERYTHING = "everything was tried"


class _Candidate(msgspec.Struct, frozen=True, kw_only=True):
    tuning: Tuning
    artifact: Artifact
    evaluation: EvaluationRecord | None = None
    f1: Interval | None = None
    misses: frozenset[str] = frozenset()


class _Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change: a trial, or why it failed; and the limits that the best after it does not keep."""

    trial: Trial | None = None
    failed: str = ""
    beyond: set[str]


class _SpentError(Exception):
    """The budget ended before it was known what becomes of a change."""


def tune(
    checkpoint: str | Path,
    out: str | Path,
    *,
    policy: Policy | None = None,
    corpus: str | Path | CorpusSource | Corpus | None = None,
    workload: str | Path | Workload | None = None,
    budget_s: float = BUDGET_S,
    settings: Measuring = PAIRED,
    load: LoadOptions | None = None,
    progress: Progress = SILENT,
) -> Tuned:
    """Search for an `onnx-int8` of a checkpoint that meets a policy better than the default one.

    The best so far is an artifact in the directory `out` at every moment; a search that was interrupted, or whose
    budget ended, goes on where it stopped. ArtifactError if `out` holds anything but a default `onnx-int8` of this
    checkpoint or what the same search has put there.
    """
    require("torch", "transformers", "onnx", "seqeval")
    require_measuring()
    policy, begun = policy or Policy(), time.monotonic()
    source, target = resolve_checkpoint(str(checkpoint), load), Path(out)
    scored = source.trained and (policy.f1_max_drop_pp is not None or "f1_min" in policy.limits)
    search = _Search(
        source=source,
        policy=policy,
        corpus=corpus_for(corpus if scored or not unsaid(corpus) else EMBEDDED, facts(source), progress=progress),
        scored=scored,
        workload=workload_for(workload, facts(source), progress=progress),
        settings=settings,
        out=target,
        ends=begun + budget_s,
        progress=progress,
    )
    require_place(target, source, search.journal)
    best = default = search.candidate(Tuning())
    first = _trial(default, kept=True, why="the default")
    layers = search.sensitivities(best)
    trials: list[Trial] = []
    failed: list[str] = []
    ended = EVERYTHING
    for change, for_accuracy in _changes(layers, missing=F1 in default.misses):
        if for_accuracy and F1 not in best.misses:
            continue
        tuning = best.tuning.joined(change)
        try:
            tried = search.tried(tuning, best)
        except _SpentError:
            ended = spent(budget_s)
            break
        if (trial := tried.trial) is None:
            failed.append(tried.failed)
            progress.note(f"note: {tried.failed}")
            continue
        trials.append(trial)
        if trial.kept:
            best = search.candidate(tuning)
        progress.note(f"{trial.tuning}: {'kept' if trial.kept else 'not kept'}, {trial.why}")
    hold(best.artifact, target, search.journal)
    return Tuned(
        checkpoint=source.name,
        policy=policy.describe(),
        out=str(out),
        artifact=best.artifact.manifest.name,
        tuning=str(best.tuning),
        default=first,
        layers=tuple(layers),
        trials=tuple(trials),
        failed=tuple(failed),
        misses=tuple(sorted(best.misses | search.beyond)),
        ended=ended,
        found=_found(default, best, trials, whole=ended == EVERYTHING),
    )


def _changes(layers: Sequence[Sensitivity], *, missing: bool) -> Iterator[tuple[Tuning, bool]]:
    """What is tried, each on top of the best until then, and whether it is for accuracy.

    Where F1 misses the policy: the layers that cost most of it for their time, one, two, four ... of them. Then the
    fusions, and the layers that were not slower in FP32 at first sight.
    """
    if missing:
        worst = sorted(layers, key=lambda layer: (1 - layer.error) / max(layer.time, 0.1), reverse=True)
        count = 1
        while count // 2 < len(worst):
            yield Tuning(fp32=tuple(layer.layer for layer in worst[:count])), True
            count *= 2
    for fusion in FUSIONS:
        yield Tuning(fused=(fusion,)), False
    for layer in sorted(layers, key=lambda layer: layer.time)[:MOST_LAYERS]:
        if layer.time < 1:
            yield Tuning(fp32=(layer.layer,)), False


def _trial(candidate: _Candidate, *, kept: bool, why: str, verdicts: tuple[MetricVerdict, ...] = ()) -> Trial:
    manifest = candidate.artifact.manifest
    return Trial(
        tuning=str(candidate.tuning) or "default",
        error=manifest.parity.mean_abs_logit_difference,
        size_bytes=manifest.size_bytes,
        f1=candidate.f1,
        verdicts=verdicts,
        kept=kept,
        why=why,
    )


def _found(default: _Candidate, best: _Candidate, trials: Sequence[Trial], *, whole: bool) -> str:
    measured = sum(bool(trial.verdicts) for trial in trials)
    tried = f"{len(trials)} changes tried, {measured} of them measured in pairs"
    if not str(best.tuning):
        so_far = "" if whole else " before the budget ended"
        return f"Nothing better than the default was found{so_far}: {tried}."
    meets = default.misses and not best.misses
    return f"{'Meets the policy, unlike' if meets else 'Better than'} the default: {best.tuning} ({tried})."


class _Search:
    """Candidates of one search; what was scored and tried is kept in a journal, for later starts of the same search."""

    def __init__(
        self,
        *,
        source: Checkpoint,
        policy: Policy,
        corpus: Corpus,
        scored: bool,
        workload: Workload,
        settings: Measuring,
        out: Path,
        ends: float,
        progress: Progress,
    ) -> None:
        self.source, self.policy, self.corpus, self.workload = source, policy, corpus, workload
        self.settings, self.progress, self.scored, self.out, self.ends = settings, progress, scored, out, ends
        self.variant = VARIANTS.get("onnx-int8")
        texts = (corpus.source, corpus.sha256, workload.sha256)
        identity = (key_of(source, self.variant), policy, *texts, settings, describe(), boot_id())
        self.journal = Journal(cache_directory() / "tuning" / sha256_of(identity)[:16], identity)
        if self.journal.resumed:
            progress.note("going on where the last start of the same search stopped")
        self.beyond: set[str] = set()  # limits that the measurements of the best do not keep

    @cached_property
    def reference(self) -> EvaluationRecord | None:
        """The scores of `fp32`, if F1 is asked for."""
        return self._scored(self._built("fp32", Tuning())) if self.scored else None

    def _left_s(self) -> float:
        """Seconds of the budget that are left now; _SpentError if there are none."""
        if (left := self.ends - time.monotonic()) <= 0:
            raise _SpentError
        return left

    def _built(self, variant: str, tuning: Tuning) -> Artifact:
        what = f"{variant} of {self.source.name}" + (f", {tuning}" if str(tuning) else "")
        self.progress.phase("build", 1)
        self.progress.now("build", what)
        artifact, _ = build(
            self.source,
            VARIANTS.get(variant),
            cache=cache_directory(),
            timeout_s=self.settings.timeout_s,
            tuning=tuning,
        )
        self.progress.done("build", what)
        return artifact

    def _scored(self, artifact: Artifact) -> EvaluationRecord:
        name = f"score {artifact.manifest.name}"
        record = self.journal.get(name, EvaluationRecord)
        if record is None:
            record = score(artifact, self.corpus, threads=self.settings.threads, timeout_s=self.settings.timeout_s)
            self.journal.put(name, record)
        return record

    def sensitivities(self, default: _Candidate) -> list[Sensitivity]:
        """What each layer costs, on some texts of the workload."""
        if (known := self.journal.get("layers", list[Sensitivity])) is not None:
            return known
        hold(default.artifact, self.out, self.journal)
        reader = Reader(Tokenizer.from_file(str(self.source.tokenizer)))
        longest = min(self.source.window // 2, TOKENS)
        windows = [reader.encode(text).ids[:longest] for text in some(self.workload.texts, TEXTS)]
        wide = bool(WIDE_DOT_PRODUCTS & set(describe().instruction_sets))
        self.progress.phase("layers", 1)
        self.progress.now("layers", "what each one costs")
        looking = child.call(sensitivities_in_child, self.source, windows, wide)
        found = looking.run(timeout_s=self.settings.timeout_s, environment=thread_environment(1))
        self.progress.done("layers", f"{len(found)} layers")
        self.journal.put("layers", found)
        return found

    def candidate(self, tuning: Tuning) -> _Candidate:
        """A built and scored artifact, and which demands it misses that need no measuring."""
        artifact = self._built(self.variant.name, tuning)
        evaluation = self._scored(artifact) if self.reference else None
        change = None
        if evaluation and self.reference:
            found = f1_change(self.reference, evaluation, seed=self.settings.seed)
            change = found.points if found else None
        allowed, least = self.policy.f1_max_drop_pp, self.policy.limits.get("f1_min", 0.0)
        misses = {F1} if change and allowed is not None and change.low < -allowed else set[str]()
        if evaluation and change and evaluation.strict.f1 < least:
            misses.add(F1)
        if artifact.manifest.size_bytes > self.policy.limits.get("size_max", float("inf")):
            misses.add("size")
        return _Candidate(tuning=tuning, artifact=artifact, evaluation=evaluation, f1=change, misses=frozenset(misses))

    def tried(self, tuning: Tuning, best: _Candidate) -> _Tried:
        """What became of a change on top of the best, in an earlier start or now; _SpentError if time does not do."""
        step = f"try {best.artifact.manifest.name} {tuning}"
        known = self.journal.get(step, _Tried)
        if known is not None:
            self.beyond = known.beyond
            return known
        hold(best.artifact, self.out, self.journal)
        self._left_s()
        try:
            trial = self.against(self.candidate(tuning), best)
            found = _Tried(trial=trial, beyond=self.beyond)
        except ChildError as error:
            found = _Tried(failed=f"{tuning}: {error.message}", beyond=self.beyond)
        self.journal.put(step, found)
        return found

    def against(self, candidate: _Candidate, best: _Candidate) -> Trial:
        """Whether a candidate is better than the best; measured only where that decides."""
        if candidate.misses - best.misses:
            return _trial(candidate, kept=False, why=f"misses the policy in {', '.join(sorted(candidate.misses))}")
        if best.misses - candidate.misses:
            return _trial(candidate, kept=True, why=f"meets the policy in {', '.join(sorted(best.misses))}")
        if candidate.misses:
            return _trial(candidate, kept=False, why=f"still misses it in {', '.join(sorted(candidate.misses))}")
        comparison = self._compared(candidate, best)
        mine, its = self._beyond(comparison, candidate=True), self._beyond(comparison, candidate=False)
        judged = [comparison.of(name) for name in self.policy.objective]
        words = ", ".join(f"{METRICS[v.metric].title} {change_of(v)} {v.verdict}" for v in judged)
        if mine - its:
            kept, why = False, f"{', '.join(sorted(mine - its))} beyond the limit"
        elif its - mine:
            kept, why = True, f"{', '.join(sorted(its - mine))} within the limit"
        else:
            verdicts = {verdict.verdict for verdict in judged}
            kept, why = "better" in verdicts and verdicts <= {"better", "same"}, words
        self.beyond = mine if kept else its
        return _trial(candidate, kept=kept, why=why, verdicts=comparison.verdicts)

    def _compared(self, candidate: _Candidate, best: _Candidate) -> Comparison:
        """Both in pairs; _SpentError if the budget ends before there is an answer: a part of one is no evidence."""
        left = self._left_s()
        wanted = [*self.policy.objective, *(limits()[key].name for key in self.policy.limits)]
        names = [name for name in dict.fromkeys(wanted) if name != "f1"]
        pairing = Pairing(
            baseline=Source(label="best so far", artifact=best.artifact),
            candidate=Source(label=str(candidate.tuning), artifact=candidate.artifact),
            corpus=self.corpus,
            workload=self.workload,
            settings=self.settings,
        )
        terms = Terms(margins=dict.fromkeys(names, self.policy.tie), seed=self.settings.seed)
        found = pairing.compare(terms, to_the_end=True, budget_s=left, progress=self.progress)
        if found.ended == spent(left):
            raise _SpentError
        return found

    def _beyond(self, comparison: Comparison, *, candidate: bool) -> set[str]:
        """Limits of the policy that the median of the measured processes is beyond."""
        side = comparison.candidate if candidate else comparison.baseline
        beyond = set[str]()
        for key, value in self.policy.limits.items():
            metric = limits()[key]
            figures = [f for m in side.measurements if metric.of and (f := metric.of(m)) is not None]
            if figures and (statistics.median(figures) > value) != metric.higher_is_better:
                beyond.add(metric.title)
        return beyond
