"""The server that `studies/attacks.py` attacks."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from slimner.bench.server import free_port

WORKERS = 2


class Server:
    """`slimner serve` on a free port, with all of its workers."""

    def __init__(self, directory: Path, *arguments: str, prefix: tuple[str, ...] = (), **environment: str) -> None:
        self.port = free_port()
        self.log = directory / f"log-{self.port}"
        main = "from slimner.cli.main import main; main()"
        command = [*prefix, sys.executable, "-P", "-c", main, "serve", *arguments]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), "--workers", str(WORKERS)],
                cwd=directory,
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
            )
        end = time.monotonic() + 60
        while self.status("GET", "/readyz") != 200 or len(self.workers) < WORKERS:
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(self.log.read_text())
            time.sleep(0.1)

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(child) for children in tasks for child in children.read_text().split()]

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body; status 0 where no answer came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def status(self, method: str, path: str, body: bytes | None = None, **headers: str) -> int:
        """The status alone."""
        return self.ask(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})[0]

    def connect(self, send: bytes = b"", receive_buffer: int = 0) -> socket.socket:
        """A connection on which some bytes have been sent."""
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(5)
        connection.connect(("127.0.0.1", self.port))
        with contextlib.suppress(OSError):
            connection.sendall(send)
        return connection

    def raw(self, data: bytes) -> bytes:
        """Everything that comes back until the connection is closed, or nothing more comes."""
        with self.connect(data) as connection:
            connection.settimeout(33)  # a request that never ends is refused after 30
            said = b""
            with contextlib.suppress(OSError):
                while piece := connection.recv(65536):
                    said += piece
            return said


@contextlib.contextmanager
def started(*arguments: str, prefix: tuple[str, ...] = (), **environment: str) -> Iterator[Server]:
    """A ready server, ended with what it started."""
    with tempfile.TemporaryDirectory(prefix="attacks-") as directory:
        server = Server(Path(directory), *arguments, prefix=prefix, **environment)
        try:
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                server.process.terminate()
            try:
                server.process.wait(60)
            except subprocess.TimeoutExpired:
                server.process.kill()
