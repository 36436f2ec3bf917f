"""The output of a gate: Markdown for a step summary or a comment, JUnit XML, GitHub annotations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from ..core import text
from ..core.between_runs import said
from ..core.gate_records import Check, GateRecord
from ..core.lasting import ASSUMED_CORRELATION, ASSUMED_PAIRS, Lasting
from ..core.metrics import METRICS
from ..core.verdicts import Comparison
from . import markdown as md
from .content import Section, tabled
from .formatting import MISSING, show
from .gate import NOT_MEASURED
from .tables import markdown
from .verdicts import change_of, margin_of, words_of

# GitHub refuses a comment of 65,536 characters; a shorter one is also easier to read.
MOST_CHARACTERS = 60_000
MOST_DECISIVE = 20
MOST_MESSAGE = 500

HEADINGS = ("metric", "baseline", "candidate", "change (95 %)", "margin", "verdict")


def comparison_section(comparison: Comparison, title: str = "") -> Section:
    """A comparison as a table, with notes below it."""
    lines: list[tuple[str, ...]] = []
    remarks: list[str] = []
    for verdict in (*comparison.verdicts, *comparison.types):
        name, _, kind = verdict.metric.partition(" ")
        metric = METRICS[name]
        values = (show(metric, verdict.baseline), show(metric, verdict.candidate))
        heading = f"{metric.title} {kind}".strip()
        lines.append((heading, *values, change_of(verdict), margin_of(verdict), verdict.verdict))
        if verdict.reason:
            remarks.append(f"{heading}: {verdict.reason}")
    if comparison.sentences:
        counts = comparison.sentences
        remarks.append(
            f"sentences that only one of the two gets wholly right: {counts.gained} gained, {counts.lost} lost "
            f"(p {counts.p:.2g}, McNemar's exact test)"
        )
    remarks += [f"latency of {change.words}: {words_of(change.change)}" for change in comparison.lengths]
    if comparison.pairs:
        remarks.append(
            f"{comparison.pairs} pairs of fresh processes, order by seed {comparison.seed}"
            + (f", {comparison.disturbed_pairs} more were disturbed" if comparison.disturbed_pairs else "")
        )
    remarks.append(comparison.correction)
    if comparison.pairs:
        remarks.append(_lasting(comparison.lasting))
    if words := said(comparison.between_runs):
        remarks.append(words)
    return tabled(title=title, headings=HEADINGS, lines=lines, remarks=remarks)


def _lasting(known: Mapping[str, Lasting]) -> str:
    """What earlier pairs had shown of some metrics, in words."""
    found = [f"{METRICS[name].title} {one.correlation:+.2f}" for name, one in known.items()]
    if not found:
        return (
            f"correlation of a pair with the next: from these pairs and {ASSUMED_PAIRS} that are taken to have shown "
            f"{ASSUMED_CORRELATION:+.2f}; after slimner calibrate nothing is assumed"
        )
    most = max(one.pairs for one in known.values())
    return f"correlation of a pair with the next, from {most} earlier pairs on this machine: {', '.join(found)}"


def summary(record: GateRecord) -> str:
    """The gate in Markdown for a step summary or a comment: the verdict, what decided it, and the rest folded.

    Names in it notify nobody and make no links. It is cut to the length that GitHub accepts.
    """
    decisive = [check for check in record.checks if check.outcome in ("regression", "failed", "inconclusive")]
    decisive.sort(key=lambda check: ("failed", "regression", "inconclusive").index(check.outcome))
    shown = [
        f"- **{text.markdown(name)}** {outcome}: {_short(message)}"
        for name, outcome, message in map(check_line, decisive[:MOST_DECISIVE])
    ]
    if len(decisive) > len(shown):
        shown.append(f"- and {len(decisive) - len(shown)} more")
    parts = [
        f"## slimner gate: {record.outcome}",
        f"{_verdict(record)} {text.markdown(record.candidate)} against {text.markdown(record.baseline)}.",
        "\n".join(shown),
    ]
    checks = markdown(("check", "outcome", "what was found"), [check_line(check) for check in record.checks])
    folded = [("All checks", checks)]
    folded += [
        (
            text.markdown(_compared(c)),
            md.section(comparison_section(c), 3),
        )
        for c in record.comparisons
    ]
    folded.append(
        ("Policy, margins, calibration", "\n".join(f"- {text.markdown(line)}" for line in background(record)))
    )
    written = "\n\n".join(filter(None, parts))
    for title, body in folded:
        fold = f"\n\n<details><summary>{title}</summary>\n\n{body}\n\n</details>"
        if len(_quiet(written + fold)) > MOST_CHARACTERS:
            written += f"\n\n{title}: too long to be shown here."
        else:
            written += fold
    return _quiet(written) + "\n"


def comment(record: GateRecord) -> str:
    """The summary as a comment that is found again: its first line says whether anything is worth a new one.

    A change is significant when it fails the gate, or is shown to be for the better.
    """
    failed = record.outcome in ("regression", "failed")
    better = any(v.verdict == "better" for c in record.comparisons for v in c.verdicts)
    significance = "significant" if failed or better else "not significant"
    return f"<!-- slimner gate: {record.outcome}, {significance} -->\n{summary(record)}"


def _verdict(record: GateRecord) -> str:
    counts = Counter(check.outcome for check in record.checks)
    words = {
        "pass": f"No worse: {counts['pass']} checks passed.",
        "regression": f"Worse: {counts['regression']} of {len(record.checks)} checks.",
        "inconclusive": f"It cannot be told yet: {counts['inconclusive']} of {len(record.checks)} checks are open.",
        "failed": "The gate could not be judged.",
    }
    return f"**{words.get(record.outcome, record.outcome)}**"


def _compared(comparison: Comparison) -> str:
    """The title of a comparison."""
    one, two = comparison.candidate.variant, comparison.baseline.variant
    return f"Figures of {one}" if one == two else f"Figures of {one} against {two}"


def _short(message: str) -> str:
    return text.markdown(message if len(message) <= MOST_MESSAGE else f"{message[:MOST_MESSAGE]} ...")


def _quiet(written: str) -> str:
    """Markdown in which no name from outside mentions a user or refers to an issue."""
    return re.sub(r"[@#](?=\w)", r"\g<0><!-- -->", written)


def background(record: GateRecord) -> Iterator[str]:
    """The checks that decided the outcome, one line each."""
    yield f"policy: {record.policy}"
    yield f"margins: {record.margins}"
    yield f"calibration: {record.calibration}"
    yield from (str(note) for note in record.notes)


def junit(record: GateRecord) -> str:
    """JUnit XML, a test case a check: a regression fails it, an open question is an error, the rest is skipped."""
    cases = record.checks
    suite = ElementTree.Element(
        "testsuite",
        name="slimner gate",
        tests=str(len(cases)),
        failures=str(sum(case.outcome == "regression" for case in cases)),
        errors=str(sum(case.outcome in ("inconclusive", "failed") for case in cases)),
        skipped=str(sum(case.outcome == "not judged" for case in cases)),
        time=f"{record.seconds:.3f}",
    )
    for check in cases:
        case = ElementTree.SubElement(
            suite, "testcase", classname=text.line(f"slimner.{check.variant}"), name=text.line(check.name), time="0"
        )
        message = text.line(check.message)
        tag = {"regression": "failure", "inconclusive": "error", "failed": "error", "not judged": "skipped"}.get(
            check.outcome
        )
        if tag:
            attributes = {"message": message} if tag == "skipped" else {"message": message, "type": check.outcome}
            ElementTree.SubElement(case, tag, attributes)
        else:
            ElementTree.SubElement(case, "system-out").text = message
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def github_annotations(record: GateRecord) -> Iterator[str]:
    """GitHub workflow commands: an error for each regression or failure, a warning for what cannot be told.

    What was not measured, as something else had decided already, is not annotated.
    """
    kinds = {"regression": "error", "failed": "error", "inconclusive": "warning", "not judged": "notice"}
    for check in record.checks:
        if (kind := kinds.get(check.outcome)) and not check.message.startswith(NOT_MEASURED):
            title = text.workflow_property(f"slimner gate: {check.variant} {check.name} {check.outcome}")
            yield f"::{kind} title={title}::{text.workflow_data(check.message)}"


def check_line(check: Check) -> tuple[str, str, str]:
    """A check for the terminal: what, outcome, message."""
    name, _, kind = check.name.partition(" ")
    title = f"{METRICS[name].title} {kind}".strip() if name in METRICS else check.name
    return f"{check.variant} {title}", check.outcome, check.message or MISSING
