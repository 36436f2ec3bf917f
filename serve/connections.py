"""Connections of a worker: how much each may hold and how long it may take, independent of the HTTP parser.

Gunicorn frames HTTP. Between its protocol and the socket stands one of ours, which sees bytes and time only, so that
neither depends on how the other works: asyncio's interfaces of protocol and transport are all they share.

Every half second one look over all connections ends what takes too long: a connection on which nothing comes, a header
that does not end, an answer that is not read. When there are too many connections, or too many bytes of unfinished
requests, the greediest goes: of the address that holds most connections, the one with most bytes, then the oldest.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from . import metrics
from .journal import HEADER, Entry, Journal
from .problems import PROBLEM_JSON, ProblemError

IDLE_S = 15.0
ARRIVAL_S = 30.0
SEND_S = 30.0
LINGER_S = 2.0
LOOK_S = 0.5
MOST_HELD_BYTES = 32 << 20

CURRENT: contextvars.ContextVar[Connection] = contextvars.ContextVar("connection")
"""The connection of a request, for the code that answers it."""


class Connections:
    """All connections of one worker; the journal records what is refused or dropped."""

    def __init__(self, most: int, journal: Journal, changed: Callable[[int], None]) -> None:
        self.most = most
        self.journal = journal
        self.changed = changed
        self.open: set[Connection] = set()
        self.coming = 0
        self.hosts: Counter[str] = Counter()
        self.held = 0
        self.stopping = 0.0

    def __len__(self) -> int:
        """Connections there are, those included that were accepted this moment."""
        return len(self.open) + self.coming

    def accepted(self) -> None:
        """One more is about to be made."""
        self.coming += 1
        self.changed(len(self))

    def enter(self, connection: Connection) -> bool:
        """Admit a connection, in place of another if there are too many; False if there is no place."""
        self.coming = max(0, self.coming - 1)
        if len(self.open) >= self.most and not self.make_room():
            return False
        self.open.add(connection)
        self.hosts[connection.host] += 1
        return True

    def leave(self, connection: Connection) -> None:
        """It is gone."""
        if connection in self.open:
            self.open.remove(connection)
            self.hosts[connection.host] -= 1
            if not self.hosts[connection.host]:
                del self.hosts[connection.host]
        self.changed(len(self))

    def make_room(self) -> bool:
        """Close a connection on which no request is answered; False if there is none."""
        victim = self._greediest(one for one in self.open if not one.whole and not one.started)
        if victim:
            self.leave(victim)
            victim.abort()
            metrics.DROPPED.inc()
        return victim is not None

    def give_back(self) -> None:
        """Bytes of unfinished requests given back until they are few enough."""
        while self.held > MOST_HELD_BYTES:
            victim = self._greediest(one for one in self.open if one.held and not one.whole and not one.lingering)
            if victim is None:
                return
            victim.refuse(ProblemError(503, "too many requests are arriving", "try again later", RETRY))

    def _greediest(self, candidates: Any) -> Connection | None:
        return max(candidates, key=lambda one: (self.hosts[one.host], one.held, -one.since), default=None)

    async def look(self, alive: Callable[[], bool]) -> None:
        """End what takes too long; once the worker is to stop, also what waits for a request."""
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            if not alive():
                self.stopping = self.stopping or now
            for connection in list(self.open):
                connection.look(now)


RETRY = {"Retry-After": "1"}


class Connection(asyncio.Protocol):
    """A connection: passes bytes between the socket and the protocol that frames HTTP."""

    def __init__(self, inner: Any, connections: Connections) -> None:
        self.inner = inner
        self.connections = connections
        self.transport: Any = None
        self.host = ""
        self.since = time.monotonic()
        self.held = 0
        self.heard = False
        self.ahead = False  # nothing has come since the last answer: the next request was sent before it
        self.answering = False
        self.whole = False
        self.started = False
        self.gone = False
        self.lingering = False
        self.unsent_since = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.host = peer[0] if isinstance(peer, tuple) else ""
        CURRENT.set(self)  # the protocol's task, which starts now, copies it
        self.inner.connection_made(Door(self))
        if not self.connections.enter(self):
            self.abort()

    def data_received(self, data: bytes) -> None:
        if self.lingering:
            return
        if not self.heard and not (b"A" <= data[:1] <= b"Z"):
            self.refuse(_malformed(400))  # no method begins so; the parser would wait for the end of a line
            return
        self.heard = True
        self.ahead = False
        if not self.held and not self.answering:
            self.since = time.monotonic()
        self.held += len(data)
        self.connections.held += len(data)
        try:
            self.inner.data_received(data)
        except ValueError:  # the parser's, on numbers of thousands of digits
            self.refuse(_malformed(400))
        if self.connections.held > MOST_HELD_BYTES:
            self.connections.give_back()

    def eof_received(self) -> bool | None:
        self.gone = True
        if not self.lingering:
            self.inner.eof_received()
        return None  # and so it is closed: nobody sends a request, ends his side and then waits for the answer

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self._release()
        self.connections.leave(self)
        self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()

    def begin(self) -> None:
        """A request's header has arrived and is being handled."""
        self.answering, self.whole, self.started = True, False, False

    def arrived(self) -> None:
        """Its body is there too."""
        self.whole = True

    def end(self) -> None:
        """It is answered."""
        self._release()
        self.answering = self.whole = self.started = False
        self.since = time.monotonic()

    def refuse(self, problem: ProblemError) -> None:
        """Say why, and hear nothing more."""
        if self.lingering:
            return
        self._release()
        entry = Entry(self.host)
        answer = as_http(problem, entry.id)
        self.transport.write(answer)
        self.connections.journal.refused(entry, problem.status, len(answer))
        self.linger()

    def linger(self) -> None:
        """Close when the other side has; closing with bytes unread would destroy what is on its way to it."""
        if not self.lingering:
            self.lingering = True
            self.since = time.monotonic()
            self._release()
            if self.transport.can_write_eof() and not self.transport.is_closing():
                self.transport.write_eof()
            self.transport.resume_reading()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def look(self, now: float) -> None:
        """End it if it takes too long."""
        if self.transport.get_write_buffer_size():
            self.unsent_since = self.unsent_since or now
            if now - self.unsent_since > SEND_S:
                self.abort()
            return
        self.unsent_since = 0.0
        waited = now - self.since
        if self.lingering:
            if waited > LINGER_S:
                self.transport.close()
        elif self.answering:
            return
        elif (self.connections.stopping and now - self.connections.stopping > LINGER_S) or (
            not self.held and waited > IDLE_S
        ):
            self.linger()
        elif self.held and waited > ARRIVAL_S:
            self.refuse(late())

    def _release(self) -> None:
        self.connections.held -= self.held
        self.held = 0


