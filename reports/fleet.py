"""A verdict for a fleet: the winner of each kind of machine, and whether one bundle serves all.

Pure functions of records, but for `try_on`, which carries a bundle to another kind of machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from ..core.machine import fingerprint
from ..core.records import EvaluationRecord, Machine, Record, Results
from ..eval import Interval, f1_change, f1_interval
from .comparison import Row, rows_of
from .content import Part, Points, Section, Table
from .decision import Decision, decide, f1_misses, standings
from .formatting import MISSING, megabytes, points
from .policy import Policy


class CellResult(Record, frozen=True, kw_only=True):
    """A cell of a sweep: its results, a directory beside the record, or why it has none."""

    kind: str
    machine: Machine
    checkpoint: str
    workload: str
    threads: int
    directory: str | None = None
    failed: str = ""


class Choice(Record, frozen=True, kw_only=True):
    """What a kind of machine should run, of all variants with all numbers of threads.

    `feasible` are the variants that fit the policy with some number of threads; `directory` has the winner's results.
    """

    kind: str
    decision: Decision
    variant: str | None = None
    threads: int | None = None
    directory: str | None = None
    feasible: tuple[str, ...] = ()


class Carried(Record, frozen=True, kw_only=True):
    """How a bundle built on one kind of machine did on another: whether it serves there, and why.

    `differing` of its `golden` texts were answered otherwise there. `f1` (0..1) was scored there; `f1_change` is in
    percentage points against the baseline that this kind built itself.
    """

    variant: str
    built_on: str
    kind: str
    serves: bool
    because: str
    golden: int = 0
    differing: int = 0
    f1: float | None = None
    f1_change: Interval | None = None


class FleetVerdict(Record, frozen=True, kw_only=True):
    """One checkpoint on one workload: a choice for each kind of machine, and the variant that serves all, if any.

    `because` says why it does, or why none does. `built_on` is the kind of machine whose bundle serves all. `carried`
    are all trials of bundles on other kinds; `needs_own` the kinds that the best of these bundles does not serve.
    """

    checkpoint: str
    workload: str
    choices: tuple[Choice, ...]
    serves_all: str | None
    because: str
    built_on: str | None = None
    needs_own: tuple[str, ...] = ()
    carried: tuple[Carried, ...] = ()


class Sweep(Record, frozen=True, kw_only=True):
    """What a sweep found: its cells in order, and a verdict for each checkpoint and workload."""

    slimner: str
    started: str
    cells: tuple[CellResult, ...]
    verdicts: tuple[FleetVerdict, ...]


Measured = tuple[CellResult, Results]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind of machine found of a bundle built on another, or why it could not be tried there (`failed`)."""

    golden: int = 0
    differing: int = 0
    evaluation: EvaluationRecord | None = None
    failed: str = ""


TryOn = Callable[[CellResult, str, str], Trial]
"""Carry the bundle of a variant, built in a cell, to a kind of machine: (cell, variant, kind)."""


def not_carried(cell: CellResult, variant: str, kind: str) -> Trial:
    """No way to another kind of machine."""
    return Trial(failed=f"{kind} was not reached")


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """By what is decided: the policy of a machine, the order of variants that tie, and trials on other kinds."""

    policy_of: Callable[[Machine], Policy]
    complexity: Mapping[str, int]
    try_on: TryOn = not_carried


def verdicts(measured: Sequence[Measured], judge: Judge, failed: Sequence[CellResult] = ()) -> list[FleetVerdict]:
    """A verdict for each checkpoint and workload; timings of different kinds of machine are never compared.

    If a kind of machine has `failed` cells only, it stays open whether one bundle serves all.
    """
    groups: dict[tuple[str, str], list[Measured]] = {}
    for cell, results in measured:
        groups.setdefault((cell.checkpoint, cell.workload), []).append((cell, results))
    return [
        _verdict(key, group, judge, {cell.kind for cell in failed if (cell.checkpoint, cell.workload) == key})
        for key, group in groups.items()
    ]


