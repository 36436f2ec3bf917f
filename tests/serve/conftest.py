"""A real server for the tests: the embedded bundle, two workers, started as users start it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slimner import zoo

PATIENT = ("--deadline", "120")  # however slow the machine


class Server:
    """A started server and how to ask it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(child) for children in tasks for child in children.read_text().split()]

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers (names in small letters) and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=150)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def post(self, question: Any, **headers: str) -> tuple[int, Any]:
        """A question as JSON: status and answer."""
        status, _, body = self.ask("POST", "/v1/ner", json.dumps(question).encode(), headers)
        return status, json.loads(body)

    def metrics(self) -> dict[str, float]:
        """Every series by its name with labels."""
        lines = self.ask("GET", "/metrics")[2].decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 60)

    def eventually(self, what: Callable[[], bool], seconds: float = 240) -> bool:
        end = time.monotonic() + seconds
        while not (done := what()) and time.monotonic() < end:
            time.sleep(0.05)
        return done


Start = Callable[..., "contextlib.AbstractContextManager[Server]"]


@contextlib.contextmanager
def started(directory: Path, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """`slimner serve` on a free port, ready; ended with everything it started."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    log = directory / f"log-{port}"
    main = "from slimner.cli.main import main; main()"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", main, "serve", "--port", str(port), *arguments],
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=output,
        )
    server = Server(process, port, log)

    def ready() -> bool:
        if process.poll() is not None:
            return True
        with contextlib.suppress(OSError, http.client.HTTPException):
            return server.ask("GET", "/readyz")[0] == 200
        return False

    try:
        assert server.eventually(ready), log.read_text()
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded bundle behind two workers."""
    with started(tmp_path_factory.mktemp("server"), str(zoo.bundle()), "--workers", "2", *PATIENT) as server:
        yield server
