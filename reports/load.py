"""The results of `slimner load` as parts of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.load_records import LoadRecord, LoadReport
from ..core.records import Note
from ..core.statistics import samples_needed
from .content import Axis, Chart, Point, Section, Series, Table, tabled
from .formatting import MISSING, megabytes, milliseconds

HEADINGS = ("loop", "sent", "right", "wrong", "failed", "per s", "p50", "p95", "p99", "generator late")
GIB = 1 << 30


def sections(report: LoadReport) -> list[Section]:
    """The runs and their summary."""
    shown = [tabled(title=f"Load on {report.target}", headings=HEADINGS, lines=tuple(map(_line, report.runs)))]
    best = report.peak or (report.runs[0] if report.runs else None)
    if best is not None:
        remarks = [f"answers compared with {report.checked}"]
        if report.peak is not None:
            remarks.append(
                f"peak {best.per_s:.1f} per s with p95 within {report.limit_p95_ms:g} ms, held for {best.seconds:.0f} s"
            )
        if best.server is not None:  # on this machine
            remarks.append(f"{best.per_s / best.machine.cores:.1f} per s and core ({best.machine.cores} cores)")
            remarks.append(
                f"{best.per_s / (best.server.memory_or_pss_bytes / GIB):.1f} per s and GiB of memory "
                f"({megabytes(best.server.memory_or_pss_bytes)} in {best.server.processes} processes, "
                f"PSS {megabytes(best.server.pss_bytes)})"
            )
        shown.append(tabled(title="", headings=(), lines=(), remarks=tuple(remarks)))
    return shown


def curves(reports: Sequence[LoadReport]) -> Iterator[Section]:
    """Latency against rate for each target, the limit with it, and the runs of each as a table."""
    if not reports:
        return
    series: list[Series] = []
    for report in reports:
        runs = sorted((run for run in report.runs if run.latency_ms(95) is not None), key=lambda run: run.per_s)
        points = [
            Point(
                x=run.per_s,
                y=run.latency_ms(95) or 0,
                says=f"{report.target}, {_loop(run)}: {run.per_s:.1f} right answers per s, "
                f"p95 {run.latency_ms(95) or 0:.0f} ms" + (", invalid: the generator was late" if run.invalid else ""),
                ringed=run == report.peak,
            )
            for run in runs
        ]
        series.append(Series(name=report.target, points=points, dots=True))
    bounds = dict.fromkeys(report.limit_p95_ms for report in reports if report.limit_p95_ms is not None)
    tables = [sections(report) for report in reports]
    chart = Chart(
        name="load",
        title="p95 against load",
        caption="p95 of right answers against answers per second; in an open loop from the scheduled send time. The "
        "line is the limit, the peak within it is ringed.",
        x=Axis(title="right answers per second", zero=True),
        y=Axis(title="p95, ms", zero=True),
        series=series,
        limits=[(f"limit {limit:g} ms", limit) for limit in bounds],
        table=Table(headings=("target", *HEADINGS), lines=[(r.target, *_line(run)) for r in reports for run in r.runs]),
    )
    yield Section(title="Load", parts=[chart, *(part for found in tables for part in found)])


def _loop(run: LoadRecord) -> str:
    return f"{run.clients} clients" if run.clients is not None else f"{run.rate_per_s:.1f} per s, {run.arrivals}"


def _line(run: LoadRecord) -> tuple[str, ...]:
    return (
        _loop(run),
        str(run.sent),
        str(run.answered),
        str(run.wrong),
        str(sum(run.errors.values())),
        f"{run.per_s:.1f}",
        *(milliseconds(run.latency_ms(q)) for q in (50, 95, 99)),
        MISSING if run.lag_p99_ms is None else f"{run.late_share * 100:.1f} %" + (" invalid" if run.invalid else ""),
    )


def _rates(report: LoadReport) -> list[float]:
    return [run.rate_per_s for run in report.runs if run.rate_per_s is not None]


def load_notes(report: LoadReport) -> list[Note]:
    """Notes on the figures."""
    found: list[Note] = []
    for run in report.runs if report.peak is None else (*report.runs[:1], report.peak):
        for reason in run.invalid:
            found.append(
                Note(
                    code="invalid",
                    message=reason,
                    remedy="run the generator on another machine, or ask for a lower rate",
                )
            )
        if run.wrong:
            found.append(
                Note(
                    code="wrong-answers",
                    message=f"{run.wrong} of {run.sent} answers were wrong ({report.checked})",
                    remedy="find out before believing any other figure",
                )
            )
        if run.errors:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(run.errors.items()))
            found.append(
                Note(
                    code="errors",
                    message=f"{sum(run.errors.values())} of {run.sent} requests failed: {kinds}",
                    remedy="look into the server's log; latencies are of right answers only",
                )
            )
        lacking = [q for q in (50, 95, 99) if run.latency_ms(q) is None]
        if lacking:
            found.append(
                Note(
                    code="samples",
                    message=f"no p{lacking[0]} from {run.answered} answers, it takes {samples_needed(lacking[0])}",
                    remedy="raise --seconds",
                )
            )
    if report.peak is not None and report.peak.rate_per_s is not None:
        above = [run for run in report.runs if (run.rate_per_s or 0) > report.peak.rate_per_s]
        if above and all(run.invalid for run in above):
            found.append(
                Note(
                    code="generator-limit",
                    message="the peak is at least this: higher rates were too fast for the generator, not the server",
                    remedy="run the generator on another machine",
                )
            )
    if report.limit_p95_ms is not None and report.peak is None:
        found.append(
            Note(
                code="no-peak",
                message=f"no rate kept p95 within {report.limit_p95_ms:g} ms"
                + (f", down to {min(rates):.1f} per s" if (rates := _rates(report)) else ""),
                remedy="raise the limit, or use a leaner variant",
            )
        )
    return list(dict.fromkeys(found))
