"""The tables of docs/evidence/gate-error.md, from what studies/gate.py wrote down."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import where_and_when
from slimner.core.gate_records import Calibration
from slimner.core.outside import read_json
from slimner.core.paired import proportion
from slimner.reports.calibration import said
from slimner.reports.tables import markdown

OUTCOMES = ("pass", "regression", "inconclusive")
ENDS = {0: "pass", 1: "regression", 3: "inconclusive"}


def lines_of(log: Path) -> list[dict[str, Any]]:
    """The gates of a log, if there is one."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def report(out: Path, log: Path) -> None:
    """Print what was found as Markdown."""
    print(gates_told(lines_of(log)))
    if not (out / "simulated.json").exists():
        return
    calibration = read_json(out / "calibration.json", Calibration)
    print(said(calibration), "\n")
    simulated = read_json(out / "simulated.json", dict[str, dict[str, int]])
    print(markdown(("resampled gates", *OUTCOMES, "regression, 95 %"), [row(n, c) for n, c in simulated.items()]))
    print(f"\n{where_and_when()}")


def gates_told(lines: Sequence[dict[str, Any]]) -> str:
    """A table of whole gate commands, by what was planted and by whether one core was busy."""
    kinds: dict[tuple[str, bool], list[dict[str, Any]]] = {}
    for line in lines:
        kinds.setdefault((line["kind"], line["hog"]), []).append(line)
    rows = []
    for (kind, hog), mine in kinds.items():
        counts = Counter(ENDS.get(line["code"], "failed") for line in mine)
        seconds = sorted(line["seconds"] for line in mine)
        pairs = sorted(p for line in mine for p in line["pairs"])
        worse = Counter(name for line in mine for name in line["worse"]).most_common()
        named = ", ".join(f"{name} {count}" for name, count in worse)
        taken = f"{seconds[len(seconds) // 2]:.0f} ({seconds[0]:.0f} to {seconds[-1]:.0f})"
        many = f"{pairs[0]} to {pairs[-1]}" if pairs else ""
        rows.append((kind, "one core busy" if hog else "quiet", *row("", counts)[1:], named, taken, many))
    told = ("planted", "machine", *OUTCOMES, "regression, 95 %", "called worse", "seconds, median", "pairs")
    return markdown(told, rows)


def row(name: str, counts: Mapping[str, int]) -> tuple[str, ...]:
    """A line of a table of outcomes."""
    total = sum(counts.values())
    low, high = proportion(counts.get("regression", 0), total)
    shares = (f"{counts.get(o, 0)} of {total}" for o in OUTCOMES)
    return (name, *shares, f"{low * 100:.1f} to {high * 100:.1f} %")
