"""Sending texts and timing answers: closed loop and open loop, over HTTP or straight into a predictor.

A closed loop has N clients, each of which sends when it has its answer: it shows throughput, but slows down with what
it measures. An open loop sends at times fixed beforehand and counts latency from them, so that a queue is seen.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import itertools
import json
import math
import random
import selectors
import socket
import ssl
import time
import urllib.parse
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

T = TypeVar("T")

RIGHT, WRONG = "right", "wrong"
MOST_CONNECTIONS = 500  # select() takes descriptors below 1,024
UNQUOTED = "/%:@!$&'()*+,;=~"
LATE_S = 0.005
LATE_SHARE = 0.01
LATE_ALLOWED = 3
BUSY_CORES = 0.9


class Target(Protocol):
    """The requests to send."""

    async def ask(self, index: int) -> str:
        """Ask for text `index`: "right", "wrong", or what went wrong in a word."""
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

    async def ask(self, target: Target, index: int, since: float) -> None:
        outcome = await target.ask(index)
        self.ended = time.perf_counter()
        self.outcomes[outcome] += 1
        if outcome == RIGHT:
            self.latencies.append(self.ended - since)

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

    async def client() -> None:
        for index in indices:
            now = time.perf_counter()
            if now >= end:
                return
            await tally.ask(target, index, now)

    await asyncio.gather(*(client() for _ in range(clients)))
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
    waiting: set[asyncio.Task[None]] = set()
    for moment, index in zip(times, itertools.cycle(order), strict=False):
        due = tally.begun + moment
        while (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        tally.lags.append(time.perf_counter() - due)
        task = asyncio.create_task(tally.ask(target, index, due))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
        if tally.lags[-1] > 0:  # behind: let answers come in all the same
            await asyncio.sleep(0)
    while waiting:
        await asyncio.gather(*waiting)
    return tally.run()


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

    async def ask(self, index: int) -> str:
        """Answer one text in the pool."""
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self.pool, self.answer, self.texts[index])
        except Exception as error:
            return type(error).__name__
        return self.judge.value(index, answer)

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()


class Http:
    """A server asked over keep-alive connections, as many as are needed at once, up to 500."""

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
        self.idle: list[_Connection] = []
        self.slots = asyncio.Semaphore(MOST_CONNECTIONS)
        self.waited = 0
        """Requests that had to wait because too many others were under way."""
        self.context = ssl.create_default_context() if self.secure else None
        self.address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0][4][0]

    async def ask(self, index: int) -> str:
        """Send one request and wait for the whole answer, at most the deadline."""
        try:
            async with asyncio.timeout(self.deadline_s):
                self.waited += self.slots.locked()
                async with self.slots:
                    status, body = await self._exchange(self.requests[index])
        except TimeoutError:
            return "timeout"
        except (OSError, EOFError):
            return "connection"
        except ValueError:
            return "malformed"
        return self.judge.body(index, body) if status == 200 else f"status {status}"

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        while self.idle:
            connection = self.idle.pop()
            if connection.open:
                try:
                    return await self._on(connection, request)
                except (OSError, EOFError):
                    if connection.answering:  # not merely an idle connection that the server had given up
                        raise
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            _Connection,
            str(self.address),
            self.port,
            ssl=self.context,
            server_hostname=self.host if self.secure else None,
        )
        return await self._on(connection, request)

    async def _on(self, connection: _Connection, request: bytes) -> tuple[int, bytes]:
        try:
            answer = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        if connection.open:
            self.idle.append(connection)
        return answer

    def close(self) -> None:
        """Close the connections."""
        for connection in self.idle:
            connection.close()


def _request(head: str, body: str) -> bytes:
    content = body.encode("utf-8")
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode("latin-1") + content


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        import httptools

        self.make: Callable[[object], Any] = httptools.HttpResponseParser
        self.errors: tuple[type[Exception], ...] = (httptools.HttpParserError,)
        self.open = self.answering = False
        self.waiter: asyncio.Future[tuple[int, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.open = transport, True

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self.parser, self.answering, self.until_closed = self.make(self), False, False
        self.pieces: list[bytes] = []
        self.waiter = asyncio.get_running_loop().create_future()
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.write(request)
        return await self.waiter

    def data_received(self, data: bytes) -> None:
        self.answering = True
        if self.waiter is None:
            return self.close()
        try:
            self.parser.feed_data(data)
        except self.errors as error:
            self._fail(ValueError(str(error)))
            self.close()
        return None

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self.until_closed = False

    def on_message_begin(self) -> None:
        self.until_closed = True  # unless a header says how long the body is

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_keep_alive():
            self.close()
        self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if exc is None and self.answering and self.until_closed:
            self._finish()
        self._fail(exc if isinstance(exc, OSError) else EOFError("closed"))

    def _finish(self) -> None:
        if self.waiter and not self.waiter.done():
            self.waiter.set_result((self.parser.get_status_code(), b"".join(self.pieces)))
        self.waiter = None

    def _fail(self, error: Exception) -> None:
        if self.waiter and not self.waiter.done():
            self.waiter.set_exception(error)
        self.waiter = None

    def close(self) -> None:
        """Close the connection."""
        self.open = False
        with contextlib.suppress(OSError):
            self.transport.close()
