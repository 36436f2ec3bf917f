"""Several runs as sections of a report: over time, machines and checkpoints. Pure functions of history entries."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import msgspec

from ..core.history_records import HISTORY_SCHEMA, HistoryEntry, VariantEntry
from ..core.metrics import F1, METRICS, Metric
from ..core.records import Results
from ..core.store import sha256_of
from ..core.verdicts import sides
from .change_points import change_points
from .comparison import Row
from .content import Axis, Cell, Chart, Part, Point, Report, Section, Series, Table, Text
from .formatting import MISSING, SCALES, show, spread_of
from .gate import margins
from .policy import Policy
from .verdicts import Terms, change_of, compare_sides

# Runs of a series that are drawn, and that have a line in a table; what changed is told of all.
MOST_DRAWN = 200
MOST_LINES = 20

# What tells series apart in a title: the first of these that the machine has.
WIDEST = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512f", "avx2", "i8mm", "asimddp")

# Figures that are drawn first; the others are folded.
FIRST = ("f1", "memory", "p50")

METHOD = (
    "A step is a verdict on a run against the one before it, at the margins of a gate. A change point is where the "
    "level of all runs changes by Pettitt's test (1 %), and by half a margin or more."
)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Something that changed with run `index` of a series."""

    index: int
    variant: str
    metric: Metric
    kind: str
    said: str
    worse: bool


def entry_of(
    results: Results, rows: Sequence[Row], winner: str | None, previous: Results | None = None
) -> HistoryEntry:
    """A run as an entry of a history, with verdicts against the previous run on the same machine, if there is one."""
    before = sides(previous, "before") if previous else {}
    after = sides(results, "after")
    shared = [name for name in after if name in before]
    judged, _ = margins(Policy())
    question = Terms(margins=judged, seed=results.settings.seed, variants=max(1, len(shared)))
    return HistoryEntry(
        schema=HISTORY_SCHEMA,
        slimner=results.slimner,
        source=sha256_of(results),
        started=results.started,
        commit=results.commit,
        machine=results.machine,
        checkpoint=results.checkpoint,
        corpus_sha256=results.corpus.sha256 if results.corpus else None,
        workload_sha256=results.workload.sha256,
        baseline=results.settings.baseline,
        winner=winner,
        previous=previous.started if previous else None,
        variants=tuple(
            VariantEntry(
                variant=row.variant,
                figures={name: figure for name in METRICS if (figure := row.spread(name))},
                verdicts=compare_sides(before[row.variant], after[row.variant], question).verdicts
                if row.variant in before and not row.failed
                else (),
                failed=row.failed,
            )
            for row in rows
        ),
    )


