"""A history of runs: kept once each, with verdicts, in a directory or a branch, and read after a thousand runs."""

from __future__ import annotations

import os
import random
import re
import subprocess
import time
from pathlib import Path

import msgspec
import pytest
from slimner.core.history_records import HistoryEntry
from slimner.core.records import Commit, Machine, Results
from slimner.core.statistics import Spread
from slimner.core.store import write_json
from slimner.jobs import report
from slimner.jobs.history import RUNS, add_to_history, read_history
from slimner.reports import markdown
from slimner.reports.change_points import change_points, pettitt
from slimner.reports.content import Chart, Report, Table
from slimner.reports.trend import changes, report_on

from ..conftest import Slimner
from ..made import make
from ..schemas import check


def run(day: int, *, right: int = 380, memory: int = 70, ms: float = 4.0, machine: Machine | None = None) -> Results:
    results = make({"fp32": (380, 400, 8), "lean": (right, memory, ms)})
    return msgspec.structs.replace(
        results,
        started=f"2026-01-{day:02d}T00:00:00+00:00",
        commit=Commit(sha=f"{day:02d}".ljust(40, "a"), branch="main", clean=True),
        machine=machine or results.machine,
    )


def add(directory: Path, results: Results) -> HistoryEntry:
    write_json(directory / "results.json", results)
    return add_to_history(directory / "results.json", directory / "kept").entry


def test_each_run_is_kept_once_with_verdicts_against_the_one_before(tmp_path: Path) -> None:
    first = add(tmp_path, run(1))
    assert first.previous is None
    assert not any(variant.verdicts for variant in first.variants)
    second = add(tmp_path, run(2, right=330, memory=90))
    lean = second.of("lean")
    assert lean is not None
    verdicts = {verdict.metric: verdict.verdict for verdict in lean.verdicts}
    assert verdicts["f1"] == verdicts["memory"] == verdicts["size"] == "worse"
    assert (first.winner, second.winner) == ("lean", "fp32")
    write_json(tmp_path / "results.json", run(2, right=330, memory=90))
    again = add_to_history(tmp_path / "results.json", tmp_path / "kept")
    assert again.known
    assert read_history(tmp_path / "kept") == [first, second]
    for file in (tmp_path / "kept" / RUNS).iterdir():
        assert file.stat().st_size < 20_000
        check("history", file.read_bytes())


def test_a_run_that_is_older_than_the_newest_takes_its_place_without_verdicts(tmp_path: Path) -> None:
    add(tmp_path, run(1))
    add(tmp_path, run(3))
    late = add(tmp_path, run(2, memory=90))
    assert late.previous is None
    assert [entry.started[8:10] for entry in read_history(tmp_path / "kept")] == ["01", "02", "03"]
    newest = add(tmp_path, run(4))
    assert newest.previous == run(3).started


def test_runs_on_another_machine_are_a_series_of_their_own_and_stand_beside(tmp_path: Path) -> None:
    here = run(1)
    other = msgspec.structs.replace(here.machine, cpu="Old Xeon", instruction_sets=("avx2",))
    add(tmp_path, here)
    entry = add(tmp_path, run(2, ms=9.0, machine=other))
    assert entry.previous is None
    told = report_on(read_history(tmp_path / "kept"))
    (machines,) = (section for section in told.sections if section.title == "By machine")
    (table,) = (part for part in machines.parts if isinstance(part, Table))
    by_machine = {line[0]: line for line in table.texts}
    assert set(by_machine) == {f"{name}, {here.machine.cores} cores" for name in (here.machine.cpu, "Old Xeon")}
    assert "1.12 of fp32" in by_machine[f"Old Xeon, {here.machine.cores} cores"][-1]


def test_several_results_a_directory_of_reports_and_a_history_are_reported_alike(tmp_path: Path) -> None:
    for day in (1, 2):
        write_json(tmp_path / "reports" / str(day) / "results.json", run(day, memory=60 + 10 * day))
        add(tmp_path, run(day, memory=60 + 10 * day))
    two, one = [tmp_path / "reports" / str(day) / "results.json" for day in (2, 1)]
    told = report([two, one]).report
    assert told.sections[0].title == "What changed"
    assert told.sections[1].title.startswith(f"Over time: m on {run(1).machine.cpu}, {run(1).machine.cores} cores")
    assert "+14.3 %" in markdown.document(told)
    assert report([tmp_path / "reports"]).report == report([two, tmp_path / "kept"]).report == told
    assert "What changed" not in [section.title for section in report([two]).report.sections]


