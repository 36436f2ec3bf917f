from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from slimner.bench import Step, measure, read_workload, steps
from slimner.bench.process import sample_in_child, warm_up
from slimner.core import child
from slimner.core.errors import UserError
from slimner.core.machine import describe
from slimner.core.records import MeasurementRecord, Measuring
from slimner.core.statistics import by_length
from slimner.reports.ledger import unexplained_bytes

SETTINGS = Measuring(threads=1, samples=30, warmup=5, timeout_s=120, seed=1)


@pytest.fixture(scope="module")
def sampled(artifacts: dict[str, Path], small_workload: Path) -> MeasurementRecord:
    return measure(Step(artifact=artifacts["fp32"], repetition=0), str(small_workload), SETTINGS)


@pytest.fixture(scope="module")
def timed(artifacts: dict[str, Path], small_workload: Path) -> MeasurementRecord:
    return measure(Step(artifact=artifacts["onnx-int8"], repetition=1), str(small_workload), SETTINGS)


def test_stages_come_in_order_and_memory_only_peaks_upwards(sampled: MeasurementRecord) -> None:
    names = [stage.name for stage in sampled.stages]
    assert names == [
        "interpreter",
        "predictor code",
        "import torch",
        "import transformers",
        "tokenizer",
        "model",
        "first answer",
        "steady",
    ]
    peaks = [stage.hwm_bytes for stage in sampled.stages]
    assert peaks == sorted(peaks)
    torch, before = sampled.stage("import torch"), sampled.stage("predictor code")
    assert torch.pss_bytes is not None
    assert before.pss_bytes is not None
    assert torch.pss_bytes - before.pss_bytes > 50_000_000


def test_the_time_line_covers_loading_and_agrees_with_the_stages(sampled: MeasurementRecord) -> None:
    assert len(sampled.timeline) > 5
    moments = [point.after_s for point in sampled.timeline]
    assert moments == sorted(moments)
    steady = sampled.stage("steady")
    assert steady.pss_bytes is not None
    assert sampled.timeline[0].pss_bytes < steady.pss_bytes / 2
    assert max(point.pss_bytes for point in sampled.timeline) <= steady.hwm_bytes * 1.05
    assert max(point.pss_bytes for point in sampled.timeline) >= steady.pss_bytes * 0.8


def test_every_sample_is_kept_with_its_text(timed: MeasurementRecord) -> None:
    assert len(timed.samples_ms) == len(timed.texts) == 30
    assert set(timed.texts) == set(range(10))
    assert min(timed.samples_ms) > 0
    assert timed.timeline == ()


def test_one_thread_is_seen_to_be_one(timed: MeasurementRecord, sampled: MeasurementRecord) -> None:
    for record in (timed, sampled):
        assert record.threads.requested == 1
        assert record.threads.busy_cores < 1.2
    assert timed.threads.os_threads <= 2  # importing onnxruntime starts an idle one


def test_a_process_without_torch_needs_a_fraction_of_the_memory(
    timed: MeasurementRecord, sampled: MeasurementRecord
) -> None:
    lean, heavy = timed.stage("steady").pss_bytes, sampled.stage("steady").pss_bytes
    assert lean is not None
    assert heavy is not None
    assert lean < heavy / 2


def test_memory_parts_add_up_and_agree_with_what_is_seen_from_outside(sampled: MeasurementRecord) -> None:
    for stage in sampled.stages:
        assert stage.pss_bytes is not None
        assert stage.anonymous_bytes is not None
        assert stage.file_bytes is not None
        assert stage.shared_bytes is not None
        assert abs(stage.pss_bytes - stage.anonymous_bytes - stage.file_bytes) <= 8192
        assert stage.shared_bytes < stage.rss_bytes
    left = unexplained_bytes(sampled)
    assert left is not None
    assert abs(left) <= max(2_000_000, 0.02 * (sampled.stages[-1].pss_bytes or 0))