class Door:
    """A connection's transport as the protocol sees it: closing lingers, and refusals are told as problems."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.transport, name)

    def write(self, data: bytes) -> None:
        connection = self._connection
        if connection.lingering or connection.gone:
            return
        if not connection.started and data[:9] == b"HTTP/1.1 " and data[9:10] in b"45":
            connection.refuse(_malformed(int(data[9:12])))  # only the parser answers before the application has
        else:
            connection.transport.write(data)

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def write_eof(self) -> None:
        """Closing follows."""

    def close(self) -> None:
        self._connection.linger()


def late() -> ProblemError:
    """A request that does not arrive."""
    return ProblemError(408, f"the request took longer than {ARRIVAL_S:g} s", "send it at once")


def _malformed(status: int) -> ProblemError:
    return ProblemError(status, *REFUSALS.get(status, ("not a valid HTTP/1.1 request", "see /openapi.json")))


REFUSALS = {
    403: ("there is no WebSocket here", "see /openapi.json for the routes"),
    414: ("the address is too long", "see /openapi.json for the routes"),
    426: ("there is no WebSocket here", "see /openapi.json for the routes"),
    431: ("the header is too large", "send fewer and shorter fields"),
    500: ("the server failed", "the log of the server says what happened"),
    501: ("this transfer coding is not known", "send the whole body with Content-Length"),
}


def as_http(problem: ProblemError, request_id: str) -> bytes:
    """A refusal as the last answer on its connection."""
    body = problem.encode(request_id)
    status = HTTPStatus(problem.status)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {PROBLEM_JSON}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        f"{HEADER}: {request_id}",
        *(f"{name}: {value}" for name, value in problem.headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