def _verdict(key: tuple[str, str], group: Sequence[Measured], judge: Judge, failed: set[str]) -> FleetVerdict:
    kinds: dict[str, list[Measured]] = {}
    for cell, results in group:
        kinds.setdefault(cell.kind, []).append((cell, results))
    verdict = FleetVerdict(
        checkpoint=key[0],
        workload=key[1],
        choices=tuple(_choice(kind, own, judge.policy_of, judge.complexity) for kind, own in kinds.items()),
        serves_all=None,
        because=f"no results of {', '.join(sorted(failed - set(kinds)))}",
    )
    return verdict if failed - set(kinds) else _one_for_all(verdict, kinds, judge)


def _choice(
    kind: str, own: Sequence[Measured], policy_of: Callable[[Machine], Policy], complexity: Mapping[str, int]
) -> Choice:
    """Decide among the variants of one kind of machine, a row for each number of threads."""
    rows: list[Row] = []
    behind: dict[str, tuple[str, int, str | None]] = {}
    for cell, results in own:
        for row in rows_of(results):
            name = row.variant if len(own) == 1 else f"{row.variant} ({cell.threads} threads)"
            behind[name] = (row.variant, cell.threads, cell.directory)
            rows.append(msgspec.structs.replace(row, variant=name))
    decision = decide(
        rows, {name: complexity.get(of[0], 0) for name, of in behind.items()}, policy_of(own[0][0].machine)
    )
    marks = standings(rows, decision)
    feasible = [behind[name][0] for name in behind if not {"infeasible", "failed"} & set(marks[name])]
    variant, threads, directory = behind[decision.winner] if decision.winner else (None, None, None)
    return Choice(
        kind=kind,
        decision=decision,
        variant=variant,
        threads=threads,
        directory=directory,
        feasible=tuple(dict.fromkeys(feasible)),
    )


def _one_for_all(verdict: FleetVerdict, kinds: Mapping[str, Sequence[Measured]], judge: Judge) -> FleetVerdict:
    """The verdict with the bundle that serves all kinds: each candidate is carried until one does."""
    choices = verdict.choices
    everyone = tuple(choice.kind for choice in choices)
    if len(choices) == 1:
        only = choices[0]
        because = "there is one kind of machine" if only.variant else "no variant fits the policy"
        return msgspec.structs.replace(
            verdict, serves_all=only.variant, built_on=only.kind if only.variant else None, because=because
        )
    if reason := _incomparable(kinds):
        return msgspec.structs.replace(verdict, because=reason, needs_own=everyone)
    everywhere = [name for name in choices[0].feasible if all(name in choice.feasible for choice in choices)]
    if not everywhere:
        reason = "no variant fits the policy on every kind of machine"
        return msgspec.structs.replace(verdict, because=reason, needs_own=everyone)
    tried: list[Carried] = []
    lacking: list[Carried] = []
    for variant, cell in _candidates(everywhere, choices, kinds, judge.complexity):
        trials = [_carried(variant, cell, own, judge) for kind, own in kinds.items() if kind != cell.kind]
        tried += trials
        missed = [trial for trial in trials if not trial.serves]
        if not missed:
            others = [f"{choice.kind} ({choice.variant})" for choice in choices if choice.variant != variant]
            lead = f"; better by themselves: {', '.join(others)}" if others else ""
            because = f"built on {cell.kind}, it gives the same golden answers and keeps F1 on every other kind{lead}"
            return msgspec.structs.replace(
                verdict, serves_all=variant, built_on=cell.kind, because=because, carried=tuple(tried)
            )
        if not lacking or len(missed) < len(lacking):
            lacking = missed
    because = "; ".join(f"{one.variant} of {one.built_on} on {one.kind}: {one.because}" for one in lacking)
    return msgspec.structs.replace(
        verdict, because=because, needs_own=tuple(one.kind for one in lacking), carried=tuple(tried)
    )


def _incomparable(kinds: Mapping[str, Sequence[Measured]]) -> str:
    corpora = {results.corpus and results.corpus.sha256 for own in kinds.values() for _, results in own}
    models = {results.checkpoint.sha256 for own in kinds.values() for _, results in own}
    if len(models) > 1:
        return "the machines have different checkpoints under this name"
    if corpora == {None}:
        return "random weights have no answers to compare"
    return "the machines scored different corpora" if len(corpora) > 1 else ""