def series_of(entries: Sequence[HistoryEntry]) -> dict[tuple[str, str, str, int], list[HistoryEntry]]:
    """Runs of one checkpoint's name on one kind of machine, in the order of time."""
    found: dict[tuple[str, str, str, int], list[HistoryEntry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.started):
        found.setdefault(entry.place, []).append(entry)
    return found


def report_on(entries: Sequence[HistoryEntry]) -> Report:
    """A report on several runs."""
    series = series_of(entries)
    newest = max(entries, key=lambda entry: entry.started)
    last = [change for run in series.values() for change in changes(run) if change.index == len(run) - 1]
    worse = [f"{change.variant} {change.metric.title}" for change in last if change.worse]
    return Report(
        title=_runs(len(entries)),
        decision=f"Worse in the newest runs: {', '.join(worse)}." if worse else "No newest run is shown to be worse.",
        decided=not worse,
        reservations=["what limits a single run is in its own report"],
        figures=_first_and_last(series[newest.place]),
        facts=[
            ("runs", f"{len(entries)}, {min(e.started for e in entries)[:10]} to {newest.started[:10]}"),
            ("series", f"{len(series)} of one checkpoint on one kind of machine each"),
        ],
        sections=sections(entries),
    )


def _first_and_last(run: Sequence[HistoryEntry]) -> list[tuple[str, str, str, str]]:
    """What the newest winner of a series takes, in its first run and in the newest."""
    name = run[-1].winner or run[-1].baseline
    found: list[tuple[str, str, str, str]] = []
    for metric in map(METRICS.__getitem__, FIRST):
        before, after = _value(run[0], name, metric), _value(run[-1], name, metric)
        if before and after and len(run) > 1:
            told = f"{metric.title} of {name}"
            found.append((told, show(metric, before), show(metric, after), _shift(metric, before, after)[1]))
    return found


def sections(entries: Sequence[HistoryEntry]) -> list[Section]:
    """What changed, each series over time, then machines and checkpoints side by side."""
    series = series_of(entries)
    found = [_changed(series)]
    for i, run in enumerate(series.values()):
        found += _trend(run, i)
    if len({place[1:] for place in series}) > 1:
        found.append(_machines(series))
    if len({place[0] for place in series}) > 1:
        found.append(_checkpoints(series))
    return found


def changes(run: Sequence[HistoryEntry]) -> list[Change]:
    """Steps and change points of a series, the newest first."""
    found: list[Change] = []
    for i, entry in enumerate(run):
        for variant in entry.variants:
            found += [
                Change(
                    index=i,
                    variant=variant.variant,
                    metric=METRICS[verdict.metric],
                    kind="step",
                    said=f"{verdict.verdict}, {change_of(verdict)}",
                    worse=verdict.verdict == "worse",
                )
                for verdict in variant.verdicts
                if verdict.verdict in ("better", "worse")
            ]
    for name in _variants(run):
        for metric in METRICS.values():
            found += _levels(run, name, metric)
    return sorted(found, key=lambda change: -change.index)


def _levels(run: Sequence[HistoryEntry], variant: str, metric: Metric) -> Iterator[Change]:
    known = [(i, value) for i, entry in enumerate(run) if (value := _value(entry, variant, metric)) is not None]
    values = [value for _, value in known]
    ends = [0, *change_points(values), len(values)]
    for begin, at, end in zip(ends, ends[1:-1], ends[2:], strict=False):
        before, after = statistics.median(values[begin:at]), statistics.median(values[at:end])
        shift, said = _shift(metric, before, after)
        if abs(shift) >= _margin(metric) / 2:
            yield Change(
                index=known[at][0],
                variant=variant,
                metric=metric,
                kind="change point",
                said=f"{said}, from {show(metric, before)} to {show(metric, after)}",
                worse=(shift > 0) != metric.higher_is_better,
            )


def _shift(metric: Metric, before: float, after: float) -> tuple[float, str]:
    """A change in the unit of the metric's margin, and in words."""
    if metric is F1:
        return 100 * (after - before), f"{100 * (after - before):+.2f} pp"
    if metric.difference:
        return after - before, f"{show(metric, after - before)} more" if after > before else "less growth"
    return after / before - 1, f"{(after / before - 1) * 100:+.1f} %"


def _margin(metric: Metric) -> float:
    return (Policy().f1_max_drop_pp or 0.0) if metric is F1 else metric.margin


def _variants(run: Sequence[HistoryEntry]) -> list[str]:
    return list(dict.fromkeys(variant.variant for entry in reversed(run) for variant in entry.variants))


def _value(entry: HistoryEntry, variant: str, metric: Metric) -> float | None:
    found = entry.of(variant)
    figure = found.figures.get(metric.name) if found else None
    return figure.value if figure else None


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count:,} runs"


def _named(place: tuple[str, str, str, int]) -> str:
    checkpoint, cpu, instructions, cores = place
    widest = next((name for name in WIDEST if name in instructions.split("+")), "")
    return f"{checkpoint} on {cpu}, {cores} cores{', ' if widest else ''}{widest}"


def _changed(series: dict[tuple[str, str, str, int], list[HistoryEntry]]) -> Section:
    lines = [
        (
            run[change.index].label,
            run[change.index].started[:10],
            change.variant,
            change.metric.title,
            change.kind,
            change.said,
            *([_named(place)] if len(series) > 1 else []),
        )
        for place, run in series.items()
        for change in changes(run)
    ]
    lines.sort(key=lambda line: line[1], reverse=True)
    headings = ("commit", "date", "variant", "metric", "what", "change", *(["series"] if len(series) > 1 else []))
    parts: list[Part] = [Table(headings=headings, lines=lines[: 3 * MOST_LINES])] if lines else []
    if len(lines) > 3 * MOST_LINES:
        parts.append(Text(f"{len(lines) - 3 * MOST_LINES} earlier changes are left out."))
    nothing = "" if lines else "Nothing is shown to have changed. "
    return Section(title="What changed", parts=[*parts, Text(nothing + METHOD)])


def _trend(run: Sequence[HistoryEntry], number: int) -> Iterator[Section]:
    marked = {(c.index, c.variant, c.metric.name): c.kind for c in reversed(changes(run))}
    parts: list[Part] = [Text(f"{_runs(len(run))}, {run[0].started[:10]} to {run[-1].started[:10]}.")]
    others: list[Part] = []
    for metric in METRICS.values():
        if metric.column and any(_value(entry, name, metric) is not None for entry in run for name in _variants(run)):
            (parts if metric.name in FIRST else others).append(_chart(run, metric, number, marked))
    yield Section(title=f"Over time: {_named(run[-1].place)}", parts=parts)
    if others:
        yield Section(title=f"Other figures: {_named(run[-1].place)}", parts=others, detail=True)


