"""The child's side of a measurement: open the artifact, mark the memory of every stage, answer the workload."""

from __future__ import annotations

import math
import os
import random
import select
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..core.child import since_exec_s
from ..core.errors import SlimnerError
from ..core.memory import read_stage, resident_bytes, since_start_s
from ..core.records import (
    Block,
    Concurrent,
    Interference,
    MeasurementRecord,
    Measuring,
    Stage,
    Threads,
    TimelinePoint,
    Warmup,
)
from .interference import Meter, taints, turn_taints

BEGIN_TIMEOUT_S = 10.0
HOLD_TIMEOUT_S = 60.0

# Warm-up: passes over the same texts go on until two in a row are not faster than the best so far by this share.
STEADY_SHARE = 0.02
MOST_PASSES = 12

# A block of samples ends after this long; a disturbed one is measured again, so often at most, and so often in all.
BLOCK_S = 0.5
MOST_ATTEMPTS = 4
MOST_REPEATS = 6
PAUSE_S = 0.25

# Samples that each length bucket gets in a process, from the mix or beside it: three processes give a p50.
SAMPLES_A_BUCKET = 7

# Turns of each process of a pair. A shared machine's speed wanders by a tenth within seconds: of processes one after
# the other the ratios had a deviation of 8 %; turns of an eighth of a second see the same moment.
TURNS = 8
TURN_TIMEOUT_S = 600.0

CLIENTS = 5


def measure_in_child(
    directory: Path,
    repetition: int,
    workload: str,
    settings: Measuring,
    *,
    concurrent_s: float = 0.0,
    turns: tuple[Path, Path] | None = None,
    begin: Path | None = None,
    hold: tuple[Path, Path] | None = None,
) -> MeasurementRecord:
    """The child's job: one measured process.

    With `turns` (two FIFOs) it is half of a pair: it answers when it is told to on the first, says on the second that
    it has answered, and takes no extra samples by length. With a `begin` (a FIFO) it starts when the sampler says so;
    with `hold` (two FIFOs) it says on the first that it is done and waits at the second, so that its memory can be read
    from outside.
    """
    stages: list[Stage] = []
    marking_s = 0.0

    def mark(name: str) -> None:
        nonlocal marking_s
        begun = time.perf_counter()
        stages.append(read_stage(name))
        marking_s += time.perf_counter() - begun

    waiting = time.perf_counter()
    if begin is not None:
        _wait_at(begin, BEGIN_TIMEOUT_S)
    waited_s = time.perf_counter() - waiting
    mark("interpreter")
    started = time.perf_counter()
    from ..variants import open_predictor, read_manifest  # a stage of its own: numpy, tokenizers, slimner

    manifest = read_manifest(directory)
    mark("predictor code")
    predictor = open_predictor(directory, threads=settings.threads, on_stage=mark)
    load_s = time.perf_counter() - started

    from ..core.machine import describe
    from .workload import read_workload

    texts = read_workload(workload).texts
    order = list(range(len(texts)))
    random.Random(f"{settings.seed}/{repetition}").shuffle(order)  # the same for every variant
    predictor(texts[order[0]])
    cold_start_s = since_exec_s() - marking_s - waited_s
    mark("first answer")

    def answer(index: int) -> float:
        begun = time.perf_counter()
        predictor(texts[index])
        return (time.perf_counter() - begun) * 1000

    warm = warm_up(answer, _spread_by_length(texts, settings.warmup))
    chosen = [order[i % len(order)] for i in range(settings.samples)]
    if turns is not None:
        durations, blocks = _in_turns(answer, chosen, Partner(*turns), settings.threads)
    else:
        durations, blocks = in_blocks(answer, chosen, repeat=repetition > 0)  # a sampler would be taken for other load
    extra = _extra(texts, chosen) if turns is None else []
    extra_ms = [answer(index) for index in extra]
    mark("steady")
    concurrent = _concurrent(predictor, texts, order, concurrent_s) if concurrent_s else None
    if hold is not None:
        _say_and_wait(*hold)
    return MeasurementRecord(
        variant=manifest.variant,
        artifact=manifest.name,
        machine=describe(),
        repetition=repetition,
        cold_start_s=round(cold_start_s, 3),
        load_s=round(load_s, 4),
        stages=tuple(stages),
        warmup=warm,
        texts=tuple(chosen),
        samples_ms=tuple(round(d, 4) for d in durations),
        blocks=tuple(blocks),
        extra_texts=tuple(extra),
        extra_ms=tuple(round(d, 4) for d in extra_ms),
        threads=Threads(
            requested=settings.threads,
            os_threads=len(os.listdir("/proc/self/task")),
            busy_cores=_busy_cores([block.interference for block in blocks]),
        ),
        concurrent=concurrent,
        paired=turns is not None,
    )


