"""`slimner export`, read back by the tools that the formats are of, where they are installed."""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from slimner.core.machine import describe
from slimner.core.records import (
    Block,
    CheckpointFacts,
    CorpusFacts,
    EvaluationRecord,
    Interference,
    MeasurementRecord,
    Results,
    RunSettings,
    Score,
    Threads,
    TypeCount,
    Warmup,
    WorkloadFacts,
)
from slimner.core.store import RESULTS_SCHEMA, write_json
from slimner.reports import rows_of
from slimner.reports.tables import as_csv

from ..conftest import Slimner
from ..made import make, stage

SAMPLES = 25


def measurement(variant: str, repetition: int, base_ms: float) -> MeasurementRecord:
    block = Block(
        first=0,
        samples=SAMPLES,
        attempts=1,
        interference=Interference(
            seconds=1.0,
            own_cores=1.0,
            other_cores=0.0,
            stolen_s=0.0,
            voluntary_switches=0,
            involuntary_switches=0,
            throttled_periods=0,
        ),
        taints=(),
    )
    return MeasurementRecord(
        variant=variant,
        artifact=f"{variant}-0123456789ab",
        machine=describe(),
        repetition=repetition,
        cold_start_s=1.0,
        load_s=1.0,
        stages=(stage("steady", 100_000_000, 1.0),),
        warmup=Warmup(texts=1, passes=3, steady=True),
        texts=tuple(range(SAMPLES)),
        samples_ms=tuple(base_ms + repetition + (i * 7 % SAMPLES) / 10 for i in range(SAMPLES)),
        blocks=(block,),
        threads=Threads(requested=1, os_threads=1, busy_cores=1.0),
    )


def evaluation(variant: str, f1: float) -> EvaluationRecord:
    score = Score(precision=f1, recall=f1, f1=f1, support=100)
    return EvaluationRecord(
        variant=variant,
        artifact=f"{variant}-0123456789ab",
        machine=describe(),
        corpus="news",
        corpus_sha256="c",
        strict=score,
        strict_by_type={"PER": score},
        default=score,
        sentences=((TypeCount(type="PER", right=round(f1 * 100), predicted=100, gold=100),),),
        predictions=((),),
        seconds=1.0,
    )


def results(
    base_ms: dict[str, float], f1: dict[str, float] | None = None, timed: int = 2, broken: tuple[str, ...] = ()
) -> Results:
    """Results of variants that take `base_ms` and more, with `timed` timed processes after the sampled one."""
    return Results(
        schema=RESULTS_SCHEMA,
        slimner="9.9.9",
        started="2026-01-01T00:00:00+00:00",
        seconds=1.0,
        resumed=False,
        commit=None,
        machine=describe(),
        checkpoint=CheckpointFacts(
            name="my-model", architecture="Bert", parameters=1000, sha256="", labels=("O", "B-PER")
        ),
        corpus=CorpusFacts(name="news", sha256="c", sentences=1, entities=100),
        workload=WorkloadFacts(name="texts", sha256="w", lengths=(40,) * SAMPLES),
        settings=RunSettings(
            variants=(*base_ms, *broken),
            baseline="fp32",
            threads=1,
            repetitions=2,
            samples=SAMPLES,
            warmup=5,
            timeout_s=900,
            seed=1,
        ),
        evaluations=tuple(evaluation(variant, value) for variant, value in (f1 or {}).items()),
        measurements=tuple(
            measurement(variant, repetition, base)
            for repetition in range(timed + 1)
            for variant, base in (base_ms.items() if repetition % 2 == 0 else reversed(base_ms.items()))
        ),
    )


def timed_ms(record: Results, variant: str) -> list[float]:
    return [s for m in record.measurements if m.variant == variant and m.repetition > 0 for s in m.samples_ms]