def _chart(run: Sequence[HistoryEntry], metric: Metric, number: int, marked: dict[tuple[int, str, str], str]) -> Chart:
    scale = 0.01 if metric is F1 else SCALES.get(metric.unit, 1.0)
    unit = "%" if metric is F1 else "MB" if metric.unit.startswith("bytes") else metric.unit
    first = max(0, len(run) - MOST_DRAWN)
    drawn: list[Series] = []
    for name in _variants(run):
        points: list[Point] = []
        for i in range(first, len(run)):
            found = run[i].of(name)
            if found is None or (figure := found.figures.get(metric.name)) is None:
                continue
            mark = marked.get((i, name, metric.name), "")
            points.append(
                Point(
                    x=i + 1,
                    y=figure.value / scale,
                    low=None if figure.low is None else figure.low / scale,
                    high=None if figure.high is None else figure.high / scale,
                    says=f"{run[i].label} {name}: {_figure(found, metric)}{f', {mark}' if mark else ''}",
                    area=0.05,
                    ringed=bool(mark),
                )
            )
        drawn.append(Series(name=name, points=points, dots=True))
    lines: list[Sequence[str | Cell]] = []
    for i in range(max(0, len(run) - MOST_LINES), len(run)):
        entry = run[i]
        cells: list[str | Cell] = [entry.label, entry.started[:10]]
        for name in _variants(run):
            found = entry.of(name)
            mark = marked.get((i, name, metric.name), "")
            shown = _figure(found, metric) + (f" ({mark})" if mark else "")
            cells.append(Cell(shown, _value(entry, name, metric)))
        lines.append((*cells, entry.winner or "none"))
    lines.reverse()
    left = f" The last {MOST_DRAWN} of {_runs(len(run))} are drawn." if first else ""
    return Chart(
        name=f"trend-{number}-{metric.name}",
        title=f"{metric.title} by run",
        caption=f"{metric.title} ({metric.meaning}) with its 95 % interval, run by run; where it changed is ringed."
        f"{left} The table has the last {_runs(min(len(run), MOST_LINES))}, the newest first.",
        x=Axis(title="run"),
        y=Axis(title=f"{metric.title}, {unit}"),
        series=drawn,
        table=Table(headings=("commit", "date", *_variants(run), "winner"), lines=lines),
    )


def _figure(found: VariantEntry | None, metric: Metric) -> str:
    if found is None:
        return MISSING
    figure = found.figures.get(metric.name)
    return "failed" if found.failed and figure is None else spread_of(figure, metric)


def _machines(series: dict[tuple[str, str, str, int], list[HistoryEntry]]) -> Section:
    """The newest run on each kind of machine: the winner on each, and each variant's share of the baseline's time."""
    newest = {place: run[-1] for place, run in series.items()}
    names = list(dict.fromkeys(v.variant for entry in newest.values() for v in entry.variants))
    p50, memory = METRICS["p50"], METRICS["memory"]
    lines: list[Sequence[str | Cell]] = []
    for (checkpoint, cpu, instructions, cores), entry in newest.items():
        base = _value(entry, entry.baseline, p50)
        cells: list[str | Cell] = [
            f"{cpu}, {cores} cores",
            instructions.replace("+", " "),
            checkpoint,
            entry.winner or "none",
        ]
        for name in names:
            value = _value(entry, name, p50)
            ratio = f", {value / base:.2f} of {entry.baseline}" if value and base and name != entry.baseline else ""
            cells.append(Cell(f"{show(p50, value)}{ratio}; {show(memory, _value(entry, name, memory))}", value))
        lines.append(cells)
    told = "p50 and memory of the newest run on each. INT8 gains most where there are wide dot products (VNNI, AMX)."
    headings = ("machine", "instruction sets", "checkpoint", "winner", *names)
    return Section(title="By machine", parts=[Table(headings=headings, lines=lines), Text(told)])


def _checkpoints(series: dict[tuple[str, str, str, int], list[HistoryEntry]]) -> Section:
    """The newest run of each checkpoint: its size, the baseline's F1, and what the winner costs."""
    newest: dict[str, HistoryEntry] = {}
    for run in series.values():
        entry = run[-1]
        if entry.checkpoint.name not in newest or newest[entry.checkpoint.name].started < entry.started:
            newest[entry.checkpoint.name] = entry
    columns = [F1, METRICS["memory"], METRICS["p50"], METRICS["p95"], METRICS["size"]]
    lines: list[Sequence[str | Cell]] = []
    for name, entry in newest.items():
        winner = entry.of(entry.winner) if entry.winner else None
        cells: list[str | Cell] = [name, f"{entry.checkpoint.parameters / 1e6:.1f} M", entry.winner or "none"]
        cells += [
            Cell(_figure(winner, metric), _value(entry, entry.winner, metric) if entry.winner else None)
            for metric in columns
        ]
        lines.append(cells)
    headings = ("checkpoint", "parameters", "winner", *(metric.title for metric in columns))
    return Section(title="By checkpoint", parts=[Table(headings=headings, lines=lines)])