def _candidates(
    everywhere: Sequence[str],
    choices: Sequence[Choice],
    kinds: Mapping[str, Sequence[Measured]],
    complexity: Mapping[str, int],
) -> Iterator[tuple[str, CellResult]]:
    """Variants that fit every policy with the cell that built them: first what most kinds chose, as they built it."""
    wins = {name: [choice for choice in choices if choice.variant == name] for name in everywhere}
    for name in sorted(everywhere, key=lambda name: (-len(wins[name]), complexity.get(name, 0))):
        for choice in wins[name]:
            yield name, next(cell for cell, _ in kinds[choice.kind] if cell.directory == choice.directory)
        if not wins[name]:
            yield name, next(iter(kinds.values()))[0][0]


def _carried(variant: str, cell: CellResult, own: Sequence[Measured], judge: Judge) -> Carried:
    """Try a bundle on a kind of machine whose `own` results have the baseline of its F1."""
    there, results = own[0]
    trial = judge.try_on(cell, variant, there.kind)
    told = Carried(
        variant=variant,
        built_on=cell.kind,
        kind=there.kind,
        serves=False,
        because=trial.failed,
        golden=trial.golden,
        differing=trial.differing,
    )
    base = next((one for one in results.evaluations if one.variant == results.settings.baseline), None)
    if trial.failed or trial.evaluation is None:
        return told
    if base is None or base.corpus_sha256 != trial.evaluation.corpus_sha256:
        return msgspec.structs.replace(told, because="F1 has no baseline there to be compared with")
    seed = results.settings.seed
    f1, change = f1_interval(trial.evaluation, seed=seed), f1_change(base, trial.evaluation, seed=seed)
    reasons = [f"{trial.differing} of {trial.golden} golden texts are answered otherwise"] if trial.differing else []
    row = Row(variant=variant, baseline=False, f1=f1, change=change)
    reasons += f1_misses(row, judge.policy_of(there.machine))
    well = f"same golden answers, F1 {points(change.points)}" if change else "same golden answers"
    return msgspec.structs.replace(
        told,
        serves=not reasons,
        because="; ".join(reasons) or well,
        f1=f1.value if f1 else None,
        f1_change=change.points if change else None,
    )


def sections(sweep: Sweep) -> Iterator[Section]:
    """The sweep for people: its machines, its cells, and what each kind of machine should run."""
    machines = {cell.kind: cell.machine for cell in sweep.cells}
    yield Section(
        title="Machines",
        parts=[
            Table(
                headings=("kind", "processor", "cores", "memory", "instruction sets"),
                lines=[
                    (
                        kind,
                        one.cpu,
                        str(one.cores),
                        megabytes(one.memory_limit_bytes or one.memory_bytes),
                        one.instructions,
                    )
                    for kind, one in machines.items()
                ],
            )
        ],
    )
    failed = [cell for cell in sweep.cells if cell.failed]
    if failed:
        yield Section(
            title="Cells without results",
            parts=[
                Table(
                    headings=("kind", "checkpoint", "workload", "threads", "reason"),
                    lines=[(c.kind, c.checkpoint, c.workload, str(c.threads), c.failed) for c in failed],
                )
            ],
        )
    for verdict in sweep.verdicts:
        yield Section(title=f"{verdict.checkpoint} on {verdict.workload}", parts=_said(verdict))


def _said(verdict: FleetVerdict) -> list[Part]:
    lines = [
        (
            choice.kind,
            choice.variant or "none",
            MISSING if choice.threads is None else str(choice.threads),
            choice.decision.because,
            choice.directory or MISSING,
        )
        for choice in verdict.choices
    ]
    points = [
        ("one bundle", f"{verdict.serves_all}: {verdict.because}" if verdict.serves_all else f"no: {verdict.because}")
    ]
    parts: list[Part] = [
        Table(
            headings=("kind", "winner", "threads", "because", "results"), lines=lines, important=("winner", "threads")
        )
    ]
    if verdict.carried:
        tried = [
            (one.variant, one.built_on, one.kind, "yes" if one.serves else "no", one.because) for one in verdict.carried
        ]
        parts.append(Table(headings=("bundle", "built on", "tried on", "serves", "because"), lines=tried))
    return [*parts, Points(points)]


def kind_of(machine: Machine) -> str:
    """Name of the kind of machine that a machine is of: timings of one kind may be compared."""
    return fingerprint(machine)