def compare(directory: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the real `pytest-benchmark compare`."""
    return subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", *map(str, arguments)],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_pytest_benchmark_compares_what_was_exported(slimner: Slimner, tmp_path: Path) -> None:
    record = results({"fp32": 8.0, "onnx-int8": 3.0})
    write_json(tmp_path / "results.json", record)
    done = slimner("export", "results.json", "--format", "pytest-benchmark", "--out", "now.json")
    assert done.returncode == 0, done.stderr
    assert "pytest-benchmark compare now.json" in done.stdout
    shown = compare(tmp_path, "now.json", "--time-unit=ms", "--columns=median,rounds", "--csv=table.csv")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "benchmark 'my-model': 2 tests" in shown.stdout
    medians = {variant: statistics.median(timed_ms(record, variant)) for variant in ("fp32", "onnx-int8")}
    rows = {line.split()[0]: line.split() for line in shown.stdout.splitlines() if line.startswith("latency[")}
    assert set(rows) == {"latency[fp32]", "latency[onnx-int8]"}
    for variant, median in medians.items():
        assert f"{median:.4f}" in rows[f"latency[{variant}]"]
        assert rows[f"latency[{variant}]"][-1] == str(2 * SAMPLES)
    with (tmp_path / "table.csv").open() as file:
        table = {row["param:variant"]: float(row["median"]) * 1000 for row in csv.DictReader(file)}
    assert table == pytest.approx(medians)


def test_two_runs_compare_by_variant(slimner: Slimner, tmp_path: Path) -> None:
    for name, base in (("before", 3.0), ("after", 6.0)):
        write_json(tmp_path / "results.json", results({"onnx-int8": base}))
        assert slimner("export", "results.json", "--out", f"{name}.json").returncode == 0
    shown = compare(tmp_path, "before.json", "after.json", "--group-by=fullname")
    assert "benchmark 'slimner::latency[onnx-int8]': 2 tests" in shown.stdout
    assert "latency[onnx-int8] (before)" in shown.stdout
    assert "latency[onnx-int8] (after)" in shown.stdout


def test_every_timed_sample_is_there_in_seconds_with_what_it_was_taken_from(slimner: Slimner, tmp_path: Path) -> None:
    record = results({"fp32": 8.0, "onnx-int8": 3.0}, f1={"onnx-int8": 0.75})
    write_json(tmp_path / "results.json", record)
    done = slimner("export", "results.json")
    assert done.returncode == 0, done.stderr
    exported = json.loads(done.stdout)
    assert exported["datetime"] == record.started
    assert exported["machine_info"]["cpu"]["brand_raw"] == record.machine.cpu
    first, second = exported["benchmarks"]
    assert (first["param"], second["param"]) == ("fp32", "onnx-int8")
    assert first["stats"]["data"] == pytest.approx([ms / 1000 for ms in timed_ms(record, "fp32")])
    assert first["stats"]["rounds"] == len(first["stats"]["data"]) == 2 * SAMPLES
    assert first["stats"]["mean"] == pytest.approx(statistics.mean(timed_ms(record, "fp32")) / 1000)
    assert first["extra_info"] == {"artifact": "fp32-0123456789ab", "samples": 2 * SAMPLES, "slimner": "9.9.9"}
    assert second["extra_info"]["f1"] == 0.75
    assert slimner("export", "results.json", "--out", "now.json").returncode == 0
    assert json.loads((tmp_path / "now.json").read_text()) == exported
    assert sorted(path.name for path in tmp_path.iterdir()) == ["now.json", "results.json"]


def test_the_file_has_every_field_that_pytest_benchmark_writes_itself(slimner: Slimner, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_one.py").write_text("def test_one(benchmark):\n    benchmark(sum, range(1000))\n")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--benchmark-max-time=0.01", "--benchmark-json=own.json"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        timeout=120,
        check=True,
    )
    write_json(tmp_path / "results.json", results({"fp32": 8.0}))
    exported: dict[str, Any] = json.loads(slimner("export", "results.json").stdout)
    own: dict[str, Any] = json.loads((tmp_path / "own.json").read_text())
    assert set(exported) == set(own)
    for part in ("machine_info", "commit_info"):
        assert set(exported[part]) >= set(own[part]), part
    (theirs,), (ours,) = own["benchmarks"], exported["benchmarks"]
    assert set(ours) == set(theirs)
    assert set(ours["stats"]) == set(theirs["stats"])
    assert set(ours["options"]) >= set(theirs["options"])
    assert exported["version"] == own["version"]


def test_a_variant_without_timed_samples_is_left_out_and_named(slimner: Slimner, tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", results({"fp32": 8.0}, broken=("onnx-int8",)))
    done = slimner("export", "results.json")
    assert done.returncode == 0
    assert [benchmark["param"] for benchmark in json.loads(done.stdout)["benchmarks"]] == ["fp32"]
    assert "onnx-int8 has no timed samples and is left out" in done.stderr


def test_what_cannot_be_exported_is_one_clear_line_and_exit_code_2(slimner: Slimner, tmp_path: Path) -> None:
    write_json(tmp_path / "untimed.json", results({"fp32": 8.0}, timed=0))
    write_json(tmp_path / "good.json", results({"fp32": 8.0}))
    (tmp_path / "newer.json").write_text('{"schema": 999}')
    for arguments, message in (
        (["untimed.json"], "untimed.json: no timed samples see report.md for what failed, then run slimner run again"),
        (["nowhere.json"], "nowhere.json: no such file"),
        (["newer.json"], "results schema 999"),
        (["good.json", "--format", "parquet"], "'parquet' is not"),
        (["good.json", "--out", "."], "is a directory"),
    ):
        done = slimner("export", *arguments)
        assert done.returncode == 2, done.stdout + done.stderr
        assert message in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr + done.stdout
    assert "Traceback" in slimner("export", "nowhere.json", "--debug").stderr


def test_without_pytest_benchmark_the_command_says_what_to_install(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", results({"fp32": 8.0}))
    code = (
        "import sys; sys.modules['pytest_benchmark'] = None;"  # importing it now fails as if it were not installed
        "from slimner.cli.main import main; main(['export', 'results.json'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "this format needs pytest_benchmark" in done.stderr
    assert "pip install '.[lab]'" in done.stderr


FULL = make({"fp32": (380, 400, 8), "lean": (380, 70, 4)})


def exported(slimner: Slimner, tmp_path: Path, *arguments: str) -> str:
    write_json(tmp_path / "results.json", FULL)
    done = slimner("export", "results.json", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_bencher_gets_every_figure_with_its_interval(slimner: Slimner, tmp_path: Path) -> None:
    found = json.loads(exported(slimner, tmp_path, "--format", "bencher"))
    number = {"type": "number"}
    measure = {
        "type": "object",
        "properties": {"value": number, "lower_value": number, "upper_value": number},
        "required": ["value"],
        "additionalProperties": False,
    }
    benchmark = {"type": "object", "additionalProperties": measure, "propertyNames": {"pattern": "^[a-z0-9-]{1,64}$"}}
    jsonschema.validate(found, {"type": "object", "additionalProperties": benchmark})
    assert set(found) == {"m/fp32", "m/lean"}
    assert found["m/lean"]["memory-bytes"]["value"] == pytest.approx(70_000_000)
    f1 = found["m/lean"]["f1"]
    assert f1["lower_value"] < f1["value"] == 0.95 < f1["upper_value"]


def test_github_action_benchmark_gets_what_is_better_when_smaller(slimner: Slimner, tmp_path: Path) -> None:
    found = json.loads(exported(slimner, tmp_path, "--format", "github-benchmark"))
    for entry in found:
        assert set(entry) - {"range"} == {"name", "unit", "value", "extra"}
        assert isinstance(entry["value"], float | int)
    by_name = {entry["name"]: entry for entry in found}
    assert len(by_name) == len(found)
    assert not any("qps" in name for name in by_name)
    assert by_name["m lean F1 error (100 - F1)"]["value"] == pytest.approx(5.0)
    assert by_name["m lean memory"] == {
        "name": "m lean memory",
        "unit": "B",
        "value": pytest.approx(70_000_000),
        "range": "± 0",
        "extra": f"memory_bytes; {FULL.machine.cpu}; slimner 0",
    }


def test_csv_is_the_table_of_the_report(slimner: Slimner, tmp_path: Path) -> None:
    rows = rows_of(FULL)
    assert exported(slimner, tmp_path, "--format", "csv") == as_csv(rows, "lean")


def test_a_model_card_is_one_that_the_hubs_library_takes(slimner: Slimner, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    exported(slimner, tmp_path, "--format", "model-card", "--out", "card.md")
    card = ModelCard.load(tmp_path / "card.md")
    assert card.data.model_name == "m (lean)"
    results = {result.metric_type: result for result in card.data.eval_results}
    assert {name: result.metric_value for name, result in results.items()} == dict.fromkeys(
        ("f1", "precision", "recall"), 0.95
    )
    assert {result.task_type for result in results.values()} == {"token-classification"}
    assert "95 % 0.9" in results["f1"].metric_name
    assert "| memory | 70" in card.text
    assert "(fp32)" in exported(slimner, tmp_path, "--format", "model-card", "--variant", "fp32")
    write_json(tmp_path / "results.json", results_without_a_corpus())
    assert "has no score" in slimner("export", "results.json", "--format", "model-card", "--variant", "fp32").stderr
    missing = slimner("export", "results.json", "--format", "model-card", "--variant", "none")
    assert missing.returncode == 2
    assert "it has fp32, lean" in missing.stderr


def results_without_a_corpus() -> Results:
    return msgspec.structs.replace(FULL, corpus=None, evaluations=())


def test_mlflow_keeps_each_variant_once(slimner: Slimner, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs the extra mlflow; nox -s mlflow runs it")
    pytest.importorskip("sqlalchemy", reason="needs the extra mlflow; nox -s mlflow runs it")
    store = f"sqlite:///{tmp_path}/tracking.db"
    arguments = ("--format", "mlflow", "--out", store)
    assert "made     fp32, lean in m of sqlite:///" in exported(slimner, tmp_path, *arguments)
    assert "kept     fp32, lean in m of sqlite:///" in exported(slimner, tmp_path, *arguments)
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("m")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"fp32", "lean"}
    lean = runs["lean"]
    assert lean.info.status == "FINISHED"
    assert lean.data.metrics["memory_bytes"] == pytest.approx(70_000_000)
    assert lean.data.metrics["f1_low"] < lean.data.metrics["f1"] == pytest.approx(0.95)
    assert lean.data.params["baseline"] == "fp32"
    assert lean.data.tags["slimner.corpus"] == "c"
    refused = slimner("export", "results.json", "--format", "mlflow", "--out", "nonsense://x")
    assert refused.returncode == 2
    assert "MLflow: " in refused.stderr
