"""Who goes through the model next: requests that wait take turns, a window at a time.

One request holds the turn, and offers it to others after each step of its work. A short request goes before those that
have held it for a while, so that it waits for the window under way and not for a whole long request; but every fourth
turn goes to one of the long ones, which take turns in the order of a circle, so that they get done under any load.

Whoever has the turn and a window for the model takes along windows of those who wait, in the order in which their turns
would come, as far as they may share its run (`variants/batching.py`). Nobody waits for windows to come: a request that
finds nobody else goes at once, and what holds others up is one run, of 256 tokens or a single window.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from ..variants import Predictor

SHORT_S = 0.05
"""A request counts as short until it has held the turn for this long, in seconds."""

AHEAD = 3
"""Turns that go to short requests, one after another, while long ones wait."""


class DeadlineError(Exception):
    """The time of the request was up."""


class GoneError(Exception):
    """The client has hung up."""


class Turns:
    """One turn, held by one request at a time."""

    def __init__(self) -> None:
        self.since = 0.0
        """When the step under way began (of time.monotonic()), 0 while there is none."""
        self._lock = threading.Lock()
        self._held = False
        self._ahead = 0
        self._short: deque[Turn] = deque()
        self._long: deque[Turn] = deque()

    def waiting(self) -> bool:
        """Whether anybody waits."""
        return bool(self._short or self._long)

    def ask(self, turn: Turn) -> bool:
        """The turn for a request now, or its place among those that wait."""
        with self._lock:
            if not self._held:
                self._held = True
                self.since = time.monotonic()
                return True
            self._line_up(turn)
            return False

    def hand_on(self, turn: Turn | None = None) -> None:
        """Give the turn to the next waiting request, if there is one; `turn` queues again."""
        with self._lock:
            if turn:
                self._line_up(turn)
            if following := self._next():
                self.since = time.monotonic()
                following.ready.set()
            else:
                self._held = False
                self.since = 0.0

    def _line_up(self, turn: Turn) -> None:
        turn.ready.clear()
        (self._short if turn.spent_s < SHORT_S else self._long).append(turn)

    def _next(self) -> Turn | None:
        if self._short and (not self._long or self._ahead < AHEAD):
            self._ahead = self._ahead + 1 if self._long else 0
            return self._short.popleft()
        self._ahead = 0
        return self._long.popleft() if self._long else None

    def wanting(self) -> list[Turn]:
        """Waiting requests that have windows to run, short ones first."""
        with self._lock:
            return [turn for turn in (*self._short, *self._long) if turn.wanted]

    def withdraw(self, turn: Turn) -> bool:
        """Stop waiting; False if the turn has already come."""
        with self._lock:
            for queue in (self._short, self._long):
                if turn in queue:
                    queue.remove(turn)
                    return True
            return False


class Turn:
    """The turns of one request; leave it in the end. `end` is of time.monotonic(), `gone` whether its client is."""

    def __init__(self, turns: Turns, end: float, gone: Callable[[], bool]) -> None:
        self.turns = turns
        self.end = end
        self.gone = gone
        self.spent_s = 0.0
        self.ready = threading.Event()
        self.wanted: list[tuple[int, np.ndarray]] = []
        """Windows that the model has not run yet, with their numbers."""
        self.found: dict[int, np.ndarray] = {}
        """Logits of those that have, whoever had the turn."""
        self._since = 0.0

    def __enter__(self) -> Turn:
        if self.turns.ask(self):
            self._since = time.monotonic()
        else:
            self._wait()
        return self

    def __exit__(self, *error: object) -> None:
        if self._since:
            self.turns.hand_on()

    def offer(self) -> None:
        """A step is done: others first, if any wait; DeadlineError or GoneError if it is not worth going on."""
        now = time.monotonic()
        self.spent_s += now - self._since
        self._since = self.turns.since = now
        if self.gone():
            raise GoneError
        if now > self.end:
            raise DeadlineError
        if self.turns.waiting():
            self._since = 0.0
            self.turns.hand_on(self)
            self._wait()

    def want(self, windows: Sequence[np.ndarray]) -> None:
        """Queue these windows for the model; whichever request has the turn may take them."""
        self.found.clear()
        self.wanted = sorted(enumerate(windows), key=lambda window: len(window[1]))

    def run(self, predictor: Predictor) -> None:
        """One run: this request's own windows first, then those of waiting requests."""
        taken: list[tuple[Turn, int, np.ndarray]] = []
        lengths: list[int] = []
        for turn in (self, *self.turns.wanting()):
            for number, window in turn.wanted:
                if not taken or predictor.joins(lengths, len(window)):
                    taken.append((turn, number, window))
                    lengths.append(len(window))
        begun = time.monotonic()
        logits = predictor.run([window for *_, window in taken])
        a_token_s = (time.monotonic() - begun) / sum(lengths)
        for (turn, number, window), one in zip(taken, logits, strict=True):
            turn.found[number] = one
            turn.wanted = [left for left in turn.wanted if left[0] != number]
            turn.spent_s += a_token_s * len(window)
        self.spent_s -= a_token_s * sum(lengths)  # all of it is added when the turn ends

    def _wait(self) -> None:
        if not self.ready.wait(max(0.0, self.end - time.monotonic())) and self.turns.withdraw(self):
            raise DeadlineError
        self._since = time.monotonic()
        error = GoneError if self.gone() else DeadlineError if self._since > self.end else None
        if error:
            self._since = 0.0
            self.turns.hand_on()
            raise error
