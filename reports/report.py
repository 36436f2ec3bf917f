"""The files of a report: results.json, decision.json, table.csv, report.md and the plots."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from ..core import text
from ..core.ledger_records import ImportLedger
from ..core.records import Results
from ..core.store import RESULTS, write_bytes, write_json, write_text
from ..eval import Differences
from . import plots
from .comparison import Row
from .decision import Decision
from .formatting import MISSING, megabytes
from .ledger import imports, sum_check
from .notes import notes
from .tables import as_csv, by_length, cells, headings, markdown

REPORT = "report.md"
DECISION = "decision.json"
TABLE = "table.csv"
DEPENDENCIES = "dependencies.json"
DIFFERENCES = "differences.json"

# Differences of the winner that the report prints; all of them are in DIFFERENCES.
MOST_DIFFERENCES = 30


def write_report(
    directory: Path,
    results: Results,
    rows: Sequence[Row],
    decision: Decision,
    dependencies: ImportLedger | None = None,
    differences: Sequence[Differences] = (),
) -> Path:
    """Write all files of a report, each whole or not at all, `results.json` first; returns the path of report.md.

    `dependencies` is what the imports of a program that runs the winner cost, `differences` what each variant finds
    otherwise than the baseline.
    """
    if dependencies is not None:
        write_json(directory / DEPENDENCIES, dependencies)
    write_json(directory / RESULTS, results)
    write_json(directory / DECISION, msgspec.structs.replace(decision, notes=tuple(notes(results))))
    write_text(directory / TABLE, as_csv(rows, decision.winner))
    drawn: list[tuple[str, str]] = []
    for name, caption, png in (
        ("tradeoff.png", "F1 against memory; the area of a point is its p50", plots.tradeoff(rows, decision.winner)),
        ("memory.png", "Memory over time and by stage", plots.memory(results)),
        ("latency.png", "Distribution of latency over the workload", plots.latency(results)),
    ):
        if png:
            write_bytes(directory / "plots" / name, png)
            drawn.append((f"plots/{name}", caption))
    if differences:
        write_json(directory / DIFFERENCES, differences)
    sections = [*_sections(results, rows, decision, drawn)]
    if differences:
        sections.insert(-2, _differences(differences, decision.winner))
    if dependencies is not None:
        sections.insert(
            -2, f"{imports(dependencies).markdown()}\n\nOf a program that answers texts with {decision.winner}."
        )
    write_text(directory / REPORT, text.lines("\n\n".join(sections)) + "\n")
    return directory / REPORT


def _sections(
    results: Results, rows: Sequence[Row], decision: Decision, drawn: Sequence[tuple[str, str]]
) -> Iterator[str]:
    checkpoint, machine, settings = results.checkpoint, results.machine, results.settings
    yield f"# {text.markdown(checkpoint.name)}: which variant"
    yield (
        f"{checkpoint.architecture}, {checkpoint.parameters / 1e6:.1f} million parameters. "
        f"{_scored_on(results)}; "
        f"{results.workload.texts} texts of {text.markdown(results.workload.name)} (p50 {results.workload.length(50)}, "
        f"p95 {results.workload.length(95)}, longest {results.workload.length(100)} characters). "
        f"{settings.threads} thread(s) each, {settings.repetitions} timed processes a variant. "
        f"slimner {results.slimner}, {results.started}."
    )
    yield "## Decision\n\n" + "\n".join(decision_lines(decision))
    yield "## Comparison\n\n" + markdown(headings(), [cells(row) for row in rows])
    yield (
        "F1 is strict (seqeval, IOB2) with its 95 % bootstrap interval over sentences; change is in percentage points "
        "against the baseline, paired. Cold start runs from exec to the first answer, files in the page cache. Memory "
        "is resident memory after the workload (RSS), peak is the highest resident size (VmHWM); MB are 10^6 bytes. "
        "p50 and p95 are of one text at a time; qps are answers a second to five threads of one process. ± is half "
        "the 95 % interval over fresh processes."
    )
    for path, caption in drawn:
        yield f"![{caption}]({path})\n\n{caption}."
    if results.evaluations:
        kinds = sorted({kind for record in results.evaluations for kind in record.strict_by_type})
        yield "## F1 by type\n\n" + markdown(
            ("variant", "precision", "recall", "strict F1", "default F1", *kinds),
            [
                (
                    record.variant,
                    *(f"{v * 100:.2f}" for v in (record.strict.precision, record.strict.recall, record.strict.f1)),
                    f"{record.default.f1 * 100:.2f}",
                    *(
                        f"{record.strict_by_type[kind].f1 * 100:.2f}" if kind in record.strict_by_type else MISSING
                        for kind in kinds
                    ),
                )
                for record in results.evaluations
            ],
        )
    changed = [(row.variant, row.change) for row in rows if row.change]
    if changed:
        yield (
            "Sentences that only one of the two gets wholly right, against the baseline: "
            + "; ".join(f"{variant} {change.gained} gained, {change.lost} lost" for variant, change in changed)
            + "."
        )
    if results.measurements:
        yield by_length(rows).markdown()
        yield "## Memory by stage\n\nPSS, median over processes.\n\n" + _stages(results)
        yield _ledger(results)
    if results.builds:
        yield (
            "## Builds\n\n"
            + markdown(
                ("variant", "artifact", "size", "built in", "peak", "logits, largest difference", "mean", "same tags"),
                [
                    (
                        b.variant,
                        b.artifact,
                        megabytes(b.size_bytes),
                        f"{b.seconds:.1f} s" + (" (cached)" if b.cached else ""),
                        megabytes(b.peak_bytes),
                        f"{b.parity.max_abs_logit_difference:.2g}",
                        f"{b.parity.mean_abs_logit_difference:.2g}",
                        f"{b.parity.tag_agreement * 100:.2f} %",
                    )
                    for b in results.builds
                ],
            )
            + "\n\nLogits are compared with the checkpoint's own in FP32, on texts and on random ids up to the window."
        )
    if results.failures:
        yield "## Failures\n\n" + "\n\n".join(
            f"**{text.markdown(f.variant)}**, {text.markdown(f'{f.step}: {f.reason}')}"
            + (f"\n\n{text.fenced(f.stderr_tail)}" if f.stderr_tail else "")
            for f in results.failures
        )
    yield "## How far to believe this\n\n" + "\n".join(f"- {text.markdown(str(note))}" for note in notes(results))
    limit = megabytes(machine.memory_limit_bytes) if machine.memory_limit_bytes else "no limit"
    yield "## Machine\n\n" + "\n".join(
        (
            f"- {machine.cpu}, {machine.cores} cores, {machine.instructions}",
            f"- memory {machine.memory_bytes / 1e9:.1f} GB, {limit}; kernel {machine.kernel}; Python {machine.python}",
            "- " + ", ".join(f"{name} {version}" for name, version in machine.libraries.items()),
        )
    )


def _differences(differences: Sequence[Differences], winner: str | None) -> str:
    """How many entities each variant finds otherwise than the baseline, and the winner's with their sentences."""
    kinds = ("gained", "lost", "retyped", "moved")
    parts = [
        "## Entities that differ from the baseline's",
        markdown(
            ("variant", *kinds, "sentences", "mended", "broken"),
            [
                (
                    found.variant,
                    *(str(found.by_kind.get(kind, 0)) for kind in kinds),
                    str(found.touched),
                    *(str(sum(d.effect == effect for d in found.differences)) for effect in ("mended", "broken")),
                )
                for found in differences
            ],
        ),
    ]
    chosen = next((found for found in differences if found.variant == winner), None)
    if chosen and chosen.differences:
        shown = chosen.differences[:MOST_DIFFERENCES]
        parts.append(
            f"Of {winner}, {len(shown)} of {len(chosen.differences)} (all are in {DIFFERENCES}):\n\n"
            + markdown(
                ("sentence", "what", "baseline", winner or "", "effect", "text"),
                [
                    (
                        str(d.sentence + 1),
                        d.kind,
                        *(f"{d.text[e.start : e.end]} {e.type}" if e else MISSING for e in (d.baseline, d.candidate)),
                        d.effect,
                        " ".join(d.text.split()),
                    )
                    for d in shown
                ],
            )
        )
    return "\n\n".join(parts)


