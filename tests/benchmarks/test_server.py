"""What a request costs: a real Gunicorn process on loopback, one client, a new connection for every request."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from slimner import zoo
from slimner.core.memory import without_thread_caches
from slimner.variants import open_predictor

TEXTS = zoo.workload().read_text(encoding="utf-8").splitlines()

Ask = Callable[[str], "tuple[int, bytes]"]


@pytest.fixture(scope="module")
def ask(embedded_int8: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """A function that sends a text to the server; the server listens on a socket that is bound before it starts."""
    log = tmp_path_factory.mktemp("server") / "log"
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
        port = listener.getsockname()[1]
        server = subprocess.Popen(
            [
                *(sys.executable, "-P", "-OO", "-m", "gunicorn", "-c", "python:slimner.serve.gunicorn_conf"),
                "slimner.serve.app:create_app()",
                *("--bind", f"fd://{listener.fileno()}", "--workers", "1"),
            ],
            cwd=log.parent,
            env=without_thread_caches({**os.environ, "SLIMNER_BUNDLE": str(embedded_int8)}),
            pass_fds=(listener.fileno(),),
            stdout=output,
            stderr=output,
        )

    def post(text: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        try:
            connection.request(
                "POST", "/v1/ner", json.dumps({"text": text}), headers={"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    try:
        try:
            post(TEXTS[0])  # waits in the socket's queue until the worker has loaded
        except OSError:
            pytest.fail(f"the server did not start:\n{log.read_text()}", pytrace=False)
        yield post
    finally:
        server.terminate()
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def median_text() -> str:
    return sorted(TEXTS, key=len)[len(TEXTS) // 2]


@pytest.mark.parametrize("text", [median_text(), max(TEXTS, key=len)], ids=["median", "longest"])
def test_ask_the_server(benchmark: BenchmarkFixture, ask: Ask, embedded_int8: Path, text: str) -> None:
    status, body = benchmark(ask, text)
    answer: dict[str, Any] = json.loads(body)
    assert status == 200
    assert answer["entities"] == msgspec.to_builtins(open_predictor(embedded_int8)(text))
    assert answer["entities"]