def test_a_page_of_a_history_opens_offline_and_shows_what_changed(slimner: Slimner, tmp_path: Path) -> None:
    for day in (1, 2):
        add(tmp_path, run(day, memory=60 + 10 * day))
    done = slimner("history", "show", "--dir", "kept", "--out", "history.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "history.html").read_text(encoding="utf-8")
    assert "What changed" in page
    assert "Other figures: m on" in page
    assert not re.search(r"(?:src|href)=.?https?://", page)
    refused = slimner("history", "show", "--dir", "kept", "--out", "history.pdf")
    assert refused.returncode == 2


def test_a_branch_of_git_holds_the_history_and_the_checkout_stays_as_it_is(slimner: Slimner, tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    git("init", "-q", "-b", "main")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first")
    for day in (1, 2):
        write_json(tmp_path / "results.json", run(day, memory=60 + 10 * day))
        done = slimner("history", "add", "results.json", "--branch", "runs")
        assert done.returncode == 0, done.stderr
    assert "worse    lean memory +14.3 %" in done.stdout
    assert slimner("history", "add", "results.json", "--branch", "runs").stdout.startswith("known")
    assert git("log", "--oneline", "runs").count("\n") == 3
    assert git("branch", "--show-current").strip() == "main"
    assert git("status", "--porcelain").split() == ["??", "results.json"]
    assert git("worktree", "list").count("\n") == 1
    shown = slimner("history", "show", "--branch", "runs")
    assert shown.returncode == 0, shown.stderr
    assert "2 runs. Worse in the newest runs: lean" in shown.stdout
    missing = slimner("history", "show", "--branch", "other")
    assert missing.returncode == 2
    assert "there is no branch 'other'" in missing.stderr


def test_what_is_no_history_is_refused(slimner: Slimner, tmp_path: Path) -> None:
    empty = slimner("history", "show")
    assert empty.returncode == 2
    assert "start one with slimner history add RESULTS" in empty.stderr
    add(tmp_path, run(1))
    (file,) = (tmp_path / "kept" / RUNS).iterdir()
    file.write_bytes(file.read_bytes()[:100])
    cut = slimner("history", "show", "--dir", "kept")
    assert cut.returncode == 2
    assert file.name in cut.stderr


@pytest.mark.parametrize("at", [8, 20, 31])
def test_a_new_level_is_found_where_it_begins_and_an_outlier_is_none(at: int) -> None:
    draw = random.Random(at)
    values = [draw.gauss(100 if i < at else 106, 1) for i in range(40)]
    values[15] = 500.0
    assert change_points(values) == [at]


def test_noise_rarely_has_a_level_of_its_own() -> None:
    draw = random.Random(3)
    wrong = sum(bool(change_points([draw.gauss(100, 5) for _ in range(40)])) for _ in range(400))
    assert wrong <= 16  # 4 at a level of 1 %; the approximation is known to err to the safe side
    assert change_points([7.0] * 50) == []
    assert pettitt([1.0]) == 1.0


def thousand() -> list[HistoryEntry]:
    """A thousand runs in which lean gets 8 % slower, and later takes a tenth more memory."""
    (entry,) = entries_of_one(run(1))
    draw = random.Random(1)
    found: list[HistoryEntry] = []
    for i in range(1000):
        variants = []
        for variant in entry.variants:
            lean = variant.variant == "lean"
            ms = 4.0 * (1.08 if lean and i >= 400 else 1) * draw.gauss(1, 0.02)
            memory = 7e7 * (1.1 if lean and i >= 700 else 1) + draw.gauss(0, 1e5)
            figures = variant.figures | {
                "p50": Spread(value=ms, low=ms * 0.97, high=ms * 1.03, processes=3),
                "memory": Spread(value=memory, low=memory - 1e5, high=memory + 1e5, processes=3),
            }
            variants.append(msgspec.structs.replace(variant, figures=figures))
        day = f"20{24 + i // 365}-{i % 365 // 31 + 1:02d}-{i % 365 % 31 + 1:02d}"
        commit = Commit(sha=f"{i:04d}".ljust(40, "b"), branch="main", clean=True)
        found.append(
            msgspec.structs.replace(
                entry, started=f"{day}T00:00:00+00:00", commit=commit, variants=tuple(variants), source=str(i)
            )
        )
    return found


def entries_of_one(results: Results) -> list[HistoryEntry]:
    from slimner.reports import rows_of
    from slimner.reports.trend import entry_of

    return [entry_of(results, rows_of(results), "lean")]


def charts(told: Report) -> list[Chart]:
    return [part for section in told.sections for part in section.parts if isinstance(part, Chart)]


def test_a_thousand_runs_are_read_and_told_in_a_page(tmp_path: Path) -> None:
    for i, entry in enumerate(thousand()):
        write = tmp_path / RUNS / f"{i:04d}.json"
        write.parent.mkdir(exist_ok=True)
        write.write_bytes(msgspec.json.encode(entry))
    begun = time.process_time()
    entries = read_history(tmp_path)
    told = report_on(entries)
    written = markdown.document(told)
    assert time.process_time() - begun < 30
    marked = {(c.variant, c.metric.name): c.index for c in changes(entries) if c.kind == "change point"}
    assert set(marked) == {("lean", "p50"), ("lean", "memory")}
    assert abs(marked["lean", "p50"] - 400) <= 3
    assert marked["lean", "memory"] == 700
    assert len(written) < 100_000
    assert all(len(series.points) <= 200 for chart in charts(told) for series in chart.series)
    assert os.stat(tmp_path / RUNS / "0000.json").st_size < 10_000
