"""`slimner report`, as a process on recorded results."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from slimner.core.ledger_records import Ledger, Minimum, Trial
from slimner.core.load_records import LoadRecord, LoadReport
from slimner.core.machine import describe
from slimner.core.store import write_json
from slimner.reports import decide, rows_of, write_report

from ..conftest import Slimner, command
from ..made import make


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """The directory of a run whose winner is `lean`."""
    results = make({"fp32": (360, 400, 8.0), "lean": (360, 70, 4.0)})
    rows = rows_of(results)
    write_report(tmp_path / "run", results, rows, decide(rows, {}))
    return tmp_path / "run"


def load_report() -> LoadReport:
    """A closed loop, two rates, and the peak within 50 ms."""
    runs = [
        LoadRecord(
            target="lean",
            machine=describe(),
            rate_per_s=rate,
            arrivals="poisson",
            seconds=10,
            sent=300,
            answered=300,
            errors={},
            wrong=0,
            latencies_ms=(p95 / 2,) * 280 + (p95,) * 20,
            late_share=0,
            lag_p99_ms=0.1,
            generator_cores=0.1,
        )
        for rate, p95 in ((20.0, 30.0), (40.0, 70.0))
    ]
    return LoadReport(
        target="lean", machine=describe(), checked="the first", runs=tuple(runs), limit_p95_ms=50.0, peak=runs[0]
    )


def ledger(variant: str, megabytes: int) -> Ledger:
    size = megabytes * 10**6
    trials = (Trial(limit_bytes=size, passed=True, seconds=1.0),)
    least = Minimum(what="one process", limiter="memory cgroup", bytes=size, confirmed=2, trials=trials)
    return Ledger(machine=describe(), variant=variant, minimums=(least,))


def test_a_page_is_made_from_a_run_its_loads_and_its_ledgers(slimner: Slimner, recorded: Path) -> None:
    write_json(recorded / "load.json", load_report())
    for variant, megabytes in (("fp32", 384), ("lean", 144)):
        write_json(recorded / f"ledger-{variant}.json", ledger(variant, megabytes))
    done = slimner("report", recorded, "--out", "page.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "  report  page.html\n"
    page = (recorded.parent / "page.html").read_text(encoding="utf-8").replace("\u00a0", " ")
    for said in ("Use lean in place of fp32", "p95 against load", "limit 50 ms", "minimum memory", "-62 %"):
        assert said in page


def test_formats_go_into_a_directory(slimner: Slimner, recorded: Path, tmp_path: Path) -> None:
    done = slimner("report", recorded / "results.json", "--out", "share", "--format", "md, csv,html,json")
    assert done.returncode == 0, done.stderr
    share = tmp_path / "share"
    assert {p.name for p in share.iterdir()} == {"report.md", "report.html", "report.json", "table.csv", "plots"}
    rows = list(csv.DictReader((share / "table.csv").open()))
    assert [row["winner"] for row in rows] == ["no", "yes"]
    described = json.loads((share / "report.json").read_text())
    assert described["decision"].startswith("Use lean")
    assert {part["type"] for section in described["sections"] for part in section["parts"]} >= {"Table", "Chart"}


@pytest.mark.parametrize("columns", ["80", "100", "200"])
def test_without_out_it_is_printed_as_wide_as_there_is_room(slimner: Slimner, recorded: Path, columns: str) -> None:
    environment = {**os.environ, "COLUMNS": columns, "NO_COLOR": "1"}
    done = subprocess.run(command("report", recorded), env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert max(len(line.rstrip()) for line in lines if "sha256" not in line) <= int(columns)
    assert any(line.startswith("*  lean") for line in lines)
    assert "\x1b" not in done.stdout


def test_the_policy_kept_beside_the_results_decides_and_another_one_may(slimner: Slimner, recorded: Path) -> None:
    (recorded.parent / "policy.toml").write_text('[constraints]\nmemory_max = "50MB"\n')
    assert "No winner" in slimner("report", recorded, "--policy", "policy.toml").stdout
    assert slimner("pick", recorded, "--policy", "policy.toml").returncode == 1
    assert "No winner" in slimner("report", recorded).stdout


def test_any_two_variants_are_put_side_by_side(slimner: Slimner, recorded: Path) -> None:
    assert "Before and after: fp32 and lean" in slimner("report", recorded).stdout
    done = slimner("report", recorded, "--before", "lean", "--after", "fp32")
    assert done.returncode == 0, done.stderr
    assert "Before and after: lean and fp32" in done.stdout
    wrong = slimner("report", recorded, "--before", "leen")
    assert wrong.returncode == 2
    assert "has no figures of leen" in wrong.stderr.replace("\n", " ")
    assert "fp32, lean" in wrong.stderr.replace("\n", " ")


def test_what_cannot_be_reported_on_is_said(slimner: Slimner, recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"a": 1}')
    (tmp_path / "empty").mkdir()
    write_json(tmp_path / "load.json", load_report())
    for arguments, said in (
        (("other.json",), "other.json: neither results nor a load report nor a ledger"),
        (("empty",), "empty: no results.json and no other JSON file in it"),
        (("load.json",), "load.json: no results"),
        ((recorded, "--out", "page.html", "--format", "md"), "needs a directory"),
        ((recorded, "--out", "x", "--format", "pdf"), "'pdf' is not one of html, md, json, csv"),
    ):
        done = slimner("report", *arguments)
        assert done.returncode == 2
        assert said in done.stderr.replace("\n", " ")


def test_the_newest_of_several_results_is_reported_on(slimner: Slimner, recorded: Path) -> None:
    results = msgspec.structs.replace(
        make({"fp32": (360, 400, 8.0), "newer": (360, 60, 4.0)}), started="2026-02-01T00:00:00+00:00"
    )
    write_json(recorded.parent / "b.json", results)
    printed = slimner("report", "b.json", recorded).stdout
    assert "Use newer in place of fp32" in printed
    assert "over time" in printed.lower()


def test_a_report_needs_no_torch(recorded: Path) -> None:
    program = (
        "import sys\nfrom slimner.cli.main import main\n"
        f"try: main(['report', {str(recorded)!r}, '--out', {str(recorded.parent / 'page.html')!r}])\n"
        "except SystemExit as ended: assert not ended.code\n"
        "heavy = {'torch', 'transformers', 'scipy', 'seqeval', 'matplotlib', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_version_is_told_and_shells_complete_commands(slimner: Slimner) -> None:
    assert slimner("-V").stdout.startswith("slimner, version ")
    environment = {**os.environ, "_SLIMNER_COMPLETE": "bash_complete", "COMP_WORDS": "slimner rep", "COMP_CWORD": "1"}
    done = subprocess.run(command(), env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,report"]
