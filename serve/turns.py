"""Who goes through the model next: requests that wait take turns, a window at a time, in two lanes.

In each lane one request holds the turn, and offers it to the next one after each step of its work. Short requests have
a lane of their own, in which they take turns in the order of a circle. A request is long from the beginning if it has
many characters, and it becomes so once it has held the turn for a while. Both lanes go on at the same time, and the
operating system divides the processor between them: so a short request does not wait for a window of a long one, or for
its text in the tokenizer, and long ones get done under any load. Models that cannot be run by two threads at once are
run by one, short requests first.

In the long lane the one with the least left goes first, so that great ones are answered one after another, and not all
of them too late; every fourth turn goes round the circle, so that none waits for ever.

Whoever has the turn and a window for the model takes along windows of those who wait in the same lane, in the order in
which their turns would come, as far as they may share its run (`variants/batching.py`). Where several clients ask again
as soon as they are answered, a run waits for those that were answered a moment ago, at most for a quarter of the last
run: else two clients would go through the model in turn, never together. A client alone never waits.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ..variants import Predictor

SHORT_S = 0.05
"""A request counts as short until it has held the turn for this long, in seconds."""

SHORT_CHARACTERS = 2000
"""A request with more characters is long from the beginning."""

ROUND_EVERY = 4
"""Of so many turns in the long lane, one goes round the circle."""

MOMENT, MOMENT_S = 0.25, 0.005
"""How long a run waits for clients to ask again: a share of the last run's time, and the most in seconds.

