"""Paired measuring: two artifacts in turn, each in fresh processes, until the question is settled or the budget spent.

A pair is two processes that are alive together and answer the same texts in short turns, A B B A, so that both see the
machine in the same moment. Which of them begins is a coin of the recorded seed for every other pair, and the other one
in the next: what drifts touches both alike, and nothing can be in step with the order.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from ..core import child
from ..core.errors import ChildError
from ..core.journal import Journal
from ..core.machine import thread_environment
from ..core.paired import LOOKS
from ..core.records import MeasurementRecord, Record, Settings
from .process import turn_size
from .session import CONCURRENT_S, JOB, Step, arguments_of

# Pairs that may be measured again because something else disturbed a whole process, beyond one in three of those asked
# for.
MOST_REJECTED = 4


class Pair(Record, frozen=True, kw_only=True):
    """Two processes that answered the same texts in turns; `number` counts from 1."""

    number: int
    baseline_first: bool
    baseline: MeasurementRecord
    candidate: MeasurementRecord

    @property
    def disturbed(self) -> bool:
        """Whether something else disturbed more than half of its turns."""
        turns = list(zip(self.baseline.blocks, self.candidate.blocks, strict=True))
        return 2 * sum(bool(one.taints or two.taints) for one, two in turns) > len(turns)


class PairedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The pairs that count, after how many of them they were judged, how many were thrown away, and why it ended."""

    pairs: tuple[Pair, ...]
    looks: tuple[int, ...]
    rejected: int
    ended: str

    @property
    def baseline(self) -> tuple[MeasurementRecord, ...]:
        """The baseline's processes, in the order of the pairs."""
        return tuple(pair.baseline for pair in self.pairs)

    @property
    def candidate(self) -> tuple[MeasurementRecord, ...]:
        """The candidate's processes, in the order of the pairs."""
        return tuple(pair.candidate for pair in self.pairs)


def order(seed: int, pairs: int) -> list[bool]:
    """Whether the baseline goes first, for each of so many pairs: true false or false true in blocks of two."""
    draw = random.Random(seed)
    found: list[bool] = []
    while len(found) < pairs:
        first = draw.random() < 0.5
        found += [first, not first]
    return found[:pairs]


def measure_pairs(
    baseline: Path,
    candidate: Path,
    workload: str,
    settings: Settings,
    *,
    settled: Callable[[Sequence[Pair]], bool],
    budget_s: float,
    looks: Sequence[int] = LOOKS,
    concurrent: bool = False,
    journal: Journal | None = None,
    on_pair: Callable[[Pair, int], None] = lambda pair, rejected: None,
) -> PairedRun:
    """Measure pairs until `settled` says so at one of the `looks`, the last look, or the budget in seconds.

    A pair that something else disturbed is measured again, never used. The last look is taken when the budget ends,
    too. ChildError as soon as a process fails.
    """
    most = looks[-1]
    allowed = MOST_REJECTED + most // 3
    coins = order(settings.seed, most + allowed)
    pairs: list[Pair] = []
    looked: list[int] = []
    rejected, begun, spent = 0, time.monotonic(), 0.0

    def run(ended: str) -> PairedRun:
        if pairs and (not looked or looked[-1] != len(pairs)):
            looked.append(len(pairs))
        return PairedRun(pairs=tuple(pairs), looks=tuple(looked), rejected=rejected, ended=ended)

    while len(pairs) < most:
        number = len(pairs) + rejected + 1
        pair = journal.get(f"pair {number}", Pair) if journal else None
        if pair is None:
            left = budget_s - (time.monotonic() - begun)
            if left < spent / max(1, number - 1):
                return run(f"the budget of {budget_s:g} s is spent")
            pair = _measure(baseline, candidate, workload, settings, number, coins[number - 1], concurrent)
            if journal:
                journal.put(f"pair {number}", pair)
            spent = time.monotonic() - begun
        if pair.disturbed:
            rejected += 1
        else:
            pairs.append(pair)
        on_pair(pair, rejected)
        if rejected > allowed:
            return run(f"{rejected} pairs were disturbed by something else on the machine")
        if not pair.disturbed and len(pairs) in looks:
            looked.append(len(pairs))
            if settled(pairs):
                return run("settled")
    return run(f"{most} pairs, the most that are looked at")


