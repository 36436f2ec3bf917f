"""A verdict for a fleet: the winner of each kind of machine, and whether one bundle serves all. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from ..core.machine import fingerprint
from ..core.records import EvaluationRecord, Machine, Record, Results
from .comparison import Row, rows_of
from .content import Part, Points, Section, Table
from .decision import Decision, decide, standings
from .formatting import MISSING, megabytes
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


class FleetVerdict(Record, frozen=True, kw_only=True):
    """One checkpoint on one workload: a choice for each kind of machine, and the variant that serves all, if any.

    `because` says why it does, or why none does; `needs_own` are the kinds that need another bundle. Each kind has
    built its own artifacts: on `to_verify`, whose instruction sets differ from the first kind's, the bundle itself is
    still to be checked.
    """

    checkpoint: str
    workload: str
    choices: tuple[Choice, ...]
    serves_all: str | None
    because: str
    needs_own: tuple[str, ...] = ()
    to_verify: tuple[str, ...] = ()


class Sweep(Record, frozen=True, kw_only=True):
    """What a sweep found: its cells in order, and a verdict for each checkpoint and workload."""

    slimner: str
    started: str
    cells: tuple[CellResult, ...]
    verdicts: tuple[FleetVerdict, ...]


Measured = tuple[CellResult, Results]


def verdicts(
    measured: Sequence[Measured],
    policy_of: Callable[[Machine], Policy],
    complexity: Mapping[str, int],
    failed: Sequence[CellResult] = (),
) -> list[FleetVerdict]:
    """A verdict for each checkpoint and workload; timings of different kinds of machine are never compared.

    A kind of machine of which only `failed` cells are there leaves open whether one bundle serves all.
    """
    groups: dict[tuple[str, str], list[Measured]] = {}
    for cell, results in measured:
        groups.setdefault((cell.checkpoint, cell.workload), []).append((cell, results))
    return [
        _verdict(
            key,
            group,
            policy_of,
            complexity,
            {cell.kind for cell in failed if (cell.checkpoint, cell.workload) == key},
        )
        for key, group in groups.items()
    ]


def _verdict(
    key: tuple[str, str],
    group: Sequence[Measured],
    policy_of: Callable[[Machine], Policy],
    complexity: Mapping[str, int],
    failed: set[str],
) -> FleetVerdict:
    kinds: dict[str, list[Measured]] = {}
    for cell, results in group:
        kinds.setdefault(cell.kind, []).append((cell, results))
    choices = [_choice(kind, own, policy_of, complexity) for kind, own in kinds.items()]
    variant: str | None
    if lacking := sorted(failed - set(kinds)):
        variant, because, own = None, f"no results of {', '.join(lacking)}", list[str]()
    else:
        variant, because, own = _one_for_all(choices, kinds, complexity)
    sets = {kind: measured[0][0].machine.instructions for kind, measured in kinds.items()}
    first = next(iter(sets.values()))
    to_verify = [kind for kind, instructions in sets.items() if instructions != first] if variant else []
    if to_verify:
        because += f"; each kind built its own: check the bundle with slimner verify on {', '.join(to_verify)}"
    return FleetVerdict(
        checkpoint=key[0],
        workload=key[1],
        choices=tuple(choices),
        serves_all=variant,
        because=because,
        needs_own=tuple(own),
        to_verify=tuple(to_verify),
    )


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


def _one_for_all(
    choices: Sequence[Choice], kinds: Mapping[str, Sequence[Measured]], complexity: Mapping[str, int]
) -> tuple[str | None, str, list[str]]:
    """The variant whose one bundle serves all kinds, why, and otherwise the kinds that need their own."""
    if len(choices) == 1:
        only = choices[0]
        return only.variant, "there is one kind of machine" if only.variant else "no variant fits the policy", []
    corpora = {results.corpus and results.corpus.sha256 for own in kinds.values() for _, results in own}
    models = {results.checkpoint.sha256 for own in kinds.values() for _, results in own}
    everyone = [choice.kind for choice in choices]
    if len(models) > 1:
        return None, "the machines have different checkpoints under this name", everyone
    if corpora == {None}:
        return None, "random weights have no answers to compare", everyone
    if len(corpora) > 1:
        return None, "the machines scored different corpora", everyone
    everywhere = [name for name in choices[0].feasible if all(name in choice.feasible for choice in choices)]
    if not everywhere:
        return None, "no variant fits the policy on every kind of machine", everyone
    wins = {name: sum(choice.variant == name for choice in choices) for name in everywhere}
    reasons: list[str] = []
    for name in sorted(everywhere, key=lambda name: (-wins[name], complexity.get(name, 0))):
        if differing := _differing(name, kinds):
            reasons.append(f"{name} answers {differing}")
            continue
        others = [f"{choice.kind} ({choice.variant})" for choice in choices if choice.variant != name]
        lead = f"; better by themselves: {', '.join(others)}" if others else ""
        return name, f"it fits every policy and answers all sentences alike on every kind of machine{lead}", []
    return None, "; ".join(reasons), everyone


def _differing(variant: str, kinds: Mapping[str, Sequence[Measured]]) -> str:
    """How answers of a variant differ between kinds of machine; empty if they do not."""
    found: dict[str, EvaluationRecord] = {}
    for kind, own in kinds.items():
        for _, results in own:
            for record in results.evaluations:
                if record.variant == variant:
                    found.setdefault(kind, record)
    (first, base), *others = found.items()
    for kind, record in others:
        pairs = zip(base.predictions, record.predictions, strict=True)
        if changed := sum(one != other for one, other in pairs):
            return f"{changed} of {len(base.predictions)} sentences otherwise on {kind} than on {first}"
    return ""


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
    return [
        Table(
            headings=("kind", "winner", "threads", "because", "results"), lines=lines, important=("winner", "threads")
        ),
        Points(points),
    ]


def kind_of(machine: Machine) -> str:
    """Name of the kind of machine that a machine is of: timings of one kind may be compared."""
    return fingerprint(machine)
