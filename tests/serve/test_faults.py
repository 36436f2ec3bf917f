"""What goes wrong with servers: workers that die, clients that dawdle, and garbage."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from slimner import zoo
from slimner.core.store import write_json
from slimner.serve.bundle import BUNDLE, open_served
from slimner.variants import open_predictor

from .conftest import PATIENT, Server, started

TEXT = "外交部发言人说，法国总统马克龙将于下周访问上海。"
TOKEN = "a-token-of-more-than-16-characters"
HEAD = b"POST /v1/ner HTTP/1.1\r\nHost: x\r\n"


def raw(server: Server, *pieces: bytes, wait_s: float = 1.5) -> bytes:
    """Everything the server says to these bytes until it closes or has nothing more to say."""
    with server.connect() as connection:
        connection.settimeout(wait_s)
        for piece in pieces:
            with contextlib.suppress(OSError):
                connection.sendall(piece)
        said = b""
        with contextlib.suppress(OSError):
            while piece := connection.recv(65536):
                said += piece
        return said


def answered_rightly(server: Server, expected: Any) -> bool:
    status, answer = server.post({"text": TEXT})
    return status == 200 and answer["entities"] == expected


@pytest.fixture(scope="module")
def expected() -> Any:
    return msgspec.to_builtins(open_predictor(open_served(zoo.bundle()).model)(TEXT))


def test_clients_that_send_a_byte_at_a_time_do_not_block_others(server: Server, expected: Any) -> None:
    body = json.dumps({"text": TEXT}).encode()
    request = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    stop = threading.Event()
    slow = [server.connect() for _ in range(120)]  # several times as many as there are threads

    def drip() -> None:
        place = 0
        while not stop.wait(0.2):
            for connection in slow:
                with contextlib.suppress(OSError):
                    connection.send(request[place : place + 1])
            place += 1

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        time.sleep(1)
        with concurrent.futures.ThreadPoolExecutor(4) as clients:
            begun = time.monotonic()
            assert all(clients.map(lambda _: answered_rightly(server, expected), range(40)))
        assert server.ask("GET", "/readyz")[0] == 200
        assert time.monotonic() - begun < 0.2 * len(request)  # none of the slow ones was served meanwhile
    finally:
        stop.set()
        dripping.join()
        for connection in slow:
            connection.close()
    assert answered_rightly(server, expected)


def test_a_killed_worker_is_replaced_and_the_others_go_on(tmp_path: Path, expected: Any) -> None:
    with started(tmp_path, "--workers", "2") as server:
        stop = threading.Event()
        outcomes: list[str] = []

        def client() -> None:
            while not stop.is_set():
                try:
                    outcomes.append("right" if answered_rightly(server, expected) else "wrong")
                except (OSError, http.client.HTTPException):
                    outcomes.append("lost")

        clients = [threading.Thread(target=client) for _ in range(6)]
        for thread in clients:
            thread.start()
        server.eventually(lambda: len(outcomes) > 50)
        killed = server.workers[0]
        os.kill(killed, signal.SIGKILL)
        begun = time.monotonic()
        assert server.eventually(lambda: killed not in server.workers and len(server.workers) == 2)
        replaced_s = time.monotonic() - begun
        before = len(outcomes)
        server.eventually(lambda: len(outcomes) > before + 100)
        stop.set()
        for thread in clients:
            thread.join()
        assert outcomes.count("wrong") == 0
        assert outcomes.count("lost") <= 6  # at most what was under way in the killed worker: one a client
        assert "lost" not in outcomes[-50:]
        assert replaced_s < 30, replaced_s
        assert server.metrics()["slimner_queue"] == 0


def test_workers_end_with_their_master(tmp_path: Path) -> None:
    with started(tmp_path, "--workers", "2") as server:
        assert server.eventually(lambda: len(server.workers) == 2)
        workers = [psutil.Process(worker) for worker in server.workers]
        server.process.kill()

        def ended(worker: psutil.Process) -> bool:  # who inherits them may be late to take note
            with contextlib.suppress(psutil.NoSuchProcess):
                return worker.status() == psutil.STATUS_ZOMBIE
            return True

        assert server.eventually(lambda: all(map(ended, workers)))


def test_another_server_takes_over_at_the_same_address(tmp_path: Path, expected: Any) -> None:
    with started(tmp_path, "--workers", "1", *PATIENT) as server:
        os.kill(server.process.pid, signal.SIGUSR2)
        first = psutil.Process(server.process.pid)
        found: list[psutil.Process] = []

        def serves() -> bool:
            with contextlib.suppress(psutil.NoSuchProcess):
                found[:] = [child for child in first.children() if child.children()]
            return bool(found)

        assert server.eventually(serves), server.log.read_text()
        try:
            server.process.terminate()
            assert server.process.wait(120) == 0
            assert answered_rightly(server, expected)
        finally:
            found[0].terminate()
            assert server.eventually(lambda: not found[0].is_running() or found[0].status() == psutil.STATUS_ZOMBIE)


def test_only_workers_that_die_without_being_told_to_are_replaced_with_a_delay() -> None:
    code = """