def _measure(
    baseline: Path, candidate: Path, workload: str, settings: Settings, number: int, first: bool, concurrent: bool
) -> Pair:
    """Two fresh processes, started one after the other, that answer the same texts in turns: A B B A A B B A ..."""
    sides = (True, False) if first else (False, True)  # whether it is the baseline
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory, contextlib.ExitStack() as stack:
        runners = {
            is_baseline: stack.enter_context(
                _runner(
                    Step(artifact=baseline if is_baseline else candidate, repetition=number),
                    workload,
                    settings,
                    Path(directory) / ("baseline" if is_baseline else "candidate"),
                    concurrent,
                )
            )
            for is_baseline in sides
        }
        for turn in range(math.ceil(settings.samples / turn_size(settings.samples))):
            for is_baseline in sides if turn % 2 == 0 else sides[::-1]:
                runners[is_baseline].turn()
        records = {is_baseline: runners[is_baseline].result() for is_baseline in sides}
    one, two = _alike(records[True], records[False])
    return Pair(number=number, baseline_first=first, baseline=one, candidate=two)


class Runner:
    """One process of a pair, as its parent sees it."""

    def __init__(self, process: child.Child, go: int, done: int, timeout_s: float) -> None:
        self.process = process
        self.go, self.done, self.timeout_s = go, done, timeout_s
        self._hear()

    def turn(self) -> None:
        """Let it answer until it says that its turn is over; ChildError if it ends before."""
        os.write(self.go, b".")
        self._hear()

    def result(self) -> MeasurementRecord:
        """Let it finish; ChildError if it failed."""
        os.write(self.go, b".")
        return self.process.result(MeasurementRecord, self.timeout_s)

    def _hear(self) -> None:
        if not child.readable_or_ended(self.done, self.process.process, self.timeout_s) or not os.read(self.done, 1):
            self.process.result(MeasurementRecord, 0)  # says why it ended, or that it still runs
            raise ChildError("it ended before its turns were over", "no-record")


@contextlib.contextmanager
def _runner(step: Step, workload: str, settings: Settings, fifo: Path, concurrent: bool) -> Iterator[Runner]:
    """A started process that has opened its artifact and is warm; ended when the block is left."""
    go, done = (fifo.with_suffix(f".{name}") for name in ("go", "done"))
    os.mkfifo(go)
    os.mkfifo(done)
    arguments = {
        **arguments_of(step, workload, settings),
        "turns": (str(go), str(done)),
        "concurrent_s": CONCURRENT_S if concurrent else 0.0,
    }
    handles = os.open(go, os.O_RDWR), os.open(done, os.O_RDWR | os.O_NONBLOCK)  # both ends: no opening waits
    try:
        with child.started(JOB, arguments, thread_environment(settings.threads)) as process:
            yield Runner(process, *handles, settings.timeout_s)
    finally:
        for handle in handles:
            os.close(handle)


def _alike(one: MeasurementRecord, two: MeasurementRecord) -> tuple[MeasurementRecord, MeasurementRecord]:
    """Both records with the turns tainted that are tainted in either: what is compared was measured alike."""

    def tainted(mine: MeasurementRecord, theirs: MeasurementRecord) -> MeasurementRecord:
        blocks = (
            msgspec.structs.replace(block, taints=tuple(sorted({*block.taints, *other.taints})))
            for block, other in zip(mine.blocks, theirs.blocks, strict=True)
        )
        return msgspec.structs.replace(mine, blocks=tuple(blocks))

    return tainted(one, two), tainted(two, one)