def test_blocks_cover_all_samples_and_the_machine_is_in_the_record(timed: MeasurementRecord) -> None:
    assert [block.first for block in timed.blocks] == [
        sum(b.samples for b in timed.blocks[:i]) for i in range(len(timed.blocks))
    ]
    assert sum(block.samples for block in timed.blocks) == 30
    assert all(block.attempts >= 1 and block.interference.seconds > 0 for block in timed.blocks)
    assert timed.machine == describe()


def test_several_clients_at_once_get_the_same_answers(timed: MeasurementRecord, sampled: MeasurementRecord) -> None:
    assert timed.concurrent is not None
    assert timed.concurrent.clients == 5
    assert timed.concurrent.answers > 5
    assert timed.concurrent.wrong == 0
    assert sampled.concurrent is None  # a sampled process is not timed


def test_cold_start_includes_loading_and_the_first_answer(timed: MeasurementRecord) -> None:
    assert timed.load_s < timed.cold_start_s <= timed.stage("first answer").after_s + 0.5


def test_warm_up_goes_on_until_it_gets_no_faster() -> None:
    costs = iter([10.0, 5.0, 4.0, *[3.9] * 20])
    assert warm_up(lambda index: next(costs), [0]).passes == 6  # 3.9 is the best; 3.9 twice more is no faster
    falling = iter(1000 * 0.5**i for i in range(100))
    assert not warm_up(lambda index: next(falling), [0]).steady
    assert warm_up(lambda index: 1.0, []).passes == 0


def test_every_length_gets_samples(artifacts: dict[str, Path], tmp_path: Path) -> None:
    workload = tmp_path / "texts.txt"
    workload.write_text("\n".join(["短句。"] * 30 + ["长" * 100 + "句。"]) + "\n", encoding="utf-8")
    settings = msgspec.structs.replace(SETTINGS, samples=5)
    record = measure(Step(artifact=artifacts["onnx-int8"], repetition=1), str(workload), settings)
    found = by_length([record], [3] * 30 + [102])
    assert [len(samples) for samples in found] == [7, 0, 7, 0, 0, 0]


def test_variants_take_turns_and_every_other_round_runs_backwards() -> None:
    a, b = Path("a"), Path("b")
    assert [(step.artifact.name, step.repetition) for step in steps([a, b], 2)] == [
        ("a", 0),
        ("b", 0),
        ("b", 1),
        ("a", 1),
        ("a", 2),
        ("b", 2),
    ]


def test_the_sampler_sees_memory_it_did_not_allocate(tmp_path: Path) -> None:
    jobs = {"PYTHONPATH": str(Path(__file__).parents[1] / "core")}
    holding = child.Call("child_jobs:hold_memory", {"megabytes": 120, "seconds": 2.0}, int)
    begin = tmp_path / "begin"
    os.mkfifo(begin)
    with (
        holding.started(jobs) as grown,
        child.call(sample_in_child, grown.pid, 0.05, 60.0, begin).started() as sampler,
    ):
        assert grown.result(60) == 120_000_000
        points = sampler.result(30)
    assert 120_000_000 < max(point.pss_bytes for point in points) < 200_000_000


def test_the_embedded_workload_has_the_lengths_of_real_news() -> None:
    facts = read_workload("news-zh").facts
    assert facts.texts == 200
    assert abs(facts.length(50) - 44) <= 4
    assert abs(facts.length(95) - 112) <= 8
    assert facts.length(100) > 256


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_workload_without_texts_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "empty.txt"
    path.write_text(content)
    with pytest.raises(UserError, match="no texts"):
        read_workload(str(path))


def test_a_missing_workload_is_named() -> None:
    with pytest.raises(UserError, match="nowhere: no such file"):
        read_workload("nowhere")


def test_a_sampler_that_fails_does_not_fail_the_variant(
    artifacts: dict[str, Path], small_workload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory_profiler.py").write_text("raise ImportError('broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    record = measure(Step(artifact=artifacts["onnx-int8"], repetition=0), str(small_workload), SETTINGS)
    assert record.timeline == ()
    assert not record.timed
    assert len(record.samples_ms) == 30
