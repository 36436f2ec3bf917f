from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest
from slimner.core import text
from slimner.core.records import (
    Block,
    Failure,
    Results,
)
from slimner.core.statistics import percentile
from slimner.core.store import read_results
from slimner.reports import Policy, decide, rows_of, write_report
from slimner.reports.ledger import sum_check, unexplained_bytes
from slimner.reports.notes import notes
from slimner.reports.tables import as_csv, csv_columns

from ..made import block, make, measurement, stage

COMPLEXITY = {"fp32": 0, "lean": 2, "plain": 1}


def test_the_leanest_variant_that_keeps_f1_wins_and_every_loser_has_a_reason() -> None:
    rows = rows_of(make({"fp32": (360, 400, 8), "plain": (360, 90, 5), "lean": (360, 70, 4)}))
    decision = decide(rows, COMPLEXITY)
    assert decision.winner == "lean"
    assert "memory -82 %" in decision.because
    assert "F1 within 0.5 pp (+0.00 pp, 95 % -0.23 to +0.13)" in decision.because
    assert decision.losers["fp32"] == "400 MB, 5.7 times the winner's memory, and surely better in nothing else"
    assert decide(rows[:2], COMPLEXITY).losers["fp32"].startswith("400 MB, 4.4 times")
    assert set(decision.losers) == {"fp32", "plain"}


def test_a_variant_that_loses_f1_cannot_win_however_lean() -> None:
    rows = rows_of(make({"fp32": (380, 400, 8), "plain": (380, 90, 5), "lean": (300, 10, 1)}))
    decision = decide(rows, COMPLEXITY)
    assert decision.winner == "plain"
    assert "F1 -20.00 pp" in decision.losers["lean"]
    assert "more than 0.5 pp lost" in decision.losers["lean"]


def test_a_small_drop_that_might_be_a_large_one_is_not_accepted() -> None:
    rows = rows_of(make({"fp32": (381, 400, 8), "lean": (380, 10, 1)}))
    decision = decide(rows, COMPLEXITY)
    assert decision.winner == "fp32"
    assert "not shown to stay within 0.5 pp" in decision.losers["lean"]
    assert decide(rows, COMPLEXITY, Policy(f1_max_drop_pp=2)).winner == "lean"


def test_a_tie_goes_to_the_simpler_variant() -> None:
    rows = rows_of(make({"fp32": (360, 400, 8), "plain": (360, 101, 5), "lean": (360, 100, 4)}))
    decision = decide(rows, COMPLEXITY)
    assert decision.winner == "plain"
    assert "less simple" in decision.losers["lean"]


def test_what_a_loser_does_better_is_said() -> None:
    rows = rows_of(make({"fp32": (360, 400, 2), "lean": (360, 70, 4)}))
    assert "though p50 2.64 ms against 4.64 ms" in decide(rows, COMPLEXITY).losers["fp32"]


def test_a_failed_variant_cannot_win_and_says_why() -> None:
    failure = Failure(variant="lean", step="build", kind="raised", reason="no nodes")
    rows = rows_of(make({"fp32": (360, 400, 8)}, failures=(failure,), broken=("lean",)))
    decision = decide(rows, COMPLEXITY)
    assert decision.winner == "fp32"
    assert decision.losers["lean"] == "failed (build: no nodes)"


def test_without_a_baseline_nothing_is_feasible() -> None:
    failure = Failure(variant="fp32", step="build", kind="raised", reason="no")
    results = make({"lean": (360, 70, 4)}, failures=(failure,), broken=("fp32",))
    decision = decide(rows_of(results), COMPLEXITY)
    assert decision.winner is None
    assert "no baseline" in decision.losers["lean"]


def test_a_percentile_needs_ten_samples_beyond_it() -> None:
    assert percentile(np.arange(199.0), 95) is None
    assert percentile(np.arange(200.0), 95) == pytest.approx(189.05)
    assert percentile(np.arange(19.0), 50) is None
    assert percentile(np.arange(0.0), 50) is None


def test_sampled_processes_do_not_count_as_timed() -> None:
    rows = rows_of(make({"fp32": (360, 400, 8)}))
    assert rows[0].samples == 200


def test_a_report_is_complete_and_reads_back(tmp_path: Path) -> None:
    failure = Failure(variant="late", step="measure", kind="timed-out", reason="still running", stderr_tail="a | b")
    results = make({"fp32": (360, 400, 8), "lean": (360, 70, 4)}, failures=(failure,), broken=("late",))
    rows = rows_of(results)
    decision = decide(rows, COMPLEXITY)
    report = write_report(tmp_path / "out", results, rows, decision)
    assert {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()} == {
        "results.json",
        "decision.json",
        "table.csv",
        "report.md",
        "report.html",
        "plots/f1-memory.svg",
        "plots/f1-p50.svg",
        "plots/latency.svg",
        "plots/memory-stages.svg",
        "plots/memory-time.svg",
    }
    assert read_results(tmp_path / "out" / "results.json") == results
    text = report.read_text()
    assert "**winner**: lean because memory -82 %" in text
    assert "**Use lean in place of fp32: memory -82 %" in text
    assert "still running" in text
    for drawn in (tmp_path / "out" / "plots").iterdir():
        assert ElementTree.fromstring(drawn.read_text()).tag == "{http://www.w3.org/2000/svg}svg"
        assert f"plots/{drawn.name}" in text
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "table.csv").read_text())))
    assert [row["variant"] for row in table] == ["fp32", "lean", "late"]
    assert [row["winner"] for row in table] == ["no", "yes", "no"]
    assert float(table[1]["memory_bytes"]) == pytest.approx(70_000_000)
    assert json.loads((tmp_path / "out" / "decision.json").read_text())["winner"] == "lean"