def warm_up(answer: Callable[[int], float], indices: Sequence[int]) -> Warmup:
    """Answer the same texts over and over until it does not get faster: two passes in a row within 2 % of the best.

    At most 12 passes; then `steady` is False. `answer` returns how long a text took, in any unit.
    """
    if not indices:
        return Warmup(texts=0, passes=0, steady=True)
    best, level = float("inf"), 0
    for done in range(1, MOST_PASSES + 1):
        took = sum(answer(index) for index in indices)
        level = 0 if took < best * (1 - STEADY_SHARE) else level + 1
        best = min(best, took)
        if level == 2:
            return Warmup(texts=len(indices), passes=done, steady=True)
    return Warmup(texts=len(indices), passes=MOST_PASSES, steady=False)


def _spread_by_length(texts: Sequence[str], count: int) -> list[int]:
    """`count` texts, evenly from the shortest to the longest."""
    by_length = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
    return [by_length[round(i * (len(by_length) - 1) / max(1, count - 1))] for i in range(count)]


def in_blocks(
    answer: Callable[[int], float], chosen: Sequence[int], *, repeat: bool = True
) -> tuple[list[float], list[Block]]:
    """Samples of `chosen` in blocks of half a second; with `repeat` a disturbed one is measured again after a pause."""
    durations: list[float] = []
    blocks: list[Block] = []
    repeats = 0
    while len(durations) < len(chosen):
        first, attempt = len(durations), 1
        taken, seen = _one_block(answer, chosen[first:])
        block = _block(first, len(taken), attempt, seen)
        while repeat and block.taints and attempt < MOST_ATTEMPTS and repeats < MOST_REPEATS:
            time.sleep(PAUSE_S * attempt)
            attempt, repeats = attempt + 1, repeats + 1
            taken, seen = _one_block(answer, chosen[first : first + len(taken)])
            block = _block(first, len(taken), attempt, seen)
        durations += taken
        blocks.append(block)
    return durations, blocks


class Partner:
    """The parent of a pair, as its child sees it: it gives the turn and takes it back."""

    def __init__(self, go: Path, done: Path) -> None:
        self._go = os.open(go, os.O_RDONLY | os.O_NONBLOCK)
        self._done = os.open(done, os.O_WRONLY)

    def wait(self) -> None:
        """Sleep until it is one's turn; SlimnerError after ten minutes."""
        poll = select.poll()
        poll.register(self._go, select.POLLIN)
        if not poll.poll(int(TURN_TIMEOUT_S * 1000)) or not os.read(self._go, 1):
            raise SlimnerError("the other process of the pair did not hand over its turn", "measure again")

    def say(self) -> None:
        """Give the turn back."""
        os.write(self._done, b".")


def turn_size(samples: int) -> int:
    """How many samples a process of a pair takes in a turn."""
    return math.ceil(samples / TURNS)


def _in_turns(
    answer: Callable[[int], float], chosen: Sequence[int], partner: Partner, threads: int
) -> tuple[list[float], list[Block]]:
    """Samples of `chosen` in turns with the other process of a pair; returns in the turn after the last sample."""
    durations: list[float] = []
    blocks: list[Block] = []
    size = turn_size(len(chosen))
    partner.say()
    for first in range(0, len(chosen), size):
        partner.wait()
        meter = Meter()
        taken = [answer(index) for index in chosen[first : first + size]]
        durations += taken
        block = _block(first, len(taken), 1, meter.stop())
        blocks.append(msgspec.structs.replace(block, taints=turn_taints(block.interference, threads)))
        partner.say()
    partner.wait()
    return durations, blocks


