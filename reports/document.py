"""The description of the report on one run, from its records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from ..core.ledger_records import ImportLedger, Ledger
from ..core.load_records import LoadReport
from ..core.metrics import METRICS
from ..core.records import Results
from ..eval import Differences
from . import before_after, costs, load, quality
from .comparison import Row
from .content import Axis, Cell, Chart, Code, Part, Point, Points, Report, Section, Series, Table, Text
from .decision import Decision, standings
from .formatting import MISSING, megabytes, show
from .ledger import imports
from .ledger import sections as ledger_sections
from .notes import notes
from .tables import cells, columns, headings

# Notes that tell where figures hold or what was done about a disturbance, and take nothing away from them.
REMARKS = ("repeated", "instructions", "no-timeline", "shared", "resumed")

# What stands in a table too narrow for everything.
IMPORTANT = ("F1", "memory", "p95", "change", "p50", "qps", "size", "peak", "cold start")

COLUMNS = (
    "F1 is strict (seqeval, IOB2) with its 95 % bootstrap interval over sentences; change is in percentage points "
    "against the baseline, paired. Cold start runs from exec to the first answer, files in the page cache. Memory is "
    "resident memory after the workload (RSS), peak is the highest resident size (VmHWM); MB are 10^6 bytes. p50 and "
    "p95 are of one text at a time; qps are answers a second to five threads of one process. ± is half the 95 % "
    "interval over fresh processes."
)


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """Other records of the same variants: what was found beside the results of a run, or given with them.

    `dependencies` is what the imports of a program that runs the winner cost, `differences` what each variant finds
    otherwise than the baseline. `before` and `after` name the variants that are put side by side, in place of the
    baseline and the winner.
    """

    dependencies: ImportLedger | None = None
    differences: Sequence[Differences] = ()
    ledgers: Sequence[Ledger] = ()
    loads: Sequence[LoadReport] = ()
    before: str | None = None
    after: str | None = None


def report_of(results: Results, rows: Sequence[Row], decision: Decision, beside: Beside | None = None) -> Report:
    """Everything that a report on a run holds; nothing is measured and nothing is read."""
    beside = beside or Beside()
    return Report(
        title=f"{results.checkpoint.name}: which variant",
        decision=verdict(results, decision),
        decided=decision.winner is not None,
        reservations=reservations(results, decision),
        figures=before_after.headline(*pair) if (pair := _pair(rows, decision, beside)) else [],
        facts=list(_facts(results)),
        sections=list(_sections(results, rows, decision, beside)),
    )


def verdict(results: Results, decision: Decision) -> str:
    """The decision in one sentence."""
    if decision.winner is None:
        closest = f"; closest is {decision.closest}" if decision.closest else ""
        return f"No winner: {decision.because}{closest}."
    if decision.winner == results.settings.baseline:
        return f"Stay with {decision.winner}: {decision.because}."
    return f"Use {decision.winner} in place of {results.settings.baseline}: {decision.because}."


def reservations(results: Results, decision: Decision) -> list[str]:
    """What limits the decision, the most important first."""
    found = [f"{f.variant} failed to {f.step}: {f.reason}" for f in results.failures]
    if decision.undecided:
        found.append(f"whether {', '.join(decision.undecided)} should have won is open; raise --repetitions")
    return found + [str(note) for note in notes(results) if note.code not in REMARKS]


def _pair(rows: Sequence[Row], decision: Decision, beside: Beside) -> tuple[Row, Row] | None:
    """The rows that are put side by side: those that were named, else the baseline and the winner."""
    baseline = next((row.variant for row in rows if row.baseline), None)
    names = (beside.before or baseline, beside.after or decision.winner)
    before, after = (next((row for row in rows if row.variant == name), None) for name in names)
    return (before, after) if before and after and after is not before else None


def comparison(rows: Sequence[Row], decision: Decision) -> Table:
    """Every variant with its figures, and how it stands."""
    stands = standings(rows, decision)
    return Table(
        headings=headings(),
        lines=[_line(row) for row in rows],
        marks=[stands[row.variant] for row in rows],
        important=IMPORTANT,
    )


def _line(row: Row) -> list[str | Cell]:
    name, f1, change, *shown = cells(row)
    if row.failed:
        f1, *rest = ("failed" if f1 == MISSING else f1, change, *shown)
        change, *shown = rest
    points = row.change.points if row.change else None
    line: list[str | Cell] = [name]
    line.append(Cell(f1, row.f1.value, row.f1.low, row.f1.high) if row.f1 else f1)
    line.append(Cell(change, points.value, points.low, points.high) if points else change)
    for metric, cell in zip(columns(), shown, strict=True):
        figure = row.spread(metric.name)
        line.append(Cell(cell, figure.value, figure.low, figure.high) if figure else cell)
    return line


def reasons(decision: Decision) -> Points:
    """The decision in words, one point each: the policy, the winner, why not the others, what is open."""
    items = [("policy", decision.policy.describe())]
    if decision.winner:
        items.append(("winner", f"{decision.winner} because {decision.because}"))
    else:
        closest = f"; closest is {decision.closest}" if decision.closest else ""
        items.append(("winner", f"none: {decision.because}{closest}"))
    items += [("not", f"{variant}: {reason}") for variant, reason in decision.losers.items()]
    if decision.undecided:
        items.append(("open", f"whether {', '.join(decision.undecided)} should have won; raise --repetitions"))
    items += [("near", miss) for miss in decision.near_misses]
    items += [("instead", f"{other}, if the objective were {name}") for name, other in decision.alternatives.items()]
    if len(decision.front) > 1:
        names = ", ".join(decision.front)
        items.append(("front", f"{names}: no other is shown to be better in F1, memory, p95 or size and worse in none"))
    return Points(items)


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    """What was measured, on what and with what, in short, for the first screen."""
    checkpoint, machine, settings, corpus = results.checkpoint, results.machine, results.settings, results.corpus
    millions = f"{checkpoint.parameters / 1e6:.1f} million parameters"
    yield "checkpoint", f"{checkpoint.name}, {checkpoint.architecture}, {millions}"
    scored = (
        f"{corpus.entities:,} entities in {corpus.sentences:,} sentences of {corpus.name}"
        if corpus
        else "random weights, so nothing is scored"
    )
    yield "corpus", scored
    work = results.workload
    yield (
        "workload",
        f"{work.texts} texts of {work.name}: p50 {work.length(50)}, p95 {work.length(95)}, longest "
        f"{work.length(100)} characters",
    )
    yield "machine", f"{machine.cpu}, {machine.cores} cores, {machine.instructions}"
    processes = f"{settings.repetitions} timed processes a variant"
    yield "settings", f"{settings.threads} thread{'s' if settings.threads > 1 else ''} each, {processes}"
    commit = ""
    if results.commit:
        state = {True: "", False: ", with changes", None: ""}[results.commit.clean]
        commit = f", commit {results.commit.sha[:12]}{state}"
    yield "made", f"slimner {results.slimner}, {results.started}{commit}"


def _sections(results: Results, rows: Sequence[Row], decision: Decision, beside: Beside) -> Iterator[Section]:
    yield Section(title="Decision", parts=[reasons(decision)])
    yield Section(title="Comparison", parts=[comparison(rows, decision), Text(COLUMNS), *tradeoffs(rows, decision)])
    yield from quality.sections(results, rows, decision.winner, beside.differences)
    yield from costs.sections(results, rows)
    yield from load.curves(beside.loads)
    if beside.dependencies is not None:
        yield _dependencies(beside.dependencies, decision.winner)
    for found in beside.ledgers:
        name = found.variant or found.artifact or "a program"
        yield Section(title=f"Memory ledger of {name}", parts=ledger_sections(found), detail=True)
    if pair := _pair(rows, decision, beside) or _any_pair(rows):
        yield before_after.section(results, *pair, beside.ledgers)
    if results.builds:
        yield _builds(results)
    if results.failures:
        failed: list[Part] = []
        for failure in results.failures:
            failed.append(Points([(failure.variant, f"{failure.step}: {failure.reason}")]))
            failed += [Code(failure.stderr_tail)] if failure.stderr_tail else []
        yield Section(title="Failures", parts=failed)
    yield Section(title="How far to believe this", parts=[Points([("", str(note)) for note in notes(results)])])
    yield _machine(results)


def _any_pair(rows: Sequence[Row]) -> tuple[Row, Row] | None:
    """The baseline and the first other variant that did not fail, for a decision to stay with the baseline."""
    before = next((row for row in rows if row.baseline and not row.failed), None)
    after = next((row for row in rows if not row.baseline and not row.failed), None)
    return (before, after) if before and after else None


def tradeoffs(rows: Sequence[Row], decision: Decision) -> Iterator[Chart]:
    """F1 against memory, and F1 against p50; the front is ringed and joined."""
    for against, area in (("memory", "p50"), ("p50", "memory")):
        shown = [r for r in rows if r.f1 and r.value("memory") and r.value("p50")]
        if len(shown) < 2:
            return
        metric, other = METRICS[against], METRICS[area]
        largest = max(r.value(area) or 0 for r in shown)
        scale, unit = (1e6, "MB") if metric.unit == "bytes" else (1.0, metric.unit)
        series = [
            Series(
                name=row.variant,
                points=[_dot(row, against, scale, (row.value(area) or 0) / largest, decision)],
                line=False,
                dots=True,
            )
            for row in shown
        ]
        joined = sorted((s.points[0] for s in series if s.points[0].ringed), key=lambda p: p.x)
        yield Chart(
            name=f"f1-{against}",
            title=f"F1 against {metric.title}",
            caption=f"Strict F1 with its 95 % interval against {metric.meaning}; the area of a dot is its "
            f"{other.title}. Higher and further left is better. Variants on the front are ringed and joined.",
            x=Axis(title=f"{metric.title}, {unit}", zero=True),
            y=Axis(title="F1, %"),
            series=[*series, Series(name="front", points=joined, guide=True)],
            table=Table(
                headings=("variant", "F1", metric.title, other.title, "front"),
                lines=[
                    (
                        row.variant,
                        Cell(f"{row.f1.value * 100:.2f}", row.f1.value, row.f1.low, row.f1.high) if row.f1 else MISSING,
                        Cell(show(metric, row.value(against)), row.value(against)),
                        Cell(show(other, row.value(area)), row.value(area)),
                        "yes" if row.variant in decision.front else "no",
                    )
                    for row in shown
                ],
            ),
        )


def _dot(row: Row, against: str, scale: float, area: float, decision: Decision) -> Point:
    assert row.f1 is not None
    star = " (winner)" if row.variant == decision.winner else ""
    figures = ", ".join(f"{METRICS[n].title} {show(METRICS[n], row.value(n))}" for n in ("memory", "p50"))
    return Point(
        x=(row.value(against) or 0) / scale,
        y=row.f1.value * 100,
        low=row.f1.low * 100,
        high=row.f1.high * 100,
        says=f"{row.variant}{star}: F1 {row.f1.value * 100:.2f} "
        f"({row.f1.low * 100:.2f} to {row.f1.high * 100:.2f}), {figures}",
        area=area,
        ringed=row.variant in decision.front,
    )


def _dependencies(ledger: ImportLedger, winner: str | None) -> Section:
    section = imports(ledger)
    said = Text(f"Of a program that answers texts with {winner}.")
    return msgspec.structs.replace(section, parts=(said, *section.parts))


def _builds(results: Results) -> Section:
    lines: list[tuple[str | Cell, ...]] = [
        (
            b.variant,
            b.artifact,
            Cell(megabytes(b.size_bytes), b.size_bytes),
            Cell(f"{b.seconds:.1f} s" + (" (cached)" if b.cached else ""), b.seconds),
            Cell(megabytes(b.peak_bytes), b.peak_bytes),
            Cell(f"{b.parity.max_abs_logit_difference:.2g}", b.parity.max_abs_logit_difference),
            Cell(f"{b.parity.mean_abs_logit_difference:.2g}", b.parity.mean_abs_logit_difference),
            Cell(f"{b.parity.tag_agreement * 100:.2f} %", b.parity.tag_agreement),
        )
        for b in results.builds
    ]
    names = ("variant", "artifact", "size", "built in", "peak", "logits, largest difference", "mean", "same tags")
    said = "Logits are compared with the checkpoint's own in FP32, on texts and on random ids up to the window."
    return Section(title="Builds", parts=[Table(headings=names, lines=lines), Text(said)], detail=True)


def _machine(results: Results) -> Section:
    machine, settings = results.machine, results.settings
    limit = megabytes(machine.memory_limit_bytes) if machine.memory_limit_bytes else "no limit"
    quota = f", quota {machine.cpu_quota_cores:g} cores" if machine.cpu_quota_cores else ""
    items = [
        ("processor", f"{machine.cpu}, {machine.cores} cores{quota}, {machine.instructions}"),
        ("memory", f"{machine.memory_bytes / 1e9:.1f} GB, {limit}"),
        ("system", f"kernel {machine.kernel}, Python {machine.python}, governor {machine.governor or 'not known'}"),
        ("libraries", ", ".join(f"{name} {version}" for name, version in machine.libraries.items())),
        (
            "settings",
            f"variants {', '.join(settings.variants)}; baseline {settings.baseline}; {settings.threads} threads, "
            f"{settings.samples} texts timed in each of {settings.repetitions} processes, warm-up of "
            f"{settings.warmup} texts, seed {settings.seed}",
        ),
        ("checkpoint", f"sha256 {results.checkpoint.sha256}"),
        ("workload", f"{results.workload.name}, sha256 {results.workload.sha256}"),
    ]
    if results.corpus:
        items.append(("corpus", f"{results.corpus.name}, sha256 {results.corpus.sha256}"))
    if results.commit:
        clean = {True: "clean", False: "with changes", None: "not known whether clean"}[results.commit.clean]
        items.append(("commit", f"{results.commit.sha} on {results.commit.branch or 'no branch'}, {clean}"))
    items.append(("run", f"{results.seconds:.0f} s from {results.started}, slimner {results.slimner}"))
    return Section(title="Machine", parts=[Points(items)], detail=True)
