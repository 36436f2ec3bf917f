"""A gate: whether a candidate is worse than its baseline, as one record with an exit code."""

from __future__ import annotations

import time
from pathlib import Path

from ..bench import Workload
from ..core.errors import EXIT_FAILED, ChildError
from ..core.gate_records import Check, GateRecord
from ..core.records import Measuring
from ..core.verdicts import Comparison
from ..eval import Corpus, CorpusSource
from ..reports import Policy, Terms
from ..reports.calibration import said
from ..reports.gate import EXIT_CODES, checks, failures, margins, outcome_of
from .calibrating import stored
from .comparing import BUDGET_S, PAIRED, compare_sources, source
from .inputs import Source
from .progress import SILENT, Progress


def gate(
    baseline: str | Path | Source,
    candidate: str | Path | Source,
    *,
    variant: str | None = None,
    policy: Policy | None = None,
    corpus: str | Path | CorpusSource | Corpus | None = None,
    workload: str | Path | Workload | None = None,
    settings: Measuring = PAIRED,
    budget_s: float = BUDGET_S,
    everything: bool = False,
    progress: Progress = SILENT,
) -> GateRecord:
    """Say whether a candidate is worse than its baseline by more than the margins, or breaks a limit of the policy.

    Either is results, an artifact, a bundle or a checkpoint (of which `variant` is built). Two artifacts are measured
    in pairs until that is known or the budget is spent; with `everything`, until each metric has a verdict, even if F1
    is a regression already. A build or measurement that fails is a failed check of the
    record, with exit code 4. Raises UserError when the request is wrong.
    """
    begun = time.monotonic()
    policy = policy or Policy()
    calibration = stored()
    judged, sources = margins(policy)
    found: list[Check] = []
    comparisons: list[Comparison] = []
    try:
        one, two = (source(given, variant, settings, progress) for given in (baseline, candidate))
        comparisons = compare_sources(
            one,
            two,
            Terms(margins=judged, seed=settings.seed),
            corpus=corpus,
            workload=workload,
            settings=settings,
            budget_s=budget_s,
            to_the_end=everything,
            progress=progress,
        )
        found += _lacking(one, two)
    except (ChildError, OSError) as error:
        if isinstance(error, ChildError) and error.stderr_tail:
            progress.note(error.stderr_tail)
        found.append(Check(variant=variant or "", name="measurement", outcome="failed", message=str(error)))
    for comparison in comparisons:
        found += checks(comparison, policy)
    outcome = outcome_of(found)
    return GateRecord(
        outcome=outcome,
        exit_code=EXIT_CODES.get(outcome, EXIT_FAILED),
        baseline=_label(baseline),
        candidate=_label(candidate),
        policy=policy.describe(),
        margins=sources,
        calibration=said(calibration),
        checks=tuple(found),
        comparisons=tuple(comparisons),
        seconds=round(time.monotonic() - begun, 1),
    )


def _label(given: str | Path | Source) -> str:
    return given.label if isinstance(given, Source) else str(given)


def _lacking(one: Source, two: Source) -> list[Check]:
    """What a results file lacks."""
    if one.results and two.results:
        return list(failures(one.recorded, two.recorded))
    recorded = one.recorded or two.recorded
    artifact = one.artifact or two.artifact
    if not recorded or artifact is None:
        return []
    name = artifact.manifest.variant
    if name not in recorded:
        message = f"the results have no {name}, they have {', '.join(recorded)}"
        return [Check(variant=name, name="baseline", outcome="failed", message=message)]
    return list(failures({name: recorded[name]}, {name: recorded[name]}))