def test_a_report_of_nothing_but_failures_is_still_written(tmp_path: Path) -> None:
    failure = Failure(variant="fp32", step="build", kind="raised", reason="no")
    results = make({}, failures=(failure,), broken=("fp32",))
    rows = rows_of(results)
    text = write_report(tmp_path, results, rows, decide(rows, COMPLEXITY)).read_text()
    assert "No winner: no variant passes the policy" in text


def disturbed(results: Results, blocks: tuple[Block, ...]) -> Results:
    return msgspec.structs.replace(
        results, measurements=tuple(msgspec.structs.replace(m, blocks=blocks) for m in results.measurements)
    )


def test_disturbed_blocks_are_left_out_and_said_with_a_remedy() -> None:
    results = make({"fp32": (360, 400, 8)})
    half = disturbed(results, (block(0, 50, 4, ("other load",)), block(50, 50)))
    assert rows_of(half)[0].samples == 100
    assert rows_of(half)[0].disturbed == 2
    assert (rows_of(half)[0].value("p50") or 0) > (rows_of(results)[0].value("p50") or 0)
    note = next(note for note in notes(half) if note.code == "disturbed")
    assert "2 of 4 blocks" in note.message
    assert "left out" in note.message
    assert "quiet" in note.remedy
    assert not any(note.code in ("disturbed", "repeated") for note in notes(results))


def test_a_process_without_one_quiet_block_is_kept_and_named() -> None:
    results = disturbed(make({"fp32": (360, 400, 8)}), (block(0, 100, 4, ("other load",)),))
    assert rows_of(results)[0].samples == 200
    assert "processes of fp32 had no undisturbed block" in str(next(n for n in notes(results) if n.code == "disturbed"))


def test_blocks_that_were_repeated_well_are_told_apart() -> None:
    results = disturbed(make({"fp32": (360, 400, 8)}), (block(0, 100, 2),))
    codes = [note.code for note in notes(results)]
    assert "repeated" in codes
    assert "disturbed" not in codes


def test_stages_are_checked_against_what_was_seen_from_outside() -> None:
    record = measurement("fp32", 0, 100_000_000, 5.0)
    assert unexplained_bytes(record) == 500_000
    assert "too much" not in sum_check(record)
    leak = msgspec.structs.replace(record, final=stage("final, from outside", 110_000_000, 2.1))
    assert unexplained_bytes(leak) == 10_000_000
    assert "too much" in sum_check(leak)
    assert unexplained_bytes(measurement("fp32", 1, 100_000_000, 5.0)) is None


def test_notes_say_when_a_run_was_continued() -> None:
    results = msgspec.structs.replace(make({"fp32": (360, 400, 8)}), resumed=True)
    assert any("--fresh" in note.remedy for note in notes(results))


def test_a_little_more_memory_is_said_in_percent() -> None:
    rows = rows_of(make({"fp32": (360, 400, 8), "plain": (360, 74, 5), "lean": (360, 70, 4)}))
    assert decide(rows, COMPLEXITY).losers["plain"].startswith("74 MB, 6 % more memory than the winner")


def test_a_tie_between_equally_simple_variants_claims_no_simplicity() -> None:
    rows = rows_of(make({"fp32": (360, 400, 8), "plain": (360, 101, 5), "lean": (360, 100, 4)}))
    decision = decide(rows, {**COMPLEXITY, "plain": 2})
    assert decision.winner == "lean"
    assert "no simpler" in decision.losers["plain"]


def test_what_two_noisy_figures_do_not_show_is_not_claimed() -> None:
    results = make({"fp32": (360, 400, 4.4), "lean": (360, 70, 4.5)})  # 2 % apart, with intervals far wider
    assert "p50" not in decide(rows_of(results), COMPLEXITY).losers["fp32"]


def test_the_columns_of_the_table_keep_their_names_and_order() -> None:
    """What reads a table.csv of today reads the next one: a column may be added before `samples`, none goes."""
    figures = (
        *("f1_change_pp", "f1", "size_bytes", "cold_start_s", "memory_bytes", "growth_bytes_per_100", "peak_bytes"),
        *("p50_ms", "p95_ms", "mean_ms", "tail_ms", "qps", "qps_per_gib"),
    )
    ends = [f"{name}{end}" for name in figures for end in ("", "_low", "_high")]
    assert csv_columns() == ("variant", *ends, "samples", "disturbed_blocks", "winner", "failed")


@pytest.mark.parametrize(
    "name", ['=HYPERLINK("http://a")', "+1", "-1", "@SUM(A1)", "  =1", "\uff1d1", "\t=1", "\x1b]0;x\x07"]
)
def test_no_cell_of_the_table_is_a_formula_or_a_command(name: str) -> None:
    failure = Failure(variant=name, step="build", kind="raised", reason="=1+1")
    rows = rows_of(make({"fp32": (360, 400, 8), "lean": (350, 70, 4)}, failures=(failure,), broken=(name,)))
    table = list(csv.DictReader(io.StringIO(as_csv(rows, None))))
    assert table[2]["variant"] == text.cell(name)
    for cell in (table[2]["variant"], table[2]["failed"]):
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
        assert text.line(cell) == cell
    assert float(table[1]["f1_change_pp"]) < 0  # a figure is a number, not text