A run of two sentences takes less than two runs of one (`nox -s batching`), so a short wait pays."""

SURE_RUNS = 16
"""Runs after which a lane knows how long a token takes."""

MOST_RETURN, MEMORY = 0.5, 16
"""A run waits while more than this share of the clients, over about the last so many, asked again within the moment."""


class DeadlineError(Exception):
    """The time of the request was up."""


class GoneError(Exception):
    """The client has hung up."""


class BehindError(Exception):
    """A long request would miss its deadline, by so many seconds, behind others that go first."""


class Returning:
    """Clients that were answered a moment ago, and how many of them usually ask again within it."""

    def __init__(self) -> None:
        self.moment_s = 0.0
        self._share = 0.0
        self._due: deque[float] = deque()

    def answered(self, now: float) -> None:
        """A client has its answer, or is about to get it."""
        self._due.append(now + self.moment_s)

    def asked(self, now: float) -> None:
        """A request came."""
        self._forget(now)
        if self._due:
            self._due.popleft()
            self._share += (1 - self._share) / MEMORY

    def wait_s(self, now: float) -> float:
        """How long it pays to wait for another request, in seconds."""
        self._forget(now)
        return self._due[-1] - now if self._due and self._share > MOST_RETURN else 0.0

    def _forget(self, now: float) -> None:
        while self._due and self._due[0] <= now:
            self._due.popleft()
            self._share -= self._share / MEMORY


class Lane:
    """One turn, held by one request at a time."""

    def __init__(self, *, least_first: bool = False) -> None:
        self.least_first = least_first
        self.since = 0.0
        """When the step under way began (of time.monotonic()), 0 while there is none."""
        self.waiting: deque[Turn] = deque()
        self._lock = threading.Lock()
        self.inside: set[Turn] = set()
        """Requests of this lane that are not done."""
        self.token_s = 0.0
        """About how long a token takes here while there is work, in seconds; 0 while that is not known."""
        self.runs = 0
        self.ran = 0.0
        """When the last run ended, 0 if nothing was inside since."""
        self._turns = itertools.count(1)
        self.returning = Returning()
        self._came = threading.Event()

    def ask(self, turn: Turn) -> bool:
        """The turn for a request now, or its place among those that wait."""
        with self._lock:
            now = time.monotonic()
            self.returning.asked(now)
            self.inside.add(turn)
            if self.since:
                self._line_up(turn)
                self._came.set()
                return False
            self.since = now
            return True

    def gather(self) -> bool:
        """Wait for a client that was answered a moment ago to ask again; whether one did."""
        with self._lock:
            self._came.clear()
            wait_s = self.returning.wait_s(time.monotonic())
        return wait_s > 0 and self._came.wait(wait_s)

    def took(self, begun: float, ended: float, tokens: int) -> None:
        """Record a run, and what was done between the one before and it."""
        each_s = (ended - (self.ran or begun)) / tokens
        self.token_s += (each_s - self.token_s) / (8 if self.token_s else 1)
        self.ran = ended
        self.runs += 1

    def wait_s(self, below: float = math.inf) -> float:
        """About how long everything inside will take of which fewer than `below` tokens are left, in seconds."""
        with self._lock:
            return self.token_s * sum(max(0, turn.left) for turn in self.inside if turn.left < below)

    def leave(self, turn: Turn) -> None:
        """The request is done, or goes on in the other lane."""
        with self._lock:
            self.inside.discard(turn)
            if not self.inside:
                self.ran = 0.0

    def answered(self) -> None:
        """The request that holds the turn has its results."""
        with self._lock:
            self.returning.answered(time.monotonic())

    def hand_on(self, turn: Turn | None = None) -> None:
        """Give the turn to the next waiting request, if there is one; `turn` queues again."""
        with self._lock:
            if turn:
                self._line_up(turn)
            self.since = time.monotonic() if self.waiting else 0.0
            if self.waiting:
                following = self._following()
                self.waiting.remove(following)
                following.ready.set()

    def _following(self) -> Turn:
        if self.least_first and next(self._turns) % ROUND_EVERY:
            return min(self.waiting, key=lambda turn: turn.left)
        return self.waiting[0]

    def _line_up(self, turn: Turn) -> None:
        turn.ready.clear()
        self.waiting.append(turn)

    def wanting(self) -> list[Turn]:
        """Waiting requests that have windows to run, the next one first."""
        with self._lock:
            return [turn for turn in self.waiting if turn.wanted]

    def withdraw(self, turn: Turn) -> bool:
        """Stop waiting; False if the turn has already come."""
        with self._lock:
            if turn in self.waiting:
                self.waiting.remove(turn)
                return True
            return False


class Turns:
    """The two lanes of one model."""

    def __init__(self) -> None:
        self.short = Lane()
        self.long = Lane(least_first=True)
        self._free = threading.Condition()
        self._running = False
        self._urgent = 0

    @property
    def since(self) -> float:
        """When the oldest step under way began (of time.monotonic()), 0 while there is none."""
        return min(filter(None, (self.short.since, self.long.since)), default=0.0)

    @contextlib.contextmanager
    def alone(self, lane: Lane) -> Iterator[None]:
        """No other run at the same time; where both lanes wait for that, the short one goes first."""
        urgent = lane is self.short
        with self._free:
            self._urgent += urgent
            self._free.wait_for(lambda: not self._running and (urgent or not self._urgent))
            self._urgent -= urgent
            self._running = True
        try:
            yield
        finally:
            with self._free:
                self._running = False
                self._free.notify_all()


class Turn:
    """The turns of one request; leave it in the end.

    `end` is of time.monotonic(), `gone` tells whether its client is, `characters` how many all its texts have.
    """

    def __init__(self, turns: Turns, end: float, gone: Callable[[], bool], characters: int = 0) -> None:
        self.turns = turns
        self.lane = turns.long if characters > SHORT_CHARACTERS else turns.short
        self.end = end
        self.gone = gone
        self.left = characters
        """About how many tokens of it the model has not seen."""
        self.spent_s = 0.0
        self.ready = threading.Event()
        self.wanted: list[tuple[int, np.ndarray]] = []
        """Windows that the model has not run yet, with their numbers."""
        self.found: dict[int, np.ndarray] = {}
        """Logits of those that have, whoever had the turn."""
        self._since = 0.0

    def __enter__(self) -> Turn:
        try:
            self._ask()
        except BaseException:
            self.lane.leave(self)
            raise
        return self

    def too_late_s(self) -> float:
        """By how many seconds a long request would miss its deadline behind those that are inside; 0 if it may not."""
        others_s = self.lane.wait_s() if self.lane is self.turns.long else 0.0
        wait_s = others_s + self.left * self.lane.token_s
        return max(0.0, time.monotonic() + wait_s - self.end) if others_s else 0.0

    def __exit__(self, *error: object) -> None:
        self.lane.leave(self)
        if error[0] is None:
            self.lane.answered()
        if self._since:
            self.lane.hand_on()

    def offer(self) -> None:
        """A step is done: others first, if any wait; DeadlineError or GoneError if it is not worth going on."""
        now = time.monotonic()
        self.spent_s += now - self._since
        self._since = self.lane.since = now
        if self.gone():
            raise GoneError
        if now > self.end:
            raise DeadlineError
        if self.lane is self.turns.short and self.spent_s >= SHORT_S:
            self._since = 0.0
            self.lane.leave(self)
            self.lane.hand_on()
            self.lane = self.turns.long
            self._ask()
        elif self.lane.waiting:
            self._since = 0.0
            self.lane.hand_on(self)
            self._wait()

    def behind(self) -> None:
        """BehindError if this long request, which was let in, is found not to end in time, so that others do."""
        if self.lane is self.turns.long and self.lane.runs >= SURE_RUNS:
            others_s = self.lane.wait_s(below=self.left)
            late_s = time.monotonic() + others_s + self.left * self.lane.token_s - self.end
            if others_s and late_s > 0:
                raise BehindError(late_s)

    def want(self, windows: Sequence[np.ndarray]) -> None:
        """Queue these windows for the model; whichever request has the turn may take them."""
        self.found.clear()
        self.wanted = sorted(enumerate(windows), key=lambda window: len(window[1]))

    def gather(self, predictor: Predictor) -> bool:
        """Wait a moment for requests that may share this one's next run; whether one came, which should go first."""
        lengths = [len(window) for turn in (self, *self.lane.wanting()) for _, window in turn.wanted]
        pays = self.lane is self.turns.short and predictor.batching == "packed"
        return pays and predictor.joins(lengths, max(lengths)) and self.lane.gather()

    def run(self, predictor: Predictor) -> None:
        """One run: this request's own windows first, then those of requests that wait in its lane."""
        taken: list[tuple[Turn, int, np.ndarray]] = []
        lengths: list[int] = []
        for turn in (self, *self.lane.wanting()):
            for number, window in turn.wanted:
                if not taken or predictor.joins(lengths, len(window)):
                    taken.append((turn, number, window))
                    lengths.append(len(window))
        with contextlib.nullcontext() if predictor.concurrent else self.turns.alone(self.lane):
            begun = time.monotonic()
            logits = predictor.run([window for *_, window in taken])
            took_s = time.monotonic() - begun
        self.lane.returning.moment_s = min(MOMENT * took_s, MOMENT_S)
        a_token_s = took_s / sum(lengths)
        self.lane.took(begun, begun + took_s, sum(lengths))
        for (turn, number, window), one in zip(taken, logits, strict=True):
            turn.found[number] = one
            turn.wanted = [left for left in turn.wanted if left[0] != number]
            turn.left -= len(window)
            turn.spent_s += a_token_s * len(window)
        self.spent_s -= a_token_s * sum(lengths)  # all of it is added when the turn ends

    def _ask(self) -> None:
        if self.lane.ask(self):
            self._since = time.monotonic()
        else:
            self._wait()

    def _wait(self) -> None:
        if not self.ready.wait(max(0.0, self.end - time.monotonic())) and self.lane.withdraw(self):
            raise DeadlineError
        self._since = time.monotonic()
        error = GoneError if self.gone() else DeadlineError if self._since > self.end else None
        if error:
            self._since = 0.0
            self.lane.hand_on()
            raise error
