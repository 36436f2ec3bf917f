"""Comparing two sides: artifacts in pairs, recorded results as recorded, or one with the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from ..bench.pairs import Pair, measure_pairs
from ..core.cache import cache_directory
from ..core.journal import Journal
from ..core.machine import boot_id, describe
from ..core.paired import LOOKS
from ..core.records import EvaluationRecord, Settings
from ..core.verdicts import Comparison, Side
from ..eval import CorpusSource
from ..reports import Question, compare_sides
from ..reports.gate import settle
from ..variants import verify
from . import options
from .progress import Steps
from .sides import Given, Inputs, evaluate, inputs_of, recorded_side, unmeasured


def judge_sides(
    baseline: Given,
    candidate: Given,
    question: Question,
    *,
    corpus: CorpusSource,
    workload: str,
    settings: Settings,
    budget_s: float,
    to_the_end: bool,
) -> list[Comparison]:
    """Compare what two names stand for: artifacts in pairs, recorded results as recorded, or one with the other.

    Pairs go on until every metric has a verdict if `to_the_end`, else until it is known whether one is worse. An
    artifact against results is scored and measured as the results were.
    """

    def known(comparison: Comparison) -> bool:
        noisy = [v for v in comparison.verdicts if v.metric not in ("f1", "size")]
        if to_the_end:
            return all(verdict.verdict != "inconclusive" for verdict in noisy)
        return settle(noisy) != "inconclusive" or settle(comparison.verdicts) == "regression"

    with Steps(options.err_console()) as progress:
        if baseline.artifact and candidate.artifact:
            options.require("seqeval")
            inputs = inputs_of(corpus, workload, settings)
            return [
                compare_in_pairs(
                    baseline,
                    candidate,
                    inputs,
                    question,
                    settled=known,
                    quick=not to_the_end,
                    budget_s=budget_s,
                    progress=progress,
                )
            ]
        one, two = baseline.recorded, candidate.recorded
        recorded = baseline.results or candidate.results
        if not (one and two) and recorded:
            options.require("seqeval")
            inputs = inputs_of(corpus, workload, recorded.settings)
            for found, side in ((one, baseline), (two, candidate)):
                if side.artifact:
                    measured = recorded_side(side.artifact, side.label, inputs, progress)
                    found[measured.variant] = measured
        return compare_recorded(one, two, question)


def compare_in_pairs(
    baseline: Given,
    candidate: Given,
    inputs: Inputs,
    question: Question,
    *,
    settled: Callable[[Comparison], bool],
    quick: bool,
    budget_s: float,
    progress: Steps,
) -> Comparison:
    """Score two artifacts, measure them in pairs until `settled` or the budget is spent, and judge.

    With `quick` nothing is measured when F1 or size have become worse already.
    """
    begun = time.monotonic()
    assert baseline.artifact is not None
    assert candidate.artifact is not None
    artifacts = baseline.artifact, candidate.artifact
    scored: list[EvaluationRecord | None] = [None, None]
    if "f1" in question.margins:
        progress.phase("evaluate", 2)
        for i, artifact in enumerate(artifacts):
            scored[i] = evaluate(artifact, inputs)
            progress.done("evaluate", str(artifact))
    one = unmeasured(artifacts[0], baseline.label, inputs, scored[0])
    two = unmeasured(artifacts[1], candidate.label, inputs, scored[1])

    def judged(pairs: Sequence[Pair], looks: tuple[int, ...]) -> Comparison:
        return compare_sides(
            msgspec.structs.replace(one, measurements=tuple(pair.baseline for pair in pairs)),
            msgspec.structs.replace(two, measurements=tuple(pair.candidate for pair in pairs)),
            question,
            looks=looks,
        )

    scores = judged((), (0,))
    if quick and settle(v for v in scores.verdicts if v.metric in ("f1", "size")) == "regression":
        return msgspec.structs.replace(scores, ended="settled before any pair")
    progress.phase("measure", LOOKS[-1])
    journal = Journal(cache_directory() / "unfinished-pairs", _identity(artifacts, inputs, question))
    looked: list[int] = []

    def look(pairs: Sequence[Pair]) -> bool:
        looked.append(len(pairs))
        return settled(judged(pairs, tuple(looked)))

    run = measure_pairs(
        artifacts[0],
        artifacts[1],
        inputs.workload_name,
        inputs.settings,
        settled=look,
        budget_s=budget_s,
        concurrent=any(name.startswith("qps") for name in question.margins),
        journal=journal,
        on_pair=lambda pair, rejected: (
            progress.failed("measure", f"pair {pair.number} was disturbed, it is measured again", counts=False)
            if pair.disturbed
            else progress.done("measure", f"pair {pair.number}")
        ),
    )
    journal.finish()
    comparison = judged(run.pairs, run.looks or (0,))
    return msgspec.structs.replace(
        comparison, rejected_pairs=run.rejected, seconds=round(time.monotonic() - begun, 1), ended=run.ended
    )


def _identity(artifacts: tuple[Path, Path], inputs: Inputs, question: Question) -> object:
    names = [(str(path.resolve()), verify(path).seal) for path in artifacts]
    return (names, inputs.workload.sha256, inputs.settings, sorted(question.margins), describe(), boot_id())


def compare_recorded(
    baseline: Mapping[str, Side], candidate: Mapping[str, Side], question: Question
) -> list[Comparison]:
    """Judge each variant of the baseline that the candidate has, too, from recorded figures."""
    shared = [name for name in baseline if name in candidate]
    asked = msgspec.structs.replace(question, variants=max(1, len(shared)))
    return [compare_sides(baseline[name], candidate[name], asked) for name in shared]
