"""The page that computes a verdict again from a gate's record: it agrees with slimner, and finds a forged verdict."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from slimner.core.records import MeasurementRecord
from slimner.core.store import write_json
from slimner.core.verdicts import Side, sides
from slimner.reports import Terms, compare_sides

from ..made import make, measurement

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "recompute.md"
MARGINS = {"f1": 0.5, "size": 0.01, "memory": 0.03, "growth": 250_000.0, "p50": 0.05, "p95": 0.1, "tail": 0.15}


def noisy(one: MeasurementRecord, draw: random.Random, factor: float, leak: int) -> MeasurementRecord:
    """A process with samples of its own, in four blocks of which some are disturbed, that grows by `leak` a block."""
    block = one.blocks[0]
    count = len(one.samples_ms) // 4
    blocks = tuple(
        msgspec.structs.replace(
            block,
            first=i * count,
            samples=count,
            taints=("stolen",) if draw.random() < 0.2 else (),
            rss_bytes=100_000_000 + leak * i + draw.randrange(50_000),
        )
        for i in range(4)
    )
    samples = tuple(value * factor * draw.lognormvariate(0, 0.1) for value in one.samples_ms)
    return msgspec.structs.replace(one, blocks=blocks, samples_ms=samples)


def side(seed: int, memory: float, factor: float = 1.0, leak: int = 0, pairs: int = 14) -> Side:
    draw = random.Random(seed)
    records = [
        noisy(measurement("v", i + 1, int(memory * draw.gauss(1, 0.002) * 1e6), 8.0), draw, factor, leak)
        for i in range(pairs)
    ]
    return msgspec.structs.replace(sides(make({"fp32": (360, 100, 8)}), "r")["fp32"], measurements=tuple(records))


@pytest.mark.parametrize(
    ("memory", "factor", "leak"), [(100.0, 1.0, 0), (100.0, 1.2, 0), (90.0, 0.8, 0), (120.0, 1.0, 900_000)]
)
def test_the_page_gives_every_verdict_again(memory: float, factor: float, leak: int, tmp_path: Path) -> None:
    comparison = compare_sides(side(1, 100), side(2, memory, factor, leak), Terms(margins=MARGINS), looks=(10, 14))
    write_json(tmp_path / "gate.json", {"comparisons": [comparison]})  # what it reads of a gate's record
    done = recompute(tmp_path / "gate.json")
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = dict(re.findall(r"^(\w+): .*: (\w+), recorded", done.stdout, re.M))
    assert verdicts == {v.metric: v.verdict for v in comparison.verdicts if v.metric not in ("f1", "size")}
    forged = json.loads((tmp_path / "gate.json").read_text())
    p50 = next(v for v in forged["comparisons"][0]["verdicts"] if v["metric"] == "p50")
    p50["verdict"] = "same" if p50["verdict"] == "worse" else "worse"
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    assert recompute(tmp_path / "forged.json").returncode == 1


def recompute(record: Path) -> subprocess.CompletedProcess[str]:
    """Run the program of the page, as it stands there."""
    program = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert program
    return subprocess.run([sys.executable, "-c", program[1], str(record)], capture_output=True, text=True, check=False)
