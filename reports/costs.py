"""Parts of a report about costs: memory by stage and over time, latency, alone and by length."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import numpy as np

from ..core.records import MeasurementRecord, Results
from ..core.statistics import BUCKETS, clean_ms, percentile
from .comparison import Row
from .content import Axis, Bars, Cell, Chart, Part, Point, Points, Section, Series, Table, Text
from .formatting import MISSING, megabytes, milliseconds
from .ledger import sum_check

# Points of a line of a chart; more would not be seen.
MOST_POINTS = 120

# Stages in the order of a process; imports stand in their place between them.
_ORDER = {"interpreter": 0, "predictor code": 1, "tokenizer": 3, "model": 4, "first answer": 5, "steady": 6}


def sections(results: Results, rows: Sequence[Row]) -> Iterator[Section]:
    """Memory and latency of the variants that were measured."""
    if not results.measurements:
        return
    yield Section(title="Latency", parts=[*_distribution(results), by_length(rows)])
    variants = [v for v in results.settings.variants if any(m.variant == v for m in results.measurements)]
    memory: list[Part] = [stage_bars(results, variants), stage_table(results, variants)]
    yield Section(title="Memory by stage", parts=[*memory, *_timeline(results), *_ledger(results)])


def by_length(rows: Sequence[Row]) -> Table:
    """Latency by length bucket: p50 and, from enough samples, p95."""
    names = [*(f"up to {limit}" for limit in BUCKETS), f"above {BUCKETS[-1]}"]
    shown = [i for i in range(len(names)) if any(i < len(row.lengths) and row.lengths[i] for row in rows)]
    return Table(
        title="Latency by length in characters: p50 / p95 (samples)",
        headings=("variant", *(names[i] for i in shown)),
        lines=[(row.variant, *(_bucket(row.lengths[i]) for i in shown)) for row in rows if row.lengths],
    )


def _bucket(samples: Sequence[float]) -> Cell:
    p50, p95 = percentile(samples, 50), percentile(samples, 95)
    return Cell(f"{milliseconds(p50)} / {milliseconds(p95)} ({len(samples)})", p50)


def _distribution(results: Results) -> Iterator[Part]:
    """The share of texts answered within a time, for each variant."""
    percents = (5, 25, 50, 75, 90, 95, 99)
    series: list[Series] = []
    lines: list[tuple[str | Cell, ...]] = []
    for variant in results.settings.variants:
        samples = sorted(s for m in results.measurements if m.variant == variant and m.timed for s in clean_ms(m))
        if not samples:
            continue
        shares = np.linspace(0, 100, min(MOST_POINTS, len(samples)))
        values = np.percentile(samples, shares)
        points = [
            Point(x=float(ms), y=float(share), says=f"{variant}: {share:.0f} % within {milliseconds(float(ms))}")
            for ms, share in zip(values, shares, strict=True)
        ]
        series.append(Series(name=variant, points=points))
        figures = [(value, milliseconds(value)) for value in (percentile(samples, q) for q in percents)]
        lines.append((variant, f"{len(samples):,}", *(Cell(said, value) for value, said in figures)))
    if series:
        yield Chart(
            name="latency",
            title="Latency over the workload",
            caption="Share of texts answered within a time, one text at a time, undisturbed samples of all timed "
            "processes. Further left is better.",
            x=Axis(title="latency of one text, ms (logarithmic)", log=True),
            y=Axis(title="texts, %", zero=True),
            series=series,
            limits=(("p50", 50), ("p95", 95)),
            table=Table(headings=("variant", "samples", *(f"p{q}" for q in percents)), lines=lines),
        )


def stages(results: Results, variants: Sequence[str]) -> dict[str, dict[str, float]]:
    """PSS at each stage, the median over processes in bytes, by stage in the order of a process and by variant."""
    found: dict[str, dict[str, list[int]]] = {}
    for m in results.measurements:
        for stage in m.stages:
            if stage.pss_bytes is not None and m.variant in variants:
                found.setdefault(stage.name, {}).setdefault(m.variant, []).append(stage.pss_bytes)
    ordered = sorted(found, key=lambda name: _ORDER.get(name, 2))
    return {name: {v: statistics.median(values) for v, values in found[name].items()} for name in ordered}


def peaks(results: Results, variants: Sequence[str]) -> dict[str, float]:
    """The highest resident size, the median over processes in bytes, by variant."""
    return {
        v: statistics.median(m.stages[-1].hwm_bytes for m in results.measurements if m.variant == v) for v in variants
    }


def stage_table(results: Results, variants: Sequence[str]) -> Table:
    """Memory at each stage, a column a variant."""
    found, peak = stages(results, variants), peaks(results, variants)
    lines: list[tuple[str | Cell, ...]] = [
        (name, *(Cell(megabytes(by[v]), by[v]) if v in by else MISSING for v in variants)) for name, by in found.items()
    ]
    lines.append(("peak (VmHWM)", *(Cell(megabytes(peak[v]), peak[v]) for v in variants)))
    return Table(title="PSS at each stage, median over processes", headings=("stage", *variants), lines=lines)


def stage_bars(results: Results, variants: Sequence[str]) -> Bars:
    """What each stage adds, stacked."""
    found = stages(results, variants)
    before = dict.fromkeys(variants, 0.0)
    parts: list[tuple[str, list[float]]] = []
    for name, by in found.items():
        added = []
        for variant in variants:
            now = by.get(variant, before[variant])
            added.append(max(0.0, now - before[variant]) / 1e6)
            before[variant] = now
        parts.append((name, added))
    return Bars(
        name="memory-stages",
        title="What each stage adds",
        caption="Proportional set size (PSS) that each stage of a process adds, in MB; a stage that gives memory back "
        "adds nothing.",
        axis="PSS, MB",
        categories=variants,
        parts=parts,
        table=Table(
            headings=("variant", *(name for name, _ in parts)),
            lines=[
                (v, *(Cell(f"+{values[i]:.1f} MB", values[i]) for _, values in parts)) for i, v in enumerate(variants)
            ],
        ),
    )


def _timeline(results: Results) -> Iterator[Part]:
    shown = [m for v in results.settings.variants for m in results.measurements if m.variant == v and m.timeline]
    if not shown:
        return
    series: list[Series] = []
    for record in shown:
        step = max(1, len(record.timeline) // MOST_POINTS)
        points = [
            Point(
                x=p.after_s,
                y=p.pss_bytes / 1e6,
                says=f"{record.variant}: {p.pss_bytes / 1e6:.0f} MB after {p.after_s:.1f} s",
            )
            for p in record.timeline[::step]
        ]
        series.append(Series(name=record.variant, points=points))
    yield Chart(
        name="memory-time",
        title="Memory over time",
        caption="PSS of the sampled process of each variant, from its start, read from outside.",
        x=Axis(title="seconds since the process started", zero=True),
        y=Axis(title="PSS, MB", zero=True),
        series=series,
        table=_moments(shown),
    )


def _moments(shown: Sequence[MeasurementRecord]) -> Table:
    """The time lines at the stages: when each was reached, and what the process held."""
    return Table(
        headings=("variant", "stage", "after", "PSS"),
        lines=[
            (m.variant, s.name, Cell(f"{s.after_s:.2f} s", s.after_s), Cell(megabytes(s.pss_bytes), s.pss_bytes))
            for m in shown
            for s in m.stages
        ],
    )


def _ledger(results: Results) -> Iterator[Part]:
    """What the memory of each variant's sampled process is made of at the end, and whether its stages add up."""
    lines: list[tuple[str | Cell, ...]] = []
    checks: list[tuple[str, str]] = []
    for record in results.measurements:
        if record.final is not None:
            end = record.final
            parts = (end.pss_bytes, end.anonymous_bytes, end.file_bytes, end.uss_bytes, end.rss_bytes, end.shared_bytes)
            lines.append((record.variant, *(Cell(megabytes(part), part) for part in parts)))
            checks.append((record.variant, sum_check(record)))
    if not lines:
        yield Text("The final memory was not read from outside.")
        return
    yield Table(
        title="At the end, read from outside",
        headings=("variant", "PSS", "anonymous", "files", "USS", "RSS", "shared"),
        lines=lines,
    )
    yield Text("PSS is anonymous memory and files; shared is the part of RSS that other processes map too.")
    yield Points(checks)
