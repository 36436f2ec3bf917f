"""The child's side of a measurement: open the artifact, mark the memory of every stage, answer the workload."""

from __future__ import annotations

import os
import random
import select
import threading
import time
from pathlib import Path

from ..core.memory import read_stage, since_start_s
from ..core.records import MeasurementRecord, Stage, Threads, TimelinePoint

GATE_TIMEOUT_S = 10.0


class Meter:
    """Processor time of this process and of the whole machine since it was started."""

    def __init__(self) -> None:
        self.wall = time.perf_counter()
        self.own = time.process_time()
        self.busy, self.stolen = _machine_seconds()

    def stop(self) -> tuple[float, float, float]:
        """Own cores used, cores others used, seconds stolen by the hypervisor."""
        wall = time.perf_counter() - self.wall
        own = time.process_time() - self.own
        busy, stolen = _machine_seconds()
        return own / wall, max(0.0, (busy - self.busy - own) / wall), stolen - self.stolen


def _machine_seconds() -> tuple[float, float]:
    """Seconds all processors were busy, and were stolen by the hypervisor, since boot."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick


def measure_in_child(
    directory: str, workload: str, threads: int, repetition: int, samples: int, warmup: int, seed: int, gate: str | None
) -> MeasurementRecord:
    """The child's job: one measured process. With a `gate` (a FIFO) it starts when the sampler says so."""
    stages: list[Stage] = []

    def mark(name: str) -> None:
        stages.append(read_stage(name))

    if gate is not None:
        _wait_at(gate)
    mark("interpreter")
    started = time.perf_counter()
    from ..variants import open_predictor, read_manifest  # a stage of its own: numpy, tokenizers, slimner

    manifest = read_manifest(Path(directory))
    mark("predictor code")
    predictor = open_predictor(Path(directory), threads=threads, on_stage=mark)
    load_s = time.perf_counter() - started

    from ..core.machine import describe
    from .workload import read_workload

    texts = read_workload(workload).texts
    order = list(range(len(texts)))
    random.Random(f"{seed}/{repetition}").shuffle(order)  # the same for every variant
    begun = time.perf_counter()
    predictor(texts[order[0]])
    first_answer_ms = (time.perf_counter() - begun) * 1000
    mark("first answer")
    for i in range(warmup):
        predictor(texts[order[-1 - i % len(order)]])
    chosen = [order[i % len(order)] for i in range(samples)]
    durations: list[float] = []
    meter = Meter()
    for index in chosen:
        begun = time.perf_counter()
        predictor(texts[index])
        durations.append((time.perf_counter() - begun) * 1000)
    busy, others, stolen = meter.stop()
    mark("steady")
    return MeasurementRecord(
        variant=manifest.variant,
        artifact=manifest.name,
        instructions=describe().instructions,
        repetition=repetition,
        load_s=round(load_s, 4),
        first_answer_ms=round(first_answer_ms, 4),
        stages=tuple(stages),
        warmup=warmup,
        texts=tuple(chosen),
        samples_ms=tuple(round(d, 4) for d in durations),
        threads=Threads(requested=threads, os_threads=len(os.listdir("/proc/self/task")), busy_cores=round(busy, 3)),
        other_load_cores=round(others, 3),
        stolen_s=round(stolen, 3),
    )


def _wait_at(gate: str) -> None:
    handle = os.open(gate, os.O_RDONLY | os.O_NONBLOCK)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(int(GATE_TIMEOUT_S * 1000))
    finally:
        os.close(handle)


def sample_in_child(process: int, interval_s: float, timeout_s: float, gate: str) -> tuple[TimelinePoint, ...]:
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

    def open_gate() -> None:
        with open(gate, "wb", buffering=0) as file:
            file.write(b"go")

    opener = threading.Thread(target=open_gate, daemon=True)
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
