"""The memory ledger, for people: stages, dependencies, workers, the least it runs in."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from ..core.ledger_records import Dependency, ImportLedger, Ledger, Minimum, ServerPoint
from ..core.records import MeasurementRecord
from .content import Cell, Section, tabled
from .formatting import MISSING, megabytes, milliseconds

# Dependencies below this, in memory and on disk, are one line together.
SMALL_BYTES = 1_000_000

# What stages may leave unexplained of the final PSS: the larger of the two.
UNEXPLAINED_SHARE = 0.02
UNEXPLAINED_BYTES = 2_000_000


def sections(ledger: Ledger, limit_bytes: int | None = None) -> list[Section]:
    """Everything in the ledger, in order; with `limit_bytes` also how many workers fit."""
    found: list[Section] = []
    if ledger.measurement:
        found.append(stages(ledger.measurement))
    if ledger.imports:
        found.append(imports(ledger.imports))
    if ledger.server:
        found.append(server(ledger.server, limit_bytes))
    if ledger.minimums:
        found.append(minimums(ledger.minimums))
    return found


def stages(record: MeasurementRecord) -> Section:
    """What each stage of one process adds, and whether they add up to what is seen from outside at the end."""
    lines: list[tuple[str, ...]] = []
    before = 0
    for stage in record.stages:
        added = None if stage.pss_bytes is None else stage.pss_bytes - before
        before = stage.pss_bytes or before
        lines.append(
            (
                stage.name,
                f"{stage.after_s:.2f} s",
                MISSING if added is None else f"{added / 1e6:+.1f} MB",
                *map(megabytes, (stage.pss_bytes, stage.anonymous_bytes, stage.file_bytes, stage.uss_bytes)),
                *map(megabytes, (stage.rss_bytes, stage.shared_bytes, stage.hwm_bytes)),
            )
        )
    return tabled(
        title="Memory by stage",
        headings=("stage", "after", "adds", "PSS", "anonymous", "files", "USS", "RSS", "shared", "peak so far"),
        lines=lines,
        remarks=[sum_check(record)],
    )


def unexplained_bytes(record: MeasurementRecord) -> int | None:
    """Final PSS read from outside less the sum of the stages; None where it was not read."""
    last = record.stages[-1].pss_bytes
    if record.final is None or record.final.pss_bytes is None or last is None:
        return None
    return record.final.pss_bytes - last


def sum_check(record: MeasurementRecord) -> str:
    """Whether the stages explain the final PSS, in words."""
    left = unexplained_bytes(record)
    if left is None or record.final is None or record.final.pss_bytes is None:
        return "sum check: the final memory was not read from outside"
    total = record.final.pss_bytes
    holds = abs(left) <= max(UNEXPLAINED_BYTES, UNEXPLAINED_SHARE * total)
    return (
        f"sum check: stages add up to {(total - left) / 1e6:.1f} MB, seen from outside {total / 1e6:.1f} MB; "
        f"unexplained {left / 1e6:+.1f} MB" + ("" if holds else ", which is too much: measure again on a quiet machine")
    )


def imports(ledger: ImportLedger) -> Section:
    """What each distribution costs, largest first, and which are never used."""
    large = [d for d in ledger.dependencies if _is_large(d)]
    small = [d for d in ledger.dependencies if not _is_large(d)]
    lines: list[tuple[str | Cell, ...]] = [
        (
            d.name,
            d.version or "",
            Cell(f"{d.added_bytes / 1e6:.1f} MB", d.added_bytes),
            Cell(megabytes(d.alone_bytes), d.alone_bytes),
            Cell(megabytes(d.disk_bytes), d.disk_bytes),
            MISSING if d.used is None else "yes" if d.used else "never",
        )
        for d in sorted(large, key=lambda d: (-d.added_bytes, -(d.disk_bytes or 0)))
    ]
    if small:
        lines.append(
            (
                f"{len(small)} others",
                "",
                f"{sum(d.added_bytes for d in small) / 1e6:.1f} MB",
                MISSING,
                megabytes(sum(d.disk_bytes or 0 for d in small)),
                MISSING,
            )
        )
    lines.append(("(interpreter)", "", f"{ledger.interpreter_bytes / 1e6:.1f} MB", MISSING, MISSING, MISSING))
    lines.append(("(the program's own work)", "", f"{ledger.rest_bytes / 1e6:.1f} MB", MISSING, MISSING, MISSING))
    disk = sum(d.disk_bytes or 0 for d in ledger.dependencies)
    lines.append(("together", "", f"{ledger.final_bytes / 1e6:.1f} MB", MISSING, megabytes(disk), MISSING))
    return tabled(
        title="Memory by dependency (RSS)",
        headings=("distribution", "version", "adds", "alone", "on disk", "used"),
        lines=lines,
        remarks=[_unused(ledger.dependencies)],
    )


def _is_large(dependency: Dependency) -> bool:
    return max(dependency.added_bytes, dependency.disk_bytes or 0) >= SMALL_BYTES


def _unused(dependencies: Sequence[Dependency]) -> str:
    if all(d.used is None for d in dependencies):
        return "nothing was called after the imports, so what is used cannot be told: let the command do its work once"
    unused = sorted((d for d in dependencies if d.used is False and _is_large(d)), key=lambda d: -d.added_bytes)
    if not unused:
        return "everything above 1 MB was called after the imports"
    added, disk = sum(d.added_bytes for d in unused), sum(d.disk_bytes or 0 for d in unused)
    names = ", ".join(f"{d.name} {d.added_bytes / 1e6:.0f} MB" for d in unused)
    return f"imported, never called afterwards: {names}; together {added / 1e6:.0f} MB, {disk / 1e6:.0f} MB on disk"


def server(points: Sequence[ServerPoint], limit_bytes: int | None) -> Section:
    """The curve over workers, with preload and without."""
    lines = [
        (
            str(p.workers),
            "yes" if p.preload else "no",
            *map(megabytes, (p.before.memory_or_pss_bytes, p.after.memory_or_pss_bytes)),
            f"{p.added_bytes / 1e6:+.0f} MB",
            *map(megabytes, (p.after.pss_bytes, p.after.master_pss_bytes, p.after.own_bytes, p.after.rss_bytes)),
            f"{p.per_s:.1f}",
            *map(milliseconds, (p.p50_ms, p.p95_ms)),
            f"{p.errors + p.wrong} of {p.requests}",
        )
        for p in points
    ]
    remarks = []
    for preload in (True, False):
        line = fit([p for p in points if p.preload == preload])
        if line is None:
            continue
        base, each = line
        if preload and (eroded := _erosion(points)):
            remarks.append(eroded)
        text = f"{'with' if preload else 'without'} preload: {base / 1e6:.0f} MB and {each / 1e6:.0f} MB a worker"
        if limit_bytes is not None:
            fits = max(0, int((limit_bytes - base) // each)) if each > 0 else 0
            beyond = " (beyond what was measured)" if fits > max(p.workers for p in points) else ""
            text += f"; {fits} worker(s) fit into {megabytes(limit_bytes)}{beyond}"
        remarks.append(text)
    return tabled(
        title="Server: memory of master and workers together, five clients",
        headings=(
            *("workers", "preload", "before", "after", "traffic adds", "PSS", "master", "own of each", "RSS summed"),
            *("per s", "p50", "p95", "not right"),
        ),
        lines=lines,
        remarks=remarks,
    )


def _erosion(points: Sequence[ServerPoint]) -> str:
    """What traffic costs with preload beyond what it costs without: pages shared after the fork and written since."""
    adds = {(p.workers, p.preload): p.added_bytes for p in points}
    most = max(p.workers for p in points)
    if (most, True) not in adds or (most, False) not in adds:
        return ""
    lost = adds[most, True] - adds[most, False]
    return (
        f"copy-on-write erosion, {most} worker(s): {lost / 1e6:+.0f} MB (what traffic adds with preload, less without)"
    )


def fit(points: Sequence[ServerPoint]) -> tuple[float, float] | None:
    """Memory after traffic as (fixed bytes, bytes a worker) by least squares; None from one number of workers."""
    if len(points) < 2:
        return None
    each, base = np.polyfit([p.workers for p in points], [p.after.memory_or_pss_bytes for p in points], 1)
    return float(base), float(each)


def minimums(found: Sequence[Minimum]) -> Section:
    """The least each program ran in."""
    return tabled(
        title="Minimum memory to run",
        headings=("what", "least", "confirmed", "just below", "starts", "median start"),
        lines=[
            (
                m.what,
                megabytes(m.bytes),
                f"{m.confirmed} times",
                next((t.reason.partition(":")[0] for t in reversed(m.trials) if not t.passed), MISSING),
                str(len(m.trials)),
                f"{statistics.median(t.seconds for t in m.trials):.1f} s",
            )
            for m in found
        ],
        remarks=[
            f"held by a {', '.join(sorted({m.limiter for m in found}))}, to 8 MB; "
            "below it the program is killed, answers wrongly, or takes three times as long"
        ],
    )
