"""What `slimner load` found, for people."""

from __future__ import annotations

from ..core.load_records import LoadRecord, LoadReport
from ..core.records import Note
from ..core.statistics import samples_needed
from .formatting import MISSING, megabytes, milliseconds
from .tables import Section

HEADINGS = ("loop", "sent", "right", "wrong", "failed", "per s", "p50", "p95", "p99", "generator late")
GIB = 1 << 30


def sections(report: LoadReport) -> list[Section]:
    """The runs, and what they come to."""
    shown = [Section(title=f"Load on {report.target}", headings=HEADINGS, lines=tuple(map(_line, report.runs)))]
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
                f"{best.per_s / (best.server.pss_bytes / GIB):.1f} per s and GiB of PSS "
                f"({megabytes(best.server.pss_bytes)} in {best.server.processes} processes)"
            )
        shown.append(Section(title="", headings=(), lines=(), remarks=tuple(remarks)))
    return shown


def _line(run: LoadRecord) -> tuple[str, ...]:
    loop = f"{run.clients} clients" if run.clients is not None else f"{run.rate_per_s:.1f} per s, {run.arrivals}"
    return (
        loop,
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
    """What a reader of the figures has to know."""
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
