"""What `--json` prints has its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from slimner.core.store import write_json

from ..conftest import Slimner
from ..made import make
from ..schemas import check

BUNDLE = Path(__file__).parents[2] / "zoo" / "news_zh" / "bundle"


def commands(bundle: Path, corpus: Path, texts: Path) -> Iterator[tuple[str, tuple[str | Path, ...]]]:
    yield "decision", ("pick", "results.json")
    yield "comparison", ("compare", "results.json", "results.json")
    yield "gate", ("gate", "--baseline", "results.json", "--candidate", "results.json")
    yield "inspection", ("corpus", corpus)
    yield "scores", ("eval", bundle, "--corpus", corpus)
    yield "differences", ("diff", bundle, bundle, "--corpus", corpus)
    yield "bench", ("bench", bundle, "--workload", texts, "--repetitions", "1", "--samples", "20", "--warmup", "2")
    yield "load", ("load", bundle, "--workload", texts, "--requests", "20")
    yield "ledger", ("ledger", "--imports", "python3 -c 'import json'")


def test_what_json_prints_has_its_schema(
    slimner: Slimner, small_corpus: Path, small_workload: Path, tmp_path: Path
) -> None:
    write_json(tmp_path / "results.json", make({"fp32": (380, 400, 8), "lean": (380, 70, 4)}))
    for name, arguments in commands(BUNDLE, small_corpus, small_workload):
        done = slimner(*arguments, "--json")
        assert done.stdout, f"{name}: {done.stderr}"
        check(name, done.stdout)
