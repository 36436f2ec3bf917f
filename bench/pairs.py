"""Paired measuring: two artifacts in turn, each in fresh processes, for as long as the caller asks for another pair.

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
from ..core.locks import measuring_alone
from ..core.machine import thread_environment
from ..core.paired import LOOKS
from ..core.records import MeasurementRecord, Measuring, Record
from .process import measure_in_child, turn_size
from .session import CONCURRENT_S


class Pair(Record, frozen=True, kw_only=True):
    """Two processes that answered the same texts in turns; `number` counts from 1."""

    number: int
    baseline_first: bool
    baseline: MeasurementRecord
    candidate: MeasurementRecord

    @property
    def disturbed(self) -> bool:
        """Whether something else disturbed more than half of its turns; its times do not count then."""
        return self.baseline.disturbed or self.candidate.disturbed


class Tally:
    """The pairs measured so far: how many count for times, when to judge them, and why there are no more.

    A comparison is judged at each of `looks` (numbers of undisturbed pairs); the last look is taken when the budget of
    `budget_s` seconds, counted from here, leaves no room for another pair. Disturbed pairs stay among `pairs`: the
    memory they took counts, their times do not.
    """

    def __init__(self, looks: Sequence[int] = LOOKS, budget_s: float = math.inf) -> None:
        self.looks = tuple(looks)
        self.budget_s = budget_s
        self.pairs: list[Pair] = []
        self.looked: list[int] = []
        self.ended = ""
        self._begun = time.monotonic()

    @property
    def most(self) -> int:
        """The number of pairs after which nothing more is looked at."""
        return self.looks[-1]

    @property
    def undisturbed(self) -> int:
        """The number of pairs whose times count."""
        return sum(not pair.disturbed for pair in self.pairs)

    @property
    def pair_s(self) -> float:
        """Seconds that a pair has taken so far, on average."""
        return (time.monotonic() - self._begun) / max(1, len(self.pairs))

    @property
    def left_s(self) -> float:
        """The most seconds that measuring may still take: the rest of the budget, or of the pairs."""
        budget = self.budget_s - (time.monotonic() - self._begun)
        return max(0.0, min(budget, (self.most - self.undisturbed) * self.pair_s))

    def take(self, pair: Pair) -> bool:
        """Count a pair; True if the pairs are to be judged now. `ended` says why, when this was the last one."""
        self.pairs.append(pair)
        counted = self.undisturbed
        if counted == self.most:
            self.ended = f"{self.most} pairs, the most that are looked at"
        elif self.budget_s - (time.monotonic() - self._begun) < self.pair_s:
            self.ended = spent(self.budget_s)
        new = self.looked[-1:] != [counted]
        look = new and (bool(self.ended) or counted in self.looks)
        if look:
            self.looked.append(counted)
        return look


def spent(budget_s: float) -> str:
    """Why measuring ended, if its budget did not reach."""
    return f"the budget of {budget_s:g} s is spent"


def order(seed: int) -> Iterator[bool]:
    """Whether the baseline goes first, pair by pair: true false or false true in blocks of two."""
    draw = random.Random(seed)
    while True:
        first = draw.random() < 0.5
        yield first
        yield not first


def measure_pairs(
    baseline: Path,
    candidate: Path,
    workload: str,
    settings: Measuring,
    *,
    concurrent: bool = False,
    journal: Journal | None = None,
    tell: Callable[[str], None] = lambda message: None,
) -> Iterator[Pair]:
    """Pairs of fresh processes, one after the other, for as long as they are asked for.

    With a journal, those that an interrupted measurement has kept come first. A pair waits while another slimner
    process measures on this machine; `tell` hears of it. ChildError as soon as a process fails.
    """
    for number, first in enumerate(order(settings.seed), 1):
        pair = journal.get(f"pair {number}", Pair) if journal else None
        if pair is None:
            with measuring_alone(tell):
                pair = _measure(baseline, candidate, workload, settings, number, first, concurrent)
            if journal:
                journal.put(f"pair {number}", pair)
        yield pair


def _measure(
    baseline: Path, candidate: Path, workload: str, settings: Measuring, number: int, first: bool, concurrent: bool
) -> Pair:
    """Two fresh processes, started one after the other, that answer the same texts in turns: A B B A A B B A ..."""
    sides = (True, False) if first else (False, True)  # whether it is the baseline
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory, contextlib.ExitStack() as stack:
        runners = {
            is_baseline: stack.enter_context(
                _runner(
                    baseline if is_baseline else candidate,
                    number,
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

    def __init__(self, process: child.Child[MeasurementRecord], go: int, done: int, timeout_s: float) -> None:
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
        return self.process.result(self.timeout_s)

    def _hear(self) -> None:
        if not child.readable_or_ended(self.done, self.process.process, self.timeout_s) or not os.read(self.done, 1):
            self.process.result(0)  # says why it ended, or that it still runs
            raise ChildError("it ended before its last turn", "no-record")


@contextlib.contextmanager
def _runner(
    artifact: Path, number: int, workload: str, settings: Measuring, fifo: Path, concurrent: bool
) -> Iterator[Runner]:
    """A started process that has opened its artifact and is warm; ended when the block is left."""
    go, done = (fifo.with_suffix(f".{name}") for name in ("go", "done"))
    os.mkfifo(go)
    os.mkfifo(done)
    measuring = child.call(
        measure_in_child,
        artifact,
        number,
        workload,
        settings,
        turns=(go, done),
        concurrent_s=CONCURRENT_S if concurrent else 0.0,
    )
    handles = os.open(go, os.O_RDWR), os.open(done, os.O_RDWR | os.O_NONBLOCK)  # both ends: no opening waits
    try:
        with measuring.started(thread_environment(settings.threads)) as process:
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
