"""What a load generator sends to (a server over HTTP, or a predictor in threads), and which answers are right."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import json
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .generator import RIGHT, WRONG, Done

MOST_CONNECTIONS = 500  # select() takes descriptors below 1,024
UNQUOTED = "/%:@!$&'()*+,;=~"


def plain(answer: Any) -> Any:
    """The part of an answer that is compared: [start, end, type] of its entities, else the whole."""
    found = answer.get("entities", answer) if isinstance(answer, dict) else answer
    if isinstance(found, list) and all(isinstance(e, dict) and {"start", "end", "type"} <= e.keys() for e in found):
        return [[e["start"], e["end"], e["type"]] for e in found]
    return found


class Judge:
    """Right or wrong by the expected answers, or by the first answer each text got if none are given."""

    def __init__(self, expected: Sequence[Any] | None, texts: int) -> None:
        self.expected: list[Any] = [None] * texts if expected is None else list(expected)
        self.known = [expected is not None] * texts
        self.seen: dict[int, bytes] = {}

    def body(self, index: int, body: bytes) -> str:
        """Outcome of a JSON body."""
        if self.seen.get(index) == body:
            return RIGHT
        try:
            outcome = self.value(index, plain(msgspec.json.decode(body)))
        except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested too deeply
            return WRONG
        if outcome == RIGHT:
            self.seen[index] = body
        return outcome

    def value(self, index: int, value: Any) -> str:
        """Outcome of an answer."""
        if not self.known[index]:
            self.expected[index], self.known[index] = value, True
        return RIGHT if value == self.expected[index] else WRONG


class InProcess:
    """A function called from `threads` threads of this process."""

    def __init__(
        self, answer: Callable[[str], Any], texts: Sequence[str], *, threads: int, expected: Sequence[Any] | None = None
    ) -> None:
        self.answer, self.texts = answer, texts
        self.judge = Judge(expected, len(texts))
        self.pool = concurrent.futures.ThreadPoolExecutor(threads)

    def ask(self, index: int, done: Done) -> None:
        """Answer one text in the pool."""

        def finished(answering: asyncio.Future[Any]) -> None:
            arrived = time.perf_counter()
            error = answering.exception()
            done(self.judge.value(index, answering.result()) if error is None else type(error).__name__, arrived)

        loop = asyncio.get_running_loop()
        loop.run_in_executor(self.pool, self.answer, self.texts[index]).add_done_callback(finished)

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()


class _Asked:
    """A request, until its outcome is known."""

    __slots__ = ("deadline", "done", "index", "known")

    def __init__(self, index: int, done: Done, deadline: float) -> None:
        self.index, self.done, self.deadline, self.known = index, done, deadline, False


class Http:
    """A server asked over keep-alive connections, as many as are needed at once, up to 500.

    A request fails that has no whole answer by its deadline, which is looked at every twentieth of it.
    """

    def __init__(
        self,
        url: str,
        texts: Sequence[str],
        *,
        body: str,
        headers: Sequence[tuple[str, str]],
        expected: Sequence[Any] | None,
        deadline_s: float,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        self.host, self.secure = parts.hostname or "", parts.scheme == "https"
        self.port = parts.port or (443 if self.secure else 80)
        path = urllib.parse.quote(parts.path or "/", safe=UNQUOTED)
        path += f"?{urllib.parse.quote(parts.query, safe=UNQUOTED + '?')}" if parts.query else ""
        fields = {"Host": parts.netloc.rpartition("@")[2], "Content-Type": "application/json", **dict(headers)}
        head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.requests = [_request(head, body.replace("{text}", json.dumps(text))) for text in texts]
        self.judge = Judge(expected, len(texts))
        self.deadline_s = deadline_s
        self.loop = asyncio.get_running_loop()
        self.idle: collections.deque[_Connection] = collections.deque()
        """Free connections; who has been free for the longest is next, so that all workers of a server are asked alike,
        as by users with a connection each."""
        self.under_way: dict[_Asked, _Connection | None] = {}
        self.queue: collections.deque[_Asked] = collections.deque()
        self.opening: set[asyncio.Task[None]] = set()
        self.waited = 0
        """Requests that had to wait because too many others were under way."""
        self.context = ssl.create_default_context() if self.secure else None
        self.address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][4][0]
        self.timer = self.loop.call_later(deadline_s / 20, self._look)

    def ask(self, index: int, done: Done) -> None:
        """Send one request."""
        asked = _Asked(index, done, time.perf_counter() + self.deadline_s)
        if len(self.under_way) < MOST_CONNECTIONS:
            self._send(asked)
        else:
            self.waited += 1
            self.queue.append(asked)

    def _send(self, asked: _Asked) -> None:
        while self.idle:
            connection = self.idle.popleft()
            if connection.open:
                self.under_way[asked] = connection
                connection.send(asked, self.requests[asked.index])
                return
        self.under_way[asked] = None
        task = self.loop.create_task(self._open(asked))
        self.opening.add(task)
        task.add_done_callback(self.opening.discard)

    async def _open(self, asked: _Asked) -> None:
        """Send it on a new connection."""
        try:
            _, connection = await self.loop.create_connection(
                lambda: _Connection(self),
                str(self.address),
                self.port,
                ssl=self.context,
                server_hostname=self.host if self.secure else None,
            )
        except OSError:
            self.end(asked, "connection", time.perf_counter())
            return
        if asked.known:
            connection.close()
        else:
            self.under_way[asked] = connection
            connection.send(asked, self.requests[asked.index])

    def answered(self, connection: _Connection, asked: _Asked, status: int, body: bytes) -> None:
        """A whole answer has arrived."""
        arrived = time.perf_counter()
        if connection.open:
            self.idle.append(connection)
        self.end(asked, self.judge.body(asked.index, body) if status == 200 else f"status {status}", arrived)

    def lost(self, connection: _Connection, asked: _Asked) -> None:
        """The connection has ended before the answer; an idle one that the server had given up does not count."""
        if connection.used and not connection.answering and not asked.known:
            self._send(asked)
        else:
            self.end(asked, "connection", time.perf_counter())

    def end(self, asked: _Asked, outcome: str, arrived: float) -> None:
        """The outcome of a request is known, unless it was before."""
        if asked.known:
            return
        asked.known = True
        self.under_way.pop(asked, None)
        if self.queue:
            self._send(self.queue.popleft())
        asked.done(outcome, arrived)

    def _look(self) -> None:
        """End what is past its deadline."""
        now = time.perf_counter()
        self.timer = self.loop.call_later(self.deadline_s / 20, self._look)
        for asked, connection in [pair for pair in self.under_way.items() if pair[0].deadline <= now]:
            self.end(asked, "timeout", now)
            if connection is not None:
                connection.close()
        while self.queue and self.queue[0].deadline <= now:
            asked = self.queue.popleft()
            self.end(asked, "timeout", now)

    def close(self) -> None:
        """Close the connections."""
        self.timer.cancel()
        for task in self.opening:
            task.cancel()
        for connection in self.idle:
            connection.close()


def _request(head: str, body: str) -> bytes:
    content = body.encode("utf-8")
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode("latin-1") + content


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, target: Http) -> None:
        import httptools

        self.make: Callable[[object], Any] = httptools.HttpResponseParser
        self.errors: tuple[type[Exception], ...] = (httptools.HttpParserError,)
        self.target = target
        self.parser = self.make(self)
        self.asked: _Asked | None = None
        self.pieces: list[bytes] = []
        self.head = b""
        self.open = self.answering = self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self.transport, self.open = transport, True

    def send(self, asked: _Asked, request: bytes) -> None:
        """Send a request."""
        self.asked, self.answering = asked, False
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.asked is None:  # nothing was asked
            self.close()
            return
        if not self.answering:
            self.answering, self.head = True, data
        try:
            self.parser.feed_data(data)
        except self.errors:
            self.close()
            if (asked := self._taken()) is not None:
                self.target.end(asked, "malformed", time.perf_counter())

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_keep_alive():
            self.close()
        self._answered()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self.asked is None:
            return
        if exc is None and self.answering and not _has_length(self.head):
            self._answered()
        elif (asked := self._taken()) is not None:
            self.target.lost(self, asked)

    def _answered(self) -> None:
        body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        if (asked := self._taken()) is not None:
            self.used = True
            self.target.answered(self, asked, self.parser.get_status_code(), body)

    def _taken(self) -> _Asked | None:
        asked, self.asked = self.asked, None
        return asked

    def close(self) -> None:
        """Close the connection."""
        self.open = False
        with contextlib.suppress(OSError):
            self.transport.close()


def _has_length(answer: bytes) -> bool:
    """Whether the head of an answer says where its body ends; else that is where the connection does."""
    head = answer.partition(b"\r\n\r\n")[0].lower()
    return b"\r\ncontent-length:" in head or b"\r\ntransfer-encoding:" in head
