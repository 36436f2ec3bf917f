from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from slimner.bench import Step, measure
from slimner.bench.interference import Meter, taints, turn_taints
from slimner.bench.process import MOST_ATTEMPTS, in_blocks
from slimner.core.records import Interference, Measuring
from slimner.variants import open_predictor

pytestmark = pytest.mark.alone

HOGS = 2  # more than one, so that at least one core is not this process's


def hogs() -> list[subprocess.Popen[bytes]]:
    return [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(HOGS)]


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()


def test_the_load_of_others_is_seen() -> None:
    running = hogs()
    try:
        time.sleep(0.3)
        meter = Meter()
        time.sleep(1)
        seen = meter.stop()
    finally:
        end(running)
    assert seen.other_cores > 0.3
    assert seen.own_cores < 0.3
    assert "other load" in taints(seen, len(os.sched_getaffinity(0)))
    assert seen.voluntary_switches > 0


def test_a_block_disturbed_by_a_hog_is_measured_again_until_it_is_gone(
    artifacts: dict[str, Path],
) -> None:
    predict = open_predictor(artifacts["onnx-int8"])
    running = hogs()
    begun = time.perf_counter()
    calls = 0

    def answer(index: int) -> float:
        nonlocal calls
        calls += 1
        if time.perf_counter() - begun > 1.0:  # in the first repetition of the first block
            end(running)
        start = time.perf_counter()
        predict(f"第{index}次会议今天在上海举行。")
        return (time.perf_counter() - start) * 1000

    try:
        durations, blocks = in_blocks(answer, range(2000))
    finally:
        end(running)
    assert len(durations) == 2000 < calls
    assert blocks[0].attempts > 1
    assert sum(block.samples for block in blocks) == 2000
    assert blocks[0].taints == () or blocks[0].attempts == MOST_ATTEMPTS


def test_a_hog_that_stays_leaves_marked_blocks(artifacts: dict[str, Path], small_workload: Path) -> None:
    settings = Measuring(samples=400, warmup=5, timeout_s=120)
    running = hogs()
    try:
        record = measure(Step(artifact=artifacts["fp32"], repetition=1), str(small_workload), settings)
    finally:
        end(running)
    marked = [block for block in record.blocks if block.taints]
    assert marked
    assert marked[0].attempts == MOST_ATTEMPTS
    assert all(block.interference.other_cores > 0.15 for block in marked if "other load" in block.taints)


def test_stolen_time_and_throttling_taint_a_block() -> None:
    quiet = Interference(
        seconds=1.0,
        own_cores=1.0,
        other_cores=0.05,
        stolen_s=0.01,
        voluntary_switches=0,
        involuntary_switches=3,
        throttled_periods=0,
    )
    assert taints(quiet, 2) == ()
    assert taints(msgspec.structs.replace(quiet, stolen_s=0.1), 2) == ("stolen time",)
    assert taints(msgspec.structs.replace(quiet, throttled_periods=2), 2) == ("throttled",)


def test_on_many_cores_it_takes_more_of_others_to_disturb() -> None:
    """A container sees the load of the whole host."""
    busy = Interference(
        seconds=1.0,
        own_cores=1.0,
        other_cores=0.8,
        stolen_s=0.0,
        voluntary_switches=0,
        involuntary_switches=0,
        throttled_periods=0,
    )
    assert taints(busy, 2) == ("other load",)
    assert taints(busy, 64) == ()
    assert taints(msgspec.structs.replace(busy, other_cores=8.0), 64) == ("other load",)


def test_only_the_cores_this_process_may_use_are_watched() -> None:
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("one core")
    first, second = sorted(cores)[:2]
    hog = subprocess.Popen(
        [sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{second}}})\nwhile True: pass"]
    )
    try:
        os.sched_setaffinity(0, {first})
        time.sleep(0.3)
        meter = Meter()
        time.sleep(1)
        apart = meter.stop()
        os.sched_setaffinity(0, {second})
        meter = Meter()
        time.sleep(1)
        beside = meter.stop()
    finally:
        os.sched_setaffinity(0, cores)
        end([hog])
    assert beside.other_cores > 0.5
    assert apart.other_cores < beside.other_cores


def turn(seconds: float, **seen: float) -> Interference:
    given = {"own_cores": 1.0, "other_cores": 1.0, "stolen_s": 0.0, "waited_s": 0.0, **seen}
    return Interference(seconds=seconds, voluntary_switches=0, involuntary_switches=0, throttled_periods=0, **given)


@pytest.mark.parametrize("seconds", [0.004, 0.06, 2.0])
def test_a_turn_is_judged_by_what_happened_to_it_however_long_it_is(seconds: float) -> None:
    assert turn_taints(turn(seconds), 1) == ()  # somebody else uses a whole core: not this one
    assert turn_taints(turn(seconds, waited_s=0.1 * seconds), 1) == ("waited for a core",)
    assert turn_taints(turn(seconds, own_cores=0.85), 1) == ("off its core",)
    assert turn_taints(turn(seconds, own_cores=1.4), 2) == ()


def test_waiting_for_a_core_that_another_process_uses_is_seen() -> None:
    cores = os.sched_getaffinity(0)
    core = min(cores)
    hog = subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"])
    try:
        os.sched_setaffinity(0, {core})
        time.sleep(0.3)
        meter = Meter()
        end = time.perf_counter() + 0.5
        while time.perf_counter() < end:
            pass
        seen = meter.stop()
    finally:
        os.sched_setaffinity(0, cores)
        hog.kill()
        hog.wait()
    if seen.waited_s is None:
        pytest.skip("this kernel keeps no schedstat")
    assert seen.waited_s > 0.2 * seen.seconds
    assert "waited for a core" in turn_taints(seen, 1)
