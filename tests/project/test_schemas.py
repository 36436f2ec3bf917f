"""The JSON Schemas of docs/reference/schema describe the files that are written."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from slimner.core.records import Measuring
from slimner.core.store import read_results
from slimner.eval import differences, read_corpus
from slimner.reports import decide, report_of, rows_of, write_report
from slimner.reports.calibration import summarize
from slimner.reports.document import Beside
from slimner.reports.report import WRITERS

from ..made import make, measurement
from ..schemas import SCHEMAS, check

ROOT = Path(__file__).parents[2]
RESULTS = make({"fp32": (380, 400, 8), "lean": (380, 70, 4)})


def test_the_committed_schemas_are_what_the_records_give(generate: ModuleType) -> None:
    for name, text in generate.records.schemas().items():
        assert (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8") == text, "run `python docs/generate.py`"
    for path in SCHEMAS.iterdir():
        name, _, version = path.stem.rpartition("-")
        assert int(version) <= generate.records.ROOTS[name][2], f"{path.name} is newer than the record"
        assert json.loads(path.read_text(encoding="utf-8"))["$id"] == f"urn:slimner:{name}:{version}"


def test_the_files_of_a_report_have_their_schemas(tmp_path: Path) -> None:
    rows = rows_of(RESULTS)
    corpus = read_corpus("news-zh")
    scored = [
        msgspec.structs.replace(
            record,
            sentences=record.sentences[: len(corpus.sentences)],
            predictions=((),) * len(corpus.sentences),
            corpus_sha256=corpus.sha256,
        )
        for record in RESULTS.evaluations
    ]
    changed = [differences(scored[0], scored[1], corpus)]
    decision = decide(rows, {"fp32": 0, "lean": 1})
    write_report(tmp_path, RESULTS, rows, decision, Beside(differences=changed))
    WRITERS["json"][1](tmp_path / "report.json", report_of(RESULTS, rows, decision, Beside(differences=changed)))
    for name in ("results", "decision", "differences", "report"):
        check(name, (tmp_path / f"{name}.json").read_bytes())


def test_results_of_an_older_schema_have_the_newest_one_once_they_are_read() -> None:
    for old in (ROOT / "tests" / "core" / "old").glob("*.json"):
        check("results", msgspec.json.encode(read_results(old)))


def test_the_embedded_bundle_has_its_schemas() -> None:
    bundle = ROOT / "zoo" / "news_zh" / "bundle"
    for name, path in (("bundle", "bundle.json"), ("golden", "golden.json"), ("manifest", "model/manifest.json")):
        check(name, (bundle / path).read_bytes())


def test_a_calibration_has_its_schema() -> None:
    draw = random.Random(1)
    one, two = ([measurement("v", 1, 10**8, 8 + draw.random()) for _ in range(20)] for _ in range(2))
    found = summarize(
        one, two, date="2026-01-01", disturbed=0, workload=RESULTS.workload, settings=Measuring(samples=100)
    )
    check("calibration", msgspec.json.encode(found))


def test_a_file_with_a_field_missing_or_of_another_type_is_refused() -> None:
    plain = json.loads(msgspec.json.encode(RESULTS))
    for wrong in (
        {name: value for name, value in plain.items() if name != "machine"},
        plain | {"seconds": "long"},
        plain | {"schema": 3},
        plain | {"unknown": 1},
    ):
        with pytest.raises(AssertionError, match=re.escape("results-4.json")):
            check("results", json.dumps(wrong))
