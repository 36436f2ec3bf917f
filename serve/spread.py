"""How connections are spread over the workers, which all wait at one socket.

Whoever of them runs gets a new connection, busy or not. So each leaves it for a moment to those who have fewer; the
numbers stand in memory that they share. A kept connection stays where it is, so after a worker was replaced all of them
would stay with the others: who has two more than another closes one behind an answer, and its client connects again.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import socket
import time
from typing import Protocol

SLOTS = 64
ABSENT = 1 << 62
PATIENCE = 3
PAUSE_S = 0.0002

_numbers = memoryview(mmap.mmap(-1, SLOTS * 8)).cast("q")
for _slot in range(SLOTS):
    _numbers[_slot] = ABSENT


class Share:
    """The number of connections of one worker, seen by all."""

    def __init__(self, age: int) -> None:
        self.slot = age % SLOTS

    def tell(self, number: int) -> None:
        """Record how many connections this worker has."""
        _numbers[self.slot] = number

    def leave(self) -> None:
        """This worker accepts no more connections."""
        _numbers[self.slot] = ABSENT

    def fewest(self) -> int:
        """The fewest connections that any other worker has."""
        return min(number for slot, number in enumerate(_numbers) if slot != self.slot)

    def surplus(self, number: int) -> bool:
        """Whether a worker with `number` connections should give one up."""
        return number > self.fewest() + 1


class Listener(socket.socket):
    """A listening socket that leaves a new connection to workers that have fewer, if one takes it within a moment.

    Before it closes it accepts every waiting connection, since closing the last listening socket would reset them.
    """

    patience = PATIENCE
    original: socket.socket
    gate: Gate

    @classmethod
    def of(cls, original: socket.socket, gate: Gate) -> Listener:
        """A socket that listens where another does, which is closed with it."""
        mine = cls(fileno=os.dup(original.fileno()))
        mine.setblocking(False)
        mine.original, mine.gate = original, gate
        return mine

    def accept(self) -> tuple[socket.socket, object]:
        number = self.gate.number()
        if number >= self.gate.most():  # those that were taken this moment are looked after first
            raise BlockingIOError
        if self.patience and number > self.gate.share.fewest():
            self.patience -= 1
            time.sleep(PAUSE_S)
            raise BlockingIOError
        self.patience = PATIENCE
        return self._take()

    def _take(self) -> tuple[socket.socket, object]:
        try:
            taken = super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self.gate.make_room()
            raise BlockingIOError from None
        self.gate.accepted()
        return taken

    def close(self) -> None:
        with contextlib.suppress(OSError):
            while self.fileno() >= 0:
                self.gate.late(self._take()[0])
        self.original.close()
        super().close()


class Gate(Protocol):
    """What a listener needs to know about its worker."""

    share: Share

    def number(self) -> int:
        """Connections there are."""
        ...

    def most(self) -> int:
        """How many connections are allowed at this moment."""
        ...

    def make_room(self) -> object:
        """End one."""

    def accepted(self) -> None:
        """There is one more."""

    def late(self, taken: socket.socket) -> None:
        """Serve this connection too, which arrived while the listener was being closed."""