def _one_block(answer: Callable[[int], float], indices: Sequence[int]) -> tuple[list[float], Interference]:
    taken: list[float] = []
    meter = Meter()
    end = time.perf_counter() + BLOCK_S
    for index in indices:
        taken.append(answer(index))
        if time.perf_counter() > end and len(indices) - len(taken) > len(taken) // 4:
            break  # a short rest joins this block: too little to judge by itself
    return taken, meter.stop()


def _block(first: int, samples: int, attempts: int, seen: Interference) -> Block:
    return Block(
        first=first,
        samples=samples,
        attempts=attempts,
        interference=seen,
        taints=taints(seen, len(os.sched_getaffinity(0))),
        rss_bytes=resident_bytes(),
    )


def _busy_cores(seen: Sequence[Interference]) -> float:
    """Cores that the process used while it was timed."""
    return round(sum(one.own_cores * one.seconds for one in seen) / sum(one.seconds for one in seen), 3)


def _extra(texts: Sequence[str], chosen: Sequence[int]) -> list[int]:
    """Texts to answer once more so that each length bucket that has any gets seven samples."""
    from ..core.statistics import BUCKETS, bucket

    having: list[list[int]] = [[] for _ in range(len(BUCKETS) + 1)]
    for index, text in enumerate(texts):
        having[bucket(len(text))].append(index)
    extra: list[int] = []
    for number, members in enumerate(having):
        missing = SAMPLES_A_BUCKET - sum(bucket(len(texts[i])) == number for i in chosen)
        extra += [members[i % len(members)] for i in range(missing)] if members else []
    return extra


def _concurrent(
    predictor: Callable[[str], Any], texts: Sequence[str], order: Sequence[int], seconds: float
) -> Concurrent:
    """Five clients at once, in as many threads."""
    from .generator import WRONG, closed_loop, run_loop
    from .targets import InProcess

    target = InProcess(predictor, texts, threads=CLIENTS)
    try:
        run = run_loop(closed_loop(target, order, clients=CLIENTS, seconds=seconds, most=100_000))
    finally:
        target.close()
    return Concurrent(
        clients=CLIENTS,
        answers=len(run.latencies_s),
        seconds=round(run.seconds, 4),
        wrong=run.outcomes.get(WRONG, 0),
    )


def _say_and_wait(done: Path, release: Path) -> None:
    with open(done, "wb", buffering=0) as file:
        file.write(b"done")
    _wait_at(release, HOLD_TIMEOUT_S)


def _wait_at(begin: Path, timeout_s: float) -> None:
    handle = os.open(begin, os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(int(timeout_s * 1000))
    finally:
        os.close(handle)


def sample_in_child(process: int, interval_s: float, timeout_s: float, begin: Path) -> tuple[TimelinePoint, ...]:
    """The sampler's job: PSS of another process over time with memory_profiler, until that process ends."""
    from memory_profiler import memory_usage

    offset = time.time() - since_start_s(process)
    lines: list[str] = []

    class Sink:
        """Takes each sample, `MEM mebibytes timestamp`, as it comes: none is lost when the process ends."""

        def write(self, line: str) -> None:
            lines.append(line)

        def flush(self) -> None:
            pass

    def open_fifo() -> None:
        with open(begin, "wb", buffering=0) as file:
            file.write(b"go")

    opener = threading.Thread(target=open_fifo, daemon=True)
    opener.start()
    try:
        memory_usage(process, interval=interval_s, timeout=timeout_s, stream=Sink(), backend="psutil_pss")
    except Exception as error:  # psutil's way of saying that the process is gone
        if type(error).__module__.partition(".")[0] != "psutil":
            raise
    points: list[TimelinePoint] = []
    for line in lines:
        _, mebibytes, moment = line.split()
        if float(mebibytes) > 0:
            points.append(
                TimelinePoint(after_s=round(float(moment) - offset, 3), pss_bytes=int(float(mebibytes) * 1024 * 1024))
            )
    return tuple(points)
