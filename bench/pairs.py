"""Paired measuring: two artifacts in turn, each in fresh processes, until the question is settled or the budget spent.

Pairs come in blocks of two, A B B A or B A A B by a coin of the recorded seed: what drifts steadily touches both alike,
and nothing can be in step with the order.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ..core.journal import Journal
from ..core.paired import LOOKS
from ..core.records import MeasurementRecord, Record, Settings
from .session import Step, measure_timed

# Pairs that may be measured again because something else disturbed a whole process, beyond one in three of those asked
# for.
MOST_REJECTED = 4


class Pair(Record, frozen=True, kw_only=True):
    """Two processes that ran one after the other on the same texts; `number` counts from 1."""

    number: int
    baseline_first: bool
    baseline: MeasurementRecord
    candidate: MeasurementRecord

    @property
    def disturbed(self) -> bool:
        """Whether a process of it has no block of samples that nothing disturbed."""
        return any(all(block.taints for block in record.blocks) for record in (self.baseline, self.candidate))


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
    found: dict[bool, MeasurementRecord] = {}
    for is_baseline in (first, not first):
        step = Step(artifact=baseline if is_baseline else candidate, repetition=number)
        found[is_baseline] = measure_timed(step, workload, settings, concurrent=concurrent, brief=True)
    return Pair(number=number, baseline_first=first, baseline=found[True], candidate=found[False])
