from __future__ import annotations

import csv
import io
import json
import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest
from slimner.core.machine import describe
from slimner.core.records import (
    BuildRecord,
    CheckpointFacts,
    CorpusFacts,
    EvaluationRecord,
    Failure,
    MeasurementRecord,
    Parity,
    Results,
    Score,
    Settings,
    Stage,
    Threads,
    TimelinePoint,
    TypeCount,
    WorkloadFacts,
)
from slimner.core.store import read_results
from slimner.reports import Policy, compare, decide, write_report
from slimner.reports.comparison import percentile
from slimner.reports.notes import notes

COMPLEXITY = {"fp32": 0, "lean": 2, "plain": 1}


def stage(name: str, pss: int, after: float) -> Stage:
    return Stage(name=name, after_s=after, pss_bytes=pss, uss_bytes=pss, rss_bytes=pss, hwm_bytes=pss + 10_000_000)


def measurement(variant: str, repetition: int, memory: int, milliseconds: float) -> MeasurementRecord:
    return MeasurementRecord(
        variant=variant,
        artifact=variant,
        instructions="x86_64",
        repetition=repetition,
        load_s=1.0,
        first_answer_ms=9.0,
        stages=(
            stage("interpreter", 10_000_000, 0.1),
            stage("model", memory - 5_000_000, 1),
            stage("steady", memory, 2),
        ),
        timeline=()
        if repetition
        else (TimelinePoint(after_s=0.1, pss_bytes=1), TimelinePoint(after_s=2, pss_bytes=memory)),
        warmup=1,
        texts=tuple(range(100)),
        samples_ms=tuple(milliseconds + i / 100 for i in range(100)),
        threads=Threads(requested=1, os_threads=1, busy_cores=1.0),
        other_load_cores=0.0,
        stolen_s=0.0,
    )


def evaluation(variant: str, right: int) -> EvaluationRecord:
    """`right` of 400 one-entity sentences."""
    score = Score(precision=right / 400, recall=right / 400, f1=right / 400, support=400)
    return EvaluationRecord(
        variant=variant,
        artifact=variant,
        instructions="x86_64",
        corpus="c",
        corpus_sha256="c",
        strict=score,
        strict_by_type={"PER": score},
        default=score,
        sentences=tuple((TypeCount(type="PER", right=int(i < right), predicted=1, gold=1),) for i in range(400)),
        seconds=1,
    )


def make(
    figures: dict[str, tuple[int, int, float]], failures: tuple[Failure, ...] = (), broken: tuple[str, ...] = ()
) -> Results:
    """Results of variants given as (right of 400, steady memory in MB, milliseconds)."""
    parity = Parity(texts=1, tokens=1, max_abs_logit_difference=0, mean_abs_logit_difference=0, tag_agreement=1)
    return Results(
        schema=1,
        slimner="0",
        started="2026-01-01T00:00:00+00:00",
        seconds=1,
        resumed=False,
        machine=describe(),
        checkpoint=CheckpointFacts(name="m", architecture="Bert", parameters=1000, sha256="", labels=("O", "B-PER")),
        corpus=CorpusFacts(name="c", sha256="c", sentences=400, entities=400),
        workload=WorkloadFacts(name="w", sha256="w", texts=100, length_p50=44, length_p95=112, length_max=300),
        settings=Settings(
            variants=(*figures, *broken),
            baseline="fp32",
            threads=1,
            repetitions=2,
            samples=100,
            warmup=1,
            timeout_s=1,
            seed=1,
        ),
        builds=tuple(
            BuildRecord(
                variant=v,
                artifact=v,
                size_bytes=m * 100_000,
                seconds=1,
                peak_bytes=1,
                cached=False,
                parity=parity,
            )
            for v, (_, m, _) in figures.items()
        ),
        evaluations=tuple(evaluation(v, right) for v, (right, _, _) in figures.items()),
        measurements=tuple(measurement(v, r, m * 1_000_000, ms) for r in range(3) for v, (_, m, ms) in figures.items()),
        failures=failures,
    )


def test_the_leanest_variant_that_keeps_f1_wins_and_every_loser_has_a_reason() -> None:
    rows = compare(make({"fp32": (360, 400, 8), "plain": (360, 90, 5), "lean": (360, 70, 4)}))
    decision = decide(rows, COMPLEXITY)
    assert decision.winner == "lean"
    assert "memory -82 %" in decision.because
    assert "F1 within 0.5 pp (+0.00 pp, 95 % +0.00 to +0.00)" in decision.because
    assert decision.losers["fp32"] == "400 MB, 5.7 times the winner's memory, and better in nothing else measured"
    assert decide(rows[:2], COMPLEXITY).losers["fp32"].startswith("400 MB, 4.4 times")
    assert set(decision.losers) == {"fp32", "plain"}


def test_a_variant_that_loses_f1_cannot_win_however_lean() -> None:
    rows = compare(make({"fp32": (380, 400, 8), "plain": (380, 90, 5), "lean": (300, 10, 1)}))
    decision = decide(rows, COMPLEXITY)
    assert decision.winner == "plain"
    assert "F1 -20.00 pp" in decision.losers["lean"]
    assert "more than 0.5 pp lost" in decision.losers["lean"]


