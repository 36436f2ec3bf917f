"""A WSGI application as an ASGI one: a thread starts when a request has arrived whole, within limits.

`environ["slimner.gone"]` tells whether the client has hung up, so that no answer is computed that no one will read;
`environ["slimner.id"]` is the id of the request. The application leaves its route in `environ["slimner.route"]`, and in
`environ["slimner.told"]` what the access log is to say besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from concurrent import futures
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from .connections import ARRIVAL_S, CURRENT, LINGER_S, MOST_HELD_BYTES, REFUSALS, RETRY, Connection, Connections, late
from .journal import HEADER, Entry
from .metrics import UNKNOWN
from .problems import PROBLEM_JSON, ProblemError
from .schemas import MOST_BODY_BYTES

STACK_BYTES = 1 << 20
MOST_DRAINED_BYTES = 64 << 20

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Adapter:
    """Answers HTTP requests of an ASGI server by a WSGI application in `threads` threads."""

    def __init__(
        self, application: Any, connections: Connections, threads: int, crowded: Callable[[], bool] = lambda: False
    ) -> None:
        self.application = application
        self.connections = connections
        self.crowded = crowded
        threading.stack_size(STACK_BYTES)
        self.ahead = asyncio.Lock()
        """Held by one of those who send requests ahead of answers: all of them together take one turn at a time."""
        self.threads = futures.ThreadPoolExecutor(max_workers=threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close"})
            return
        connection = CURRENT.get()
        connection.begin()
        try:
            async with self.ahead if connection.ahead else contextlib.nullcontext():
                await self._answer(connection, scope, receive, send)
        finally:
            connection.end()

    async def _answer(self, connection: Connection, scope: Scope, receive: Receive, send: Send) -> None:
        journal = self.connections.journal
        entry = Entry(connection.host, scope["method"], _header(scope, HEADER.lower().encode()))
        try:
            path, host = _target(scope)
            body = await _body(scope, receive)
            if connection.gone:
                return
            connection.arrived()
            entry.arrived(len(body))
            if self.connections.held > MOST_HELD_BYTES:
                raise ProblemError(503, "too many requests are arriving", "try again later", RETRY)
        except ProblemError as problem:
            if not connection.gone:
                headers = [("Content-Type", PROBLEM_JSON), *problem.headers.items(), (HEADER, entry.id)]
                content = problem.encode(entry.id)
                await self._send(connection, send, problem.status, headers, content)
                journal.refused(entry, problem.status, len(content))
                await _drain(receive)
            return
        run = asyncio.get_running_loop().run_in_executor
        environ = _environ(scope, path, body, lambda: connection.gone)
        if host and "HTTP_HOST" in environ:
            environ["HTTP_HOST"] = host  # it goes before the header (RFC 9112, 3.2.2)
        environ["slimner.id"] = entry.id
        status, answered, content, close = await run(self.threads, _call, self.application, environ)
        try:
            await self._send(connection, send, status, [*answered, (HEADER, entry.id)], content)
        finally:
            close()
            entry.client = environ["REMOTE_ADDR"]  # which a trusted proxy may have said better
            route = environ.get("slimner.route", UNKNOWN)
            journal.ended(entry, route, status, len(content), environ.get("slimner.told"))

    async def _send(
        self, connection: Connection, send: Send, status: int, headers: Iterable[tuple[str, str]], body: bytes
    ) -> None:
        sent = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        sent.append((b"server", b"slimner"))
        moves = self.crowded()
        if moves:
            sent.append((b"connection", b"close"))
        if not any(name == b"content-length" for name, _ in sent):
            sent.append((b"content-length", b"%d" % len(body)))
        connection.started = connection.ahead = True
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body, "more_body": False})
        if moves:
            connection.linger()


def _header(scope: Scope, wanted: bytes) -> str:
    """What a field of the header says, "" if it is not there or several times."""
    found: list[bytes] = [value for name, value in scope["headers"] if name == wanted]
    return found[0].decode("latin-1") if len(found) == 1 else ""


def _target(scope: Scope) -> tuple[bytes, str]:
    """The requested path, and the host if the request names one before it; ProblemError if it has no path."""
    asked: bytes = scope["raw_path"]
    host = b""
    try:
        if not asked.startswith((b"/", b"*")):
            scheme, host, path, *_ = urlsplit(asked)
            asked = (path or b"/") if scheme in (b"http", b"https") and host else b""
    except ValueError:
        asked = b""
    if not asked.startswith((b"/", b"*")):
        raise ProblemError(400, "not an address of this server", "see /openapi.json for the routes")
    return asked.partition(b"?")[0], host.decode("latin-1")


async def _body(scope: Scope, receive: Receive) -> bytes:
    """The body of a request, cut off if its client hung up; ProblemError if it is too large or does not arrive."""
    in_chunks = False
    for name, value in scope["headers"]:
        if name == b"content-length" and int(value) > MOST_BODY_BYTES:
            raise _too_large(f"{int(value):,}" if len(value) < 30 else "far more")
        if name == b"expect" and value.lower() != b"100-continue":
            raise ProblemError(417, "an Expect header that is not supported", "send no header Expect, or 100-continue")
        if name == b"transfer-encoding":
            in_chunks = True
            if value.strip().lower() != b"chunked":  # the parser undoes nothing else
                raise ProblemError(501, *REFUSALS[501])
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(ARRIVAL_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break  # hung up, or nothing has come for a while
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > MOST_BODY_BYTES:
                    raise _too_large(f"more than {MOST_BODY_BYTES:,}")
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        pass
    if in_chunks:
        raise ProblemError(400, "a chunked body without its last chunk", "send the whole body, with its last chunk")
    raise late()


def _too_large(size: str) -> ProblemError:
    return ProblemError(413, f"a body of {size} bytes", f"send at most {MOST_BODY_BYTES:,} bytes")


async def _drain(receive: Receive) -> None:
    """Read on for a moment: closing with bytes unread would destroy the answer on its way."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while size < MOST_DRAINED_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


def _call(application: Any, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes, Callable[[], None]]:
    """Status, headers and body of an answer, and what is to be called when it has been sent."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        started[:] = [int(status[:3]), headers]

    result = application(environ, start_response)
    body = b"".join(result)
    return started[0], started[1], body, getattr(result, "close", lambda: None)


def _environ(scope: Scope, path: bytes, body: bytes, gone: Callable[[], bool]) -> dict[str, Any]:
    """The request as PEP 3333 wants it."""
    server = scope.get("server") or ("", 0)
    client = scope.get("client") or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": scope.get("root_path", ""),
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(server[0]),
        "SERVER_PORT": str(server[1] or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": str(client[0]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "slimner.gone": gone,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            environ[key] = text
        else:
            key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{text}" if key in environ else text
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ
