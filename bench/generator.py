"""Sending texts and timing answers: closed loop and open loop, over HTTP or straight into a predictor.

A closed loop has N clients, each of which sends when it has its answer: it shows throughput, but slows down with what
it measures. An open loop sends at times fixed beforehand and counts latency from them, so that a queue is seen.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import itertools
import math
import random
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

T = TypeVar("T")

RIGHT, WRONG = "right", "wrong"
LATE_S = 0.005
LATE_SHARE = 0.01
LATE_ALLOWED = 3
BUSY_CORES = 0.9


Done = Callable[[str, float], None]
"""Called with the outcome of a request ("right", "wrong", or what went wrong in a word) and when it had arrived."""


class Target(Protocol):
    """The requests to send.

    Callbacks, not coroutines: a task for each request would take more of a core than all else the generator does, and
    where the server runs on the same machine it would take it from the server.
    """

    def ask(self, index: int, done: Done) -> None:
        """Ask for text `index`; `done` is called once, later, from the event loop."""
        ...

    def close(self) -> None:
        """Let go of connections and threads."""
        ...


class Run(msgspec.Struct, kw_only=True):
    """What came of a loop: seconds of each request from its scheduled time, and outcomes by kind."""

    seconds: float
    sent: int
    latencies_s: list[float]
    outcomes: dict[str, int]
    lags_s: list[float]
    generator_cores: float

    @property
    def late(self) -> int:
        """Requests that were sent more than 5 ms after their time."""
        return sum(lag > LATE_S for lag in self.lags_s)

    @property
    def late_share(self) -> float:
        """Share of requests that were sent more than 5 ms after their time."""
        return self.late / len(self.lags_s) if self.lags_s else 0.0

    @property
    def lagged(self) -> bool:
        """Whether the generator lagged: more than 1 % of the requests were late, and more than three."""
        return self.late > max(LATE_ALLOWED, LATE_SHARE * len(self.lags_s))


class _Tally:
    """Outcomes as they come."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.lags: list[float] = []
        self.own = time.process_time()
        self.begun = self.ended = time.perf_counter()

    def count(self, since: float, outcome: str, arrived: float) -> None:
        self.ended = arrived
        self.outcomes[outcome] += 1
        if outcome == RIGHT:
            self.latencies.append(arrived - since)

    def run(self) -> Run:
        seconds = max(self.ended - self.begun, 1e-9)
        return Run(
            seconds=seconds,
            sent=sum(self.outcomes.values()),
            latencies_s=self.latencies,
            outcomes=dict(self.outcomes),
            lags_s=self.lags,
            generator_cores=(time.process_time() - self.own) / (time.perf_counter() - self.begun),
        )


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop whose timers are exact to microseconds (epoll rounds up to a millisecond)."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(main)


async def closed_loop(target: Target, order: Sequence[int], *, clients: int, seconds: float, most: int) -> Run:
    """`clients` clients for `seconds` seconds or `most` requests, whichever ends first; texts in `order`, in turn."""
    indices: Iterator[int] = itertools.islice(itertools.cycle(order), most)
    tally = _Tally()
    end = tally.begun + seconds
    left = clients
    over = asyncio.get_running_loop().create_future()

    def send() -> None:
        nonlocal left
        now = time.perf_counter()
        index = next(indices, None) if now < end else None
        if index is not None:
            target.ask(index, functools.partial(done, now))
            return
        left -= 1
        if left == 0:
            over.set_result(None)

    def done(since: float, outcome: str, arrived: float) -> None:
        tally.count(since, outcome, arrived)
        send()

    for _ in range(clients):
        send()
    await over
    return tally.run()


def schedule(rate: float, seconds: float, *, poisson: bool, seed: int, most: int) -> list[float]:
    """Send times in seconds from the start: evenly spaced, or with exponential gaps; at most `most` of them."""
    count = int(min(most, math.ceil(rate * seconds)))
    if not poisson:
        return [i / rate for i in range(count)]
    times: list[float] = []
    chance = random.Random(seed)
    while len(times) < most and (moment := (times[-1] if times else 0.0) + chance.expovariate(rate)) < seconds:
        times.append(moment)
    return times


async def open_loop(target: Target, order: Sequence[int], times: Sequence[float]) -> Run:
    """Send at `times` (seconds from now) whatever the answers do; latency counts from the scheduled time."""
    tally = _Tally()
    under_way = 1  # the schedule itself
    over = asyncio.get_running_loop().create_future()

    def leave() -> None:
        nonlocal under_way
        under_way -= 1
        if under_way == 0:
            over.set_result(None)

    def done(since: float, outcome: str, arrived: float) -> None:
        tally.count(since, outcome, arrived)
        leave()

    for moment, index in zip(times, itertools.cycle(order), strict=False):
        due = tally.begun + moment
        while (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        tally.lags.append(time.perf_counter() - due)
        under_way += 1
        target.ask(index, functools.partial(done, due))
        if tally.lags[-1] > 0:  # behind: let answers come in all the same
            await asyncio.sleep(0)
    leave()
    await over
    return tally.run()