def test_a_small_drop_that_might_be_a_large_one_is_not_accepted() -> None:
    rows = compare(make({"fp32": (381, 400, 8), "lean": (380, 10, 1)}))
    decision = decide(rows, COMPLEXITY)
    assert decision.winner == "fp32"
    assert "not shown to stay within 0.5 pp" in decision.losers["lean"]
    assert decide(rows, COMPLEXITY, Policy(f1_max_drop_pp=2)).winner == "lean"


def test_a_tie_goes_to_the_simpler_variant() -> None:
    rows = compare(make({"fp32": (360, 400, 8), "plain": (360, 101, 5), "lean": (360, 100, 4)}))
    decision = decide(rows, COMPLEXITY)
    assert decision.winner == "plain"
    assert "less simple" in decision.losers["lean"]


def test_what_a_loser_does_better_is_said() -> None:
    rows = compare(make({"fp32": (360, 400, 2), "lean": (360, 70, 4)}))
    assert "though p50 2.50 ms against 4.50 ms" in decide(rows, COMPLEXITY).losers["fp32"]


def test_a_failed_variant_cannot_win_and_says_why() -> None:
    failure = Failure(variant="lean", step="build", kind="raised", reason="no nodes")
    rows = compare(make({"fp32": (360, 400, 8)}, failures=(failure,), broken=("lean",)))
    decision = decide(rows, COMPLEXITY)
    assert decision.winner == "fp32"
    assert decision.losers["lean"] == "failed (build: no nodes)"


def test_without_a_baseline_nothing_is_feasible() -> None:
    failure = Failure(variant="fp32", step="build", kind="raised", reason="no")
    results = make({"lean": (360, 70, 4)}, failures=(failure,), broken=("fp32",))
    decision = decide(compare(results), COMPLEXITY)
    assert decision.winner is None
    assert "no baseline" in decision.losers["lean"]


def test_a_percentile_needs_ten_samples_beyond_it() -> None:
    assert percentile(np.arange(199.0), 95) is None
    assert percentile(np.arange(200.0), 95) == pytest.approx(189.05)
    assert percentile(np.arange(19.0), 50) is None
    assert percentile(np.arange(0.0), 50) is None


def test_sampled_processes_do_not_count_as_timed() -> None:
    rows = compare(make({"fp32": (360, 400, 8)}))
    assert rows[0].samples == 200


def test_a_report_is_complete_and_reads_back(tmp_path: Path) -> None:
    failure = Failure(variant="late", step="measure", kind="timed-out", reason="still running", stderr_tail="a | b")
    results = make({"fp32": (360, 400, 8), "lean": (360, 70, 4)}, failures=(failure,), broken=("late",))
    rows = compare(results)
    decision = decide(rows, COMPLEXITY)
    report = write_report(tmp_path / "out", results, rows, decision)
    assert {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()} == {
        "results.json",
        "decision.json",
        "table.csv",
        "report.md",
        "plots/tradeoff.png",
        "plots/memory.png",
        "plots/latency.png",
    }
    assert read_results(tmp_path / "out" / "results.json") == results
    text = report.read_text()
    assert "**winner: lean**" in text
    assert "still running" in text
    for png in (tmp_path / "out" / "plots").iterdir():
        content = png.read_bytes()
        assert content.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", content[16:24])
        assert min(width, height) > 300
        assert f"plots/{png.name}" in text
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "table.csv").read_text())))
    assert [row["variant"] for row in table] == ["fp32", "lean", "late"]
    assert [row["winner"] for row in table] == ["no", "yes", "no"]
    assert float(table[1]["steady_pss_bytes"]) == 70_000_000
    assert json.loads((tmp_path / "out" / "decision.json").read_text())["winner"] == "lean"


def test_a_report_of_nothing_but_failures_is_still_written(tmp_path: Path) -> None:
    failure = Failure(variant="fp32", step="build", kind="raised", reason="no")
    results = make({}, failures=(failure,), broken=("fp32",))
    rows = compare(results)
    text = write_report(tmp_path, results, rows, decide(rows, COMPLEXITY)).read_text()
    assert "no winner" in text


def test_notes_name_other_load_and_say_what_to_do() -> None:
    results = make({"fp32": (360, 400, 8)})
    loud = msgspec.structs.replace(
        results, measurements=tuple(msgspec.structs.replace(m, other_load_cores=0.9) for m in results.measurements)
    )
    assert any("other load on the machine during 2 of 2" in note for note in notes(loud))
    assert not any("other load" in note for note in notes(results))


def test_notes_say_when_a_run_was_continued() -> None:
    results = msgspec.structs.replace(make({"fp32": (360, 400, 8)}), resumed=True)
    assert any("--fresh" in note for note in notes(results))


def test_a_little_more_memory_is_said_in_percent() -> None:
    rows = compare(make({"fp32": (360, 400, 8), "plain": (360, 74, 5), "lean": (360, 70, 4)}))
    assert decide(rows, COMPLEXITY).losers["plain"].startswith("74 MB, 6 % more than the winner")


def test_a_tie_between_equally_simple_variants_claims_no_simplicity() -> None:
    rows = compare(make({"fp32": (360, 400, 8), "plain": (360, 101, 5), "lean": (360, 100, 4)}))
    decision = decide(rows, {**COMPLEXITY, "plain": 2})
    assert decision.winner == "lean"
    assert "no simpler" in decision.losers["plain"]
