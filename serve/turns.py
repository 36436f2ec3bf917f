"""Who goes through the model next: requests that wait take turns, a window at a time.

One request holds the turn, and offers it to others after each step of its work. A short request goes before those that
have held it for a while, so that it waits for the window under way and not for a whole long request; but every fourth
turn goes to one of the long ones, which take turns in the order of a circle, so that they get done under any load.

Each turn is a window of one request. Where several can go through the model in one run, `_next` is the place that
takes more than one of them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

SHORT_S = 0.05
"""A request is short until it has held the turn for so long."""

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
        """The turn for the next who waits, if anybody does; `turn` lines up for another one."""
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

    def withdraw(self, turn: Turn) -> bool:
        """No more waiting; False if the turn has come."""
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

    def _wait(self) -> None:
        if not self.ready.wait(max(0.0, self.end - time.monotonic())) and self.turns.withdraw(self):
            raise DeadlineError
        self._since = time.monotonic()
        error = GoneError if self.gone() else DeadlineError if self._since > self.end else None
        if error:
            self._since = 0.0
            self.turns.hand_on()
            raise error