from types import SimpleNamespace
from slimner.serve import gunicorn_conf as made
import time
server = SimpleNamespace(num_workers=2, WORKERS={1: 1, 2: 2})
def end():
    made.child_exit(server, SimpleNamespace(age=1, begun=time.monotonic()))
    following = SimpleNamespace()
    made.pre_fork(server, following)
    return following.backoff_s
assert [end() for _ in range(5)] == [0.0] * 5  # a reload has replaced them
del server.WORKERS[1]
assert [end() for _ in range(3)] == [0.0, 1.0, 2.0]
"""
    environment = {**os.environ, "SLIMNER_PORT_NUMBER": "0"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)


def test_kept_connections_find_their_way_to_a_new_worker(tmp_path: Path, expected: Any) -> None:
    def held(worker: int) -> int:
        with contextlib.suppress(psutil.NoSuchProcess):
            kept = psutil.Process(worker).net_connections("tcp")
            return sum(connection.status == psutil.CONN_ESTABLISHED for connection in kept)
        return 0

    with started(tmp_path, "--workers", "2") as server:
        stop = threading.Event()
        wrong: list[bytes] = []

        def client() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            while not stop.is_set():
                try:  # the client connects again by itself where it was told that the connection ends
                    connection.request("POST", "/v1/ner", json.dumps({"text": TEXT}))
                    answer = connection.getresponse().read()
                    if json.loads(answer)["entities"] != expected:
                        wrong.append(answer)
                except (OSError, http.client.HTTPException):
                    connection.close()
            connection.close()

        clients = [threading.Thread(target=client) for _ in range(6)]
        for thread in clients:
            thread.start()
        try:
            assert server.eventually(lambda: [held(worker) for worker in server.workers] == [3, 3])
            os.kill(server.workers[0], signal.SIGKILL)
            assert server.eventually(lambda: sorted(held(worker) for worker in server.workers) in ([2, 4], [3, 3]))
        finally:
            stop.set()
            for thread in clients:
                thread.join()
        assert not wrong


def test_a_stop_lets_requests_under_way_finish(tmp_path: Path) -> None:
    with started(tmp_path, "--workers", "2") as server:
        question = {"texts": [TEXT * 10] * 8}
        right = server.post(question)
        assert right[0] == 200
        with concurrent.futures.ThreadPoolExecutor(6) as clients:
            asked = [clients.submit(server.post, question) for _ in range(6)]
            server.eventually(lambda: server.metrics()["slimner_queue"] >= 6)
            server.process.terminate()
            answers = [one.result() for one in asked]
        assert all(status == 200 for status, _ in answers)
        assert all(answer["results"] == right[1]["results"] for _, answer in answers)
        assert server.process.wait(30) == 0
        assert "Traceback" not in server.log.read_text()


def test_the_plain_gunicorn_command_serves_the_same(tmp_path: Path, expected: Any) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "-c", "python:slimner.serve.gunicorn_conf"]
    environment = {**os.environ, "SLIMNER_PORT_NUMBER": str(port), "SLIMNER_WORKERS": "1", "SLIMNER_PRELOAD": "0"}
    environment |= {"PYTHONOPTIMIZE": "2", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "slimner.serve.app:create_app()"], cwd=tmp_path, env=environment, stdout=output, stderr=output
        )
    server = Server(process, port, log)

    def up() -> bool:
        with contextlib.suppress(OSError):
            return server.ask("GET", "/readyz")[0] == 200
        return False

    try:
        assert server.eventually(up), log.read_text()
        assert answered_rightly(server, expected)
        assert server.get("/v1/info")["workers"] == 1
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\n", 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (HEAD + b"X: " + b"a" * 16_000 + b"\r\n\r\n", 431),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", 413),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (HEAD + b"Expect: nothing\r\nContent-Length: 1\r\n\r\na", 417),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\nd\r\n" + b'{"text": "x"}' + b"\r\n0\r\n\r\n", 501),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (3 << 20) + b" " * (3 << 20) + b"\r\n0\r\n\r\n", 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nd\r\n" + b'{"text": "x"}' + b"\r\n0\r\n\r\n", 200),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (HEAD + b"bad header\r\n\r\n", 400),
        (HEAD + b"Expect: 100-continue\r\nContent-Length: 13\r\n\r\n" + b'{"text": "x"}', 200),
    ],
)
def test_what_is_no_request_is_refused_at_once(server: Server, request_bytes: bytes, status: int) -> None:
    said = raw(server, request_bytes)
    assert said.startswith(f"HTTP/1.1 {status} ".encode())
    if status >= 400:
        head, _, body = said.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status


def test_a_client_that_waits_to_be_invited_is(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 13\r\n\r\n")
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"text": "x"}')
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_requests_may_follow_each_other_without_waiting(server: Server) -> None:
    one = HEAD + b"Content-Length: 13\r\n\r\n" + b'{"text": "x"}'
    said = raw(server, one * 5)
    assert said.count(b"HTTP/1.1 200 OK") == 5


def test_random_bytes_to_every_route_break_nothing(server: Server, expected: Any) -> None:
    chance = random.Random(1)
    routes = [*json.loads(server.ask("GET", "/openapi.json")[2])["paths"], "/", "/static/x"]
    for number in range(150):
        route = chance.choice(routes)
        body = chance.randbytes(chance.choice([0, 1, 50, 5000]))
        if number % 3:
            method = chance.choice(["GET", "POST", "PUT", "HEAD"])
            head = f"{method} {route} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            said = raw(server, head + body, wait_s=0.3)
            assert said.startswith(b"HTTP/1.1 "), (route, said)
            assert said[9:12] < b"500", (route, said)
        else:
            assert not raw(server, body, wait_s=0.1).startswith(b"HTTP/1.1 5")
    assert answered_rightly(server, expected)
    assert len(server.workers) == 2
    assert "Traceback" not in server.log.read_text()


def test_the_openapi_document_holds_for_generated_requests(server: Server) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    seen: set[int] = set()

    for operation in schema.get_all_operations():
        found = operation.ok()

        @given(found.as_strategy())
        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        def ask(case: Any) -> None:
            answer = case.call(timeout=60)
            case.validate_response(answer)
            seen.add(answer.status_code)

        ask()
    assert 200 in seen
    assert max(seen) < 500


@pytest.mark.parametrize("preload", ["1", "0"])
def test_a_reload_serves_the_bundle_that_is_there_now_and_no_damaged_one(tmp_path: Path, preload: str) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(zoo.bundle(), bundle)
    environment = {"SLIMNER_PRELOAD": preload, "SLIMNER_TOKEN": TOKEN}
    with started(tmp_path, str(bundle), "--workers", "1", *PATIENT, environment=environment) as server:

        def reloaded() -> bool:
            before = server.workers
            os.kill(server.process.pid, signal.SIGHUP)
            assert server.eventually(lambda: len(server.workers) == 1 and server.workers != before)
            assert server.eventually(lambda: server.ask("GET", "/readyz")[0] == 200)
            assert server.ask("GET", "/v1/info")[0] == 401
            status, _, body = server.ask("GET", "/v1/info", None, {"Authorization": f"Bearer {TOKEN}"})
            assert status == 200
            return "never scored" in str(json.loads(body)["notes"])

        assert not reloaded()
        whole = open_served(bundle).bundle
        assert whole
        write_json(bundle / BUNDLE, msgspec.structs.replace(whole, scores=None).sealed())
        assert reloaded()
        (bundle / "model" / "model.onnx").write_bytes(b"damaged")
        assert reloaded()
        assert "not reloaded, what was served is served on" in server.log.read_text()
