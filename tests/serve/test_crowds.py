"""Clients that hold what they can of a server: others are answered meanwhile, and afterwards as before."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Server

TEXT = "法国总统马克龙将于下周访问上海。"
HEAD = b"POST /v1/ner HTTP/1.1\r\nHost: a\r\nContent-Length: "
SMALL = json.dumps({"text": TEXT}).encode()


def held(
    server: Server, number: int, first: bytes, stack: contextlib.ExitStack, buffer: int = 0
) -> list[socket.socket]:
    """So many connections on which `first` was sent; the server may end some of them."""
    found = []
    for _ in range(number):
        connection = stack.enter_context(socket.socket())
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(10)
        with contextlib.suppress(OSError):
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(first)
        found.append(connection)
    return found


def slowest(server: Server, times: int) -> float:
    """The 95th percentile of the seconds that /healthz and a small text take now; each is answered with 200."""
    took = []
    for _ in range(times):
        for method, path, body in (("GET", "/healthz", None), ("POST", "/v1/ner", SMALL)):
            begun = time.monotonic()
            assert server.ask(method, path, body)[0] == 200
            took.append(time.monotonic() - begun)
    return statistics.quantiles(took, n=20)[18]


@pytest.mark.parametrize(
    ("number", "first", "buffer"),
    [
        (2000, b"", 0),
        (100, HEAD + b"%d\r\n\r\n" % (1 << 20) + b" " * ((1 << 20) - 1), 0),
        (100, HEAD + b"0" * 20 + b"1000\r\n\r\n{", 0),
        (300, b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 200, 2048),
    ],
    ids=["idle", "a byte short", "leading zeros", "pipelined and not read"],
)
def test_a_crowd_that_holds_connections_keeps_nobody_waiting(
    server: Server, number: int, first: bytes, buffer: int
) -> None:
    alone = slowest(server, 10)
    with contextlib.ExitStack() as stack:
        held(server, number, first, stack, buffer)
        beside = slowest(server, 20)
    assert beside < 1 + 10 * alone  # the machine may be slow, but nobody waits for those who hold on
    assert server.eventually(lambda: slowest(server, 5) < 1 + 10 * alone)


def test_requests_sent_ahead_of_answers_are_answered_in_order(server: Server) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    for pieces in ([request * 20 + last], [request] * 20 + [last], [request[:20], request[20:] + last]):
        with server.connect() as connection:
            for piece in pieces:
                connection.sendall(piece)
            said = b""
            while piece := connection.recv(65536):
                said += piece
        count = b"".join(pieces).count(b"/healthz")
        assert re.findall(rb"HTTP/1\.1 (\d{3}) ", said) == [b"200"] * count + [b"404"]


def refusal(directory: Path, *arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    main = "from slimner.cli.main import main; main()"
    return subprocess.run(
        [*prefix, sys.executable, "-P", "-c", main, "serve", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
        env=dict(os.environ),
    )


@pytest.mark.parametrize("address", [lambda port: ("127.0.0.1", port), lambda port: ("203.0.113.7", 7999)])
def test_an_address_that_cannot_be_had_is_told_in_a_line(
    server: Server, tmp_path: Path, address: Callable[[int], tuple[str, int]]
) -> None:
    host, port = address(server.port)
    done = refusal(tmp_path, "--host", host, "--port", str(port))
    assert done.returncode == 2
    assert "cannot listen on" in done.stderr
    assert "Traceback" not in done.stderr


def test_small_files_are_read_within_a_small_space_of_addresses() -> None:
    code = """
import resource
from pathlib import Path
from slimner import zoo
from slimner.core.outside import read_bytes
size = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20),) * 2)
assert read_bytes(zoo.bundle() / "bundle.json")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
