"""The Gunicorn worker: threads get requests that have arrived whole.

Gunicorn's threaded worker hands a connection to a thread as soon as its first byte is there, and the thread then reads
header and body from a blocking socket: as many slow clients as there are threads stop the worker. Here the event loop
gathers the bytes of all connections without waiting for any, within limits of size and time, and a thread starts when
the request is complete. Threads that wait for the model are bounded by the queue, so the others are always free to
refuse.

Workers wait at one socket, and the one that runs gets the connection, busy or not. So each leaves a new connection for
a moment to those who have fewer; the numbers stand in memory that they share. A kept connection stays where it is, so
after a worker was replaced all of them would stay with the others: who has two more than another closes one behind an
answer, and its client connects again.
"""

from __future__ import annotations

import contextlib
import mmap
import re
import selectors
import socket
import struct
import threading
import time
from concurrent import futures
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn import http
from gunicorn.workers.gthread import ThreadWorker

from .messages import MOST_BODY_BYTES
from .problems import PROBLEM_JSON, ProblemError

MOST_HEADER_BYTES = 16 << 10
MOST_GATHERED_BYTES = 16 << 20
ARRIVAL_S = 30.0
LINGER_S = 2.0
SOCKET_TIMEOUT = struct.pack("ll", 10, 0)  # struct timeval
PIECE = 64 << 10
STACK_BYTES = 1 << 20

SLOTS = 64
ABSENT = 1 << 62
PATIENCE = 3
PAUSE_S = 0.0002

_connections = memoryview(mmap.mmap(-1, SLOTS * 8)).cast("q")
for _slot in range(SLOTS):
    _connections[_slot] = ABSENT

REQUEST_LINE = re.compile(rb"[A-Z][A-Z-]{0,31} [!-~]{1,8190} HTTP/1\.[01]\r?\n")
LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*(\d{1,18})[ \t]*(?=\r\n)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
EXPECT = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)


def missing(received: bytes | bytearray) -> tuple[int, int]:
    """Bytes that a request still lacks, at least, and the length of its header (0 while that is not all there).

    ProblemError if it can be refused from what is there.
    """
    head, line = received.find(b"\r\n\r\n") + 4, received.find(b"\n") + 1
    if line and not REQUEST_LINE.fullmatch(received[:line]):
        raise ProblemError(400, "the first line is no HTTP/1 request", "see /openapi.json")
    if head < 4 or head > MOST_HEADER_BYTES:
        if len(received) > MOST_HEADER_BYTES:
            raise ProblemError(431, f"a header of more than {MOST_HEADER_BYTES:,} bytes", "send a shorter one")
        return 1, 0
    header = bytes(received[: head - 2])
    if CHUNKED.search(header):
        raise ProblemError(411, "a body in chunks", "send the whole body with Content-Length")
    length = max((int(found) for found in LENGTH.findall(header)), default=0)
    if length > MOST_BODY_BYTES:
        raise ProblemError(413, f"a body of {length:,} bytes", f"send at most {MOST_BODY_BYTES:,} bytes")
    return max(0, head + length - len(received)), head


def gone(worker: Any) -> None:
    """A worker has ended: it has no connections to compare with."""
    _connections[worker.age % SLOTS] = ABSENT


class Arriving:
    """A connection whose next request is on its way; once refused, what still comes is thrown away."""

    def __init__(self, conn: Any, received: bytes) -> None:
        self.conn = conn
        self.received = bytearray(received)
        self.end = time.monotonic() + ARRIVAL_S
        self.refused = False
        self.invited = False
        self.awaited = False


class Worker(ThreadWorker):  # type: ignore[misc]  # Gunicorn has no types
    """Gunicorn's threaded worker with requests gathered in the event loop."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.arriving: dict[socket.socket, Arriving] = {}
        self.gathered = 0
        self.patience = PATIENCE

    def get_thread_pool(self) -> futures.ThreadPoolExecutor:
        threading.stack_size(STACK_BYTES)
        return futures.ThreadPoolExecutor(max_workers=self.cfg.threads)

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, unless another worker has fewer and takes it within a moment."""
        if self.patience and self.nr_conns > self._fewest():
            self.patience -= 1
            time.sleep(PAUSE_S)
            return
        self.patience = PATIENCE
        super().accept(listener)
        _connections[self.age % SLOTS] = self.nr_conns

    def handle_request(self, req: Any, conn: Any) -> Any:
        if self.nr_conns > self._fewest() + 1:
            req.force_close()
        return super().handle_request(req, conn)

    def _fewest(self) -> int:
        """Connections of that one of the other workers which has fewest."""
        return min(n for slot, n in enumerate(_connections) if slot != self.age % SLOTS)

    def enqueue_req(self, conn: Any) -> None:
        """A connection from which a request is expected: gather it first."""
        left = conn.parser.unreader.take_buffered() if conn.parser else b""
        arriving = Arriving(conn, left)
        self.gathered += len(left)
        conn.sock.setblocking(False)
        self.arriving[conn.sock] = arriving
        if left:
            self._look(arriving)
        if conn.sock in self.arriving:
            self.on_bytes(arriving, conn.sock)
        if conn.sock in self.arriving:  # the rest is on its way
            arriving.awaited = True
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_bytes, arriving))

    def on_bytes(self, arriving: Arriving, sock: socket.socket) -> None:
        """Take what has arrived, and go on when it is a request."""
        try:
            piece = sock.recv(PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            piece = b""
        if not piece:
            self._drop(arriving)
        elif not arriving.refused:
            arriving.received += piece
            self.gathered += len(piece)
            self._look(arriving)

    def _look(self, arriving: Arriving) -> None:
        try:
            lacks, head = missing(arriving.received)
            if lacks and self.gathered > MOST_GATHERED_BYTES:
                raise ProblemError(503, "too many requests are on their way", "try again later", {"Retry-After": "1"})
        except ProblemError as problem:
            self._refuse(arriving, problem)
            return
        if lacks:
            if head and not arriving.invited and EXPECT.search(bytes(arriving.received[:head])):
                arriving.invited = True
                self._send(arriving.conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        self._forget(arriving)
        conn = arriving.conn
        if conn.parser is None:
            conn.parser = http.get_parser(self.cfg, conn.sock, conn.client)
        conn.initialized = conn.data_ready = True
        header = EXPECT.sub(b"", bytes(arriving.received[:head]))  # answered here, or not needed
        conn.parser.unreader.unread(header + bytes(arriving.received[head:]))
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        # The request is there, and most answers fit into the socket's buffer; whatever else a client does or does not
        # do must not hold the thread for ever.
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, SOCKET_TIMEOUT)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SOCKET_TIMEOUT)
        return super().handle(conn)

    def _refuse(self, arriving: Arriving, problem: ProblemError) -> None:
        """Send the reason, and read on for a moment: closing with bytes unread would destroy it on its way."""
        arriving.refused = True
        arriving.end = time.monotonic() + LINGER_S
        self.gathered -= len(arriving.received)
        arriving.received.clear()
        body = problem.encode()
        status = HTTPStatus(problem.status)
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {PROBLEM_JSON}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in problem.headers.items()),
        ]
        self._send(arriving.conn.sock, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        with contextlib.suppress(OSError):
            arriving.conn.sock.shutdown(socket.SHUT_WR)

    def _send(self, sock: socket.socket, content: bytes) -> None:
        with contextlib.suppress(OSError):
            sock.send(content)  # a few hundred bytes, which fit into the socket's buffer

    def _forget(self, arriving: Arriving) -> None:
        self.gathered -= len(arriving.received)
        del self.arriving[arriving.conn.sock]
        if arriving.awaited:
            self.poller.unregister(arriving.conn.sock)

    def _drop(self, arriving: Arriving) -> None:
        self._forget(arriving)
        self.nr_conns -= 1
        arriving.conn.close()

    def murder_pending(self) -> None:
        """End what takes too long to arrive; when the worker stops, what has not arrived soon."""
        super().murder_pending()
        _connections[self.age % SLOTS] = self.nr_conns if self.alive else ABSENT
        now = time.monotonic()
        for arriving in list(self.arriving.values()):
            if not self.alive:
                arriving.end = min(arriving.end, now + LINGER_S)
            if arriving.end > now:
                continue
            if arriving.refused or not arriving.received:
                self._drop(arriving)
            else:
                self._refuse(
                    arriving, ProblemError(408, f"the request took longer than {ARRIVAL_S:g} s", "send it at once")
                )