def _scored_on(results: Results) -> str:
    if results.corpus is None:
        return "Random weights, so nothing is scored"
    corpus = results.corpus
    return f"{corpus.entities:,} entities in {corpus.sentences:,} sentences of {text.markdown(corpus.name)}"


def decision_lines(decision: Decision) -> list[str]:
    """The decision in words, a line a variant."""
    if decision.winner:
        lines = [f"- **winner: {decision.winner}**, because {decision.because}"]
    else:
        closest = f"; closest is {decision.closest}" if decision.closest else ""
        lines = [f"- **no winner**: {decision.because}{closest}"]
    lines += [f"- not {variant}: {reason}" for variant, reason in decision.losers.items()]
    if decision.undecided:
        lines.append(f"- open: whether {', '.join(decision.undecided)} should have won; more --repetitions tell")
    lines += [f"- near: {miss}" for miss in decision.near_misses]
    lines += [f"- instead {other}, if the objective were {name}" for name, other in decision.alternatives.items()]
    if decision.front:
        lines.append(
            f"- none is shown to be better in F1, memory, p95 or size and worse in nothing than "
            f"{', '.join(decision.front)}"
        )
    return [*lines, f"- policy: {decision.policy.describe()}"]


def _stages(results: Results) -> str:
    variants = [v for v in results.settings.variants if any(m.variant == v for m in results.measurements)]
    names = list(
        dict.fromkeys(s.name for v in variants for m in results.measurements if m.variant == v for s in m.stages)
    )
    order = {"interpreter": 0, "predictor code": 1, "tokenizer": 3, "model": 4, "first answer": 5, "steady": 6}
    names.sort(key=lambda name: order.get(name, 2))
    lines: list[tuple[str, ...]] = []
    for name in names:
        line = [name]
        for variant in variants:
            values = [
                s.pss_bytes
                for m in results.measurements
                if m.variant == variant
                for s in m.stages
                if s.name == name and s.pss_bytes is not None
            ]
            line.append(megabytes(statistics.median(values)) if values else "")
        lines.append(tuple(line))
    peaks = (
        statistics.median(m.stages[-1].hwm_bytes for m in results.measurements if m.variant == v) for v in variants
    )
    lines.append(("peak (VmHWM)", *map(megabytes, peaks)))
    return markdown(("stage", *variants), lines)


def _ledger(results: Results) -> str:
    """What the memory of each variant's sampled process is made of at the end, and whether its stages add up."""
    lines: list[tuple[str, ...]] = []
    checks: list[str] = []
    for record in results.measurements:
        if record.final is not None:
            end = record.final
            parts = (end.pss_bytes, end.anonymous_bytes, end.file_bytes, end.uss_bytes, end.rss_bytes, end.shared_bytes)
            lines.append((record.variant, *map(megabytes, parts)))
            checks.append(f"- {record.variant}: {sum_check(record)}")
    table = markdown(("variant", "PSS", "anonymous", "files", "USS", "RSS", "shared"), lines)
    return (
        "At the end, read from outside: PSS is anonymous memory and files; shared is the part of RSS that other "
        f"processes map too.\n\n{table}\n\n" + "\n".join(checks)
        if lines
        else "The final memory was not read from outside."
    )
