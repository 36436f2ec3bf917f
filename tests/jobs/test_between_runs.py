"""What runs leave behind on this machine, and what a comparison of two results files makes of it."""

from __future__ import annotations

import math
import random
from pathlib import Path

import msgspec
import pytest
from slimner.core.between_runs import ENOUGH
from slimner.core.machine import describe
from slimner.core.metrics import METRICS
from slimner.core.records import Measuring, Results
from slimner.core.statistics import ASSUMED
from slimner.core.store import write_json
from slimner.core.verdicts import Comparison
from slimner.jobs import bench, compare
from slimner.jobs.between_runs import KIND, between_runs, remember
from slimner.jobs.shown import directory_of
from slimner.reports import rows_of
from slimner.reports.comparison import measured_row
from slimner.reports.ties import front

from ..made import make

SETTINGS = Measuring(samples=100, warmup=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIMNER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def slower(factor: float) -> Results:
    found = make({"lean": (380, 70, 4)})
    measurements = tuple(
        msgspec.structs.replace(m, samples_ms=tuple(ms * factor for ms in m.samples_ms)) for m in found.measurements
    )
    return msgspec.structs.replace(found, measurements=measurements)


def compared(directory: Path) -> Comparison:
    for name, factor in (("old", 1.0), ("new", 1.3)):
        write_json(directory / f"{name}.json", slower(factor))
    return compare(directory / "old.json", directory / "new.json").comparisons[0]


def test_a_machine_that_varies_from_run_to_run_widens_the_interval_of_two_files(tmp_path: Path) -> None:
    before = compared(tmp_path)
    assert before.between_runs["p50"].deviation == ASSUMED
    assert before.between_runs["p50"].repeats is None

    chance = random.Random(1)
    for _ in range(ENOUGH + 1):
        remember(slower(math.exp(chance.gauss(0, 0.2))).measurements, "w", SETTINGS)
    after = compared(tmp_path)
    shown = after.between_runs["p50"]
    assert shown.repeats == ENOUGH
    assert 0.08 < shown.deviation < 0.4
    (narrow, wide) = (found.of("p50").change for found in (before, after))
    assert narrow is not None
    assert wide is not None
    assert narrow.low is not None
    assert wide.low is not None
    assert wide.low < narrow.low - 0.1
    assert narrow.value == wide.value


def test_what_another_machine_has_shown_does_not_count_nor_does_a_damaged_file() -> None:
    for factor in (1.0, 1.1, 1.2, 1.0, 1.3, 1.1, 1.2):
        remember(slower(factor).measurements, "w", SETTINGS)
    here = describe()
    elsewhere = msgspec.structs.replace(here, cpu="another")
    assert between_runs(here, here)["p50"].repeats == 6
    assert between_runs(elsewhere, elsewhere)["p50"].repeats is None
    assert between_runs(here, elsewhere)["p50"].repeats is None
    next(directory_of(KIND, here).glob("*.json")).write_text("{")
    assert between_runs(here, here)["p50"].repeats == 5


def test_a_bench_leaves_its_figures(artifacts: dict[str, Path], small_workload: Path) -> None:
    artifact = artifacts["onnx-int8"]
    settings = Measuring(samples=67, warmup=2, timeout_s=120)
    bench(artifact, workload=small_workload, settings=settings, repetitions=2)
    (kept,) = directory_of(KIND, describe()).glob("*.json")
    found = msgspec.json.decode(kept.read_bytes())
    assert len(found["figures"]["p50"]) == len(found["figures"]["memory"]) == 2


def test_the_interval_of_one_run_is_as_wide_as_the_machine_varies_from_run_to_run(
    artifacts: dict[str, Path], small_workload: Path
) -> None:
    settings = Measuring(samples=67, warmup=2, timeout_s=120)
    asked = {"workload": small_workload, "settings": settings, "repetitions": 2}
    first = bench(artifacts["onnx-int8"], **asked)  # type: ignore[arg-type]
    assert first.deviations == {}
    chance = random.Random(1)
    for _ in range(ENOUGH + 1):
        remember(slower(math.exp(chance.gauss(0, 0.3))).measurements, "w", SETTINGS)
    report = bench(artifacts["onnx-int8"], **asked)  # type: ignore[arg-type]
    assert 0.1 < report.deviations["p50"] < 0.9
    lengths = report.workload.lengths
    narrow = measured_row("v", report.measurements, lengths).spread("p50")
    wide = measured_row("v", report.measurements, lengths, deviations=report.deviations).spread("p50")
    assert narrow is not None
    assert wide is not None
    assert narrow.low is not None
    assert wide.low is not None
    assert narrow.value == wide.value
    assert wide.low < narrow.low


def test_what_the_machine_had_shown_decides_who_is_on_the_front() -> None:
    figures = {"fp32": (361, 400, 8.0), "lean": (361, 400, 4.0)}
    steady = msgspec.structs.replace(make(figures), deviations=dict.fromkeys(METRICS, 0.0))
    restless = msgspec.structs.replace(steady, deviations=dict.fromkeys(METRICS, 0.3))
    found = [front(rows_of(results)) for results in (steady, restless)]
    assert found == [("lean",), ("fp32", "lean")]
