"""The generator against real servers whose behaviour is known."""

from __future__ import annotations

import asyncio
import collections
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from slimner.bench.generator import Done, closed_loop, open_loop, run_loop, schedule
from slimner.bench.load import Load, expected_answers, run_closed, run_open, search_peak
from slimner.bench.targets import Http, InProcess, Judge, plain
from slimner.core.load_records import LoadRecord, LoadReport
from slimner.core.machine import describe
from slimner.reports.load import load_notes

SERVICE_S = 0.05
TEXTS = 10


@pytest.fixture
def texts(tmp_path: Path) -> str:
    path = tmp_path / "texts.txt"
    path.write_text("".join(f"第{i}次会议\n" for i in range(TEXTS)), encoding="utf-8")
    return str(path)


@contextmanager
def serve(answer: Callable[[dict[str, Any], int], tuple[int, bytes]], *, threads: bool = True) -> Iterator[str]:
    """A server of this process; `answer` gets the request and its number, and returns status and body."""
    count = iter(range(10**9))

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = answer(json.loads(body), next(count))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.request_queue_size = 200
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/ner"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def one_at_a_time(service_s: float = SERVICE_S) -> Iterator[str]:
    """A server that takes 50 ms a request, one after the other."""
    lock = threading.Lock()

    def answer(request: dict[str, Any], number: int) -> tuple[int, bytes]:
        with lock:
            time.sleep(service_s)
        return 200, b'{"entities": []}'

    with serve(answer) as url:
        yield url


@pytest.mark.alone
def test_a_closed_loop_finds_the_throughput_of_a_known_server(texts: str) -> None:
    with one_at_a_time() as url:
        run = run_closed(Load(target=url, workload=texts), clients=4, seconds=3)
    most = 1 / SERVICE_S
    assert run.failed == 0
    assert 0.6 * most < run.per_s <= 1.02 * most
    p50 = run.latency_ms(50)
    assert p50 is not None
    assert p50 >= 0.9 * 4 * SERVICE_S * 1000  # each waits for the three others
    assert run.invalid == ()


@pytest.mark.alone
def test_an_open_loop_over_capacity_shows_the_queue_that_a_closed_loop_hides(texts: str) -> None:
    with one_at_a_time() as url:
        load = Load(target=url, workload=texts)
        closed = run_closed(load, clients=1, seconds=2)
        flooded = run_open(load, rate=2.5 / SERVICE_S, seconds=2, poisson=False)
    assert flooded.failed == 0
    assert flooded.sent == 100
    alone, queued = closed.latency_ms(50), flooded.latency_ms(50)
    assert alone is not None
    assert queued is not None
    assert queued > 5 * alone
    assert max(flooded.latencies_ms) > 2000  # the last one waits for most of what was sent before it


@pytest.mark.alone
def test_a_generator_that_lags_is_caught(texts: str) -> None:
    with serve(lambda request, number: (200, b'{"entities": []}')) as url:
        run = run_open(
            Load(target=url, workload=texts, most=3_000, deadline_s=3), rate=60_000, seconds=1, poisson=False
        )
    assert any("lagged" in reason for reason in run.invalid)
    assert run.late_share > 0.01


def test_a_generator_held_up_by_its_own_process_is_caught() -> None:
    target = InProcess(lambda text: time.sleep(0.001) or text, ["a"], threads=1)

    class Stalls:
        def ask(self, index: int, done: Done) -> None:
            time.sleep(0.05)  # blocks the loop, as a pause of the collector would
            target.ask(index, done)

        def close(self) -> None:
            target.close()

    stalling = Stalls()
    run = run_loop(open_loop(stalling, [0], schedule(100, 1.0, poisson=False, seed=1, most=1000)))
    stalling.close()
    assert run.late_share > 0.5


def test_wrong_answers_and_errors_are_counted_and_kept_out_of_the_latencies(texts: str) -> None:
    def answer(request: dict[str, Any], number: int) -> tuple[int, bytes]:
        if number % 10 == 3:
            return 500, b"{}"
        if number % 10 == 7:
            return 200, b'{"entities": [{"start": 0, "end": 1, "type": "PER", "text": "x"}]}'
        if number % 10 == 9:
            return 200, b"not json"
        return 200, b'{"entities": []}'

    with serve(answer) as url:
        load = Load(target=url, workload=texts, expected=tuple([] for _ in range(TEXTS)), most=200)
        run = run_closed(load, clients=2, seconds=30)
    assert run.sent == 200
    assert run.errors == {"status 500": 20}
    assert run.wrong == 40
    assert run.answered == len(run.latencies_ms) == 140


def test_without_expected_answers_a_text_must_get_the_same_answer_each_time(texts: str) -> None:
    def fickle(request: dict[str, Any], number: int) -> tuple[int, bytes]:
        return 200, json.dumps({"entities": [], "note": number}).encode() if number < 50 else b'{"entities": [1]}'

    with serve(fickle) as url:
        run = run_closed(Load(target=url, workload=texts, most=100), clients=1, seconds=30)
    assert run.answered == 50  # a field beside the entities does not matter, other entities do
    assert run.wrong == 50


def test_a_server_that_closes_or_never_answers_is_counted(texts: str) -> None:
    def slow(request: dict[str, Any], number: int) -> tuple[int, bytes]:
        time.sleep(1.0 if number == 0 else 0)
        return 200, b'{"entities": []}'

    with serve(slow) as url:
        run = run_closed(Load(target=url, workload=texts, most=20, deadline_s=0.4), clients=1, seconds=30)
    assert run.errors["timeout"] >= 1
    assert set(run.errors) == {"timeout"}
    gone = run_closed(Load(target=url, workload=texts, most=5), clients=1, seconds=30)
    assert gone.errors == {"connection": 5}
    assert gone.answered == 0


@pytest.mark.alone
def test_the_search_ends_at_a_rate_the_server_can_take(texts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimner.bench.peak.CONFIRM_S", 2.0)
    monkeypatch.setattr("slimner.bench.peak.PROBE_S", 1.0)
    workers = threading.Semaphore(4)

    def answer(request: dict[str, Any], number: int) -> tuple[int, bytes]:
        with workers:
            time.sleep(0.01)
        return 200, b'{"entities": []}'

    with serve(answer) as url:
        runs, peak = search_peak(Load(target=url, workload=texts), 200.0, first=150)
    assert peak is not None
    assert peak is runs[-1]
    p95 = peak.latency_ms(95)
    assert p95 is not None
    assert p95 <= 200
    assert 30 < peak.per_s < 400  # four at 10 ms each: 400 a second at the very most
    assert any((run.latency_ms(95) or 1e9) > 200 or run.failed or run.invalid for run in runs)


@pytest.mark.alone
def test_a_limit_nothing_can_keep_ends_the_search(texts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimner.bench.peak.MOST_PROBE_S", 2.0)
    monkeypatch.setattr("slimner.bench.peak.PROBE_S", 1.0)
    with one_at_a_time(0.005) as url:
        _, peak = search_peak(Load(target=url, workload=texts), 1.0, first=150)
    assert peak is None


def test_send_times_are_bounded_and_have_the_rate_asked_for() -> None:
    assert schedule(10, 1.0, poisson=False, seed=1, most=99) == pytest.approx([i / 10 for i in range(10)])
    times = schedule(1000, 10, poisson=True, seed=3, most=100_000)
    assert 9_600 < len(times) < 10_400
    assert times == sorted(times)
    assert times == schedule(1000, 10, poisson=True, seed=3, most=100_000)
    assert len(schedule(1000, 10, poisson=True, seed=3, most=50)) == 50


def test_an_artifact_is_loaded_in_process_and_its_answers_are_compared(artifacts: dict[str, Path], texts: str) -> None:
    artifact = artifacts["onnx-int8"]
    expected = expected_answers(artifact, texts, timeout_s=60)
    assert len(expected) == TEXTS
    load = Load(target=str(artifact), workload=texts, expected=expected, threads=2, most=300)
    run = run_closed(load, clients=3, seconds=60)
    assert (run.answered, run.wrong, run.errors) == (300, 0, {})
    assert run.server is not None
    assert run.server.pss_bytes > 20_000_000


def test_judging_looks_at_the_place_and_type_of_entities_only() -> None:
    found = {"entities": [{"start": 0, "end": 2, "type": "LOC", "score": 0.5, "text": "上海"}], "took_ms": 3}
    assert plain(found) == [[0, 2, "LOC"]]
    judge = Judge([[[0, 2, "LOC"]]], 1)
    assert judge.body(0, json.dumps(found).encode()) == "right"
    assert judge.body(0, b'{"entities": [{"start": 0, "end": 2, "type": "ORG"}]}') == "wrong"


def test_a_closed_loop_is_bounded_in_count() -> None:
    target = InProcess(lambda text: text, ["a", "b"], threads=2)
    run = run_loop(closed_loop(target, [0, 1], clients=3, seconds=60, most=25))
    target.close()
    assert run.sent == 25


def test_the_memory_of_a_local_server_is_found_by_its_port(texts: str) -> None:
    program = (
        "import http.server, os, sys\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_POST(self):\n"
        "        self.rfile.read(int(self.headers['Content-Length']))\n"
        "        self.send_response(200)\n"
        "        self.send_header('Content-Length', '2')\n"
        "        self.end_headers()\n"
        "        self.wfile.write(b'[]')\n"
        "    def log_message(self, *a):\n"
        "        pass\n"
        "block = bytearray(b'x') * 40_000_000\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), H)\n"
        "print(server.server_address[1], flush=True)\n"
        "if os.fork() == 0:\n"
        "    own = bytearray(b'y') * 20_000_000\n"
        "server.serve_forever()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout
        port = int(process.stdout.readline())
        run = run_closed(Load(target=f"http://127.0.0.1:{port}/", workload=texts, most=50), clients=2, seconds=20)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert run.answered == 50
    assert run.server is not None
    assert run.server.processes == 2
    assert 60_000_000 < run.server.pss_bytes < 100_000_000 < run.server.rss_bytes


@pytest.mark.alone
def test_a_generator_that_runs_out_of_connections_is_caught(texts: str) -> None:
    """More than 500 requests under way: the rest would wait in the generator, and be taken for a slow server."""

    def slow(request: dict[str, Any], number: int) -> tuple[int, bytes]:
        time.sleep(3)
        return 200, b'{"entities": []}'

    with serve(slow) as url:
        run = run_open(Load(target=url, workload=texts, deadline_s=5), rate=400, seconds=2, poisson=False)
    assert any("under way at once" in reason for reason in run.invalid)
    assert run.sent == 800  # bounded: what cannot be sent within the deadline is a timeout


def test_an_answer_that_ends_with_the_connection_is_an_answer(texts: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        for _ in range(5):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"entities": []}')

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        run = run_closed(Load(target=url, workload=texts, most=5), clients=1, seconds=20)
    finally:
        thread.join(20)
        listener.close()
    assert (run.answered, run.errors) == (5, {})


def test_all_connections_are_used_alike() -> None:
    """A worker of a server keeps its connections: were a few used more than others, so would be their workers."""
    together, requests = threading.Barrier(4), collections.Counter[int]()

    def answer(request: dict[str, Any], number: int) -> tuple[int, bytes]:
        requests[threading.get_ident()] += 1
        if number < 4:
            together.wait(30)  # four requests at once, so that there are four connections
        return 200, b'{"entities": []}'

    async def ask() -> list[str]:
        target = Http(url, ["a"], body='{"text": {text}}', headers=(), expected=None, deadline_s=60)

        async def one() -> str:
            outcome = asyncio.get_running_loop().create_future()
            target.ask(0, lambda said, arrived: outcome.set_result(said))
            return str(await outcome)

        outcomes = await asyncio.gather(*(one() for _ in range(4)))
        outcomes += [await one() for _ in range(40)]
        target.close()
        return outcomes

    with serve(answer) as url:
        assert len(set(asyncio.run(ask()))) == 1
    assert sorted(requests.values()) == [11] * 4


def test_a_connection_that_is_closed_while_idle_is_opened_again_and_a_cut_answer_is_an_error(texts: str) -> None:
    """After each answer the server ends the connection without a word; every fifth answer is cut short."""
    listener = socket.create_server(("127.0.0.1", 0))
    whole = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"entities": []}'

    def answer() -> None:
        for number in range(20):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(whole[:-4] if number % 5 == 4 else whole)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        run = run_closed(Load(target=url, workload=texts, most=20), clients=1, seconds=60)
    finally:
        thread.join(20)
        listener.close()
    assert (run.answered, run.errors) == (16, {"connection": 4})


def test_a_chunked_answer_in_pieces_is_put_together(texts: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    chunked = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{"entiti\r\n8\r\nes": []}\r\n0\r\n\r\n'

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            for _ in range(6):
                connection.recv(65536)
                for piece in (chunked[:60], chunked[60:70], chunked[70:]):
                    connection.sendall(piece)
                    time.sleep(0.01)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        load = Load(target=url, workload=texts, most=6, expected=tuple([] for _ in range(TEXTS)))
        run = run_closed(load, clients=1, seconds=60)
    finally:
        thread.join(20)
        listener.close()
    assert (run.answered, run.wrong, run.errors) == (6, 0, {})


def test_a_search_limited_by_the_generator_says_so() -> None:
    def record(rate: float, invalid: tuple[str, ...] = ()) -> LoadRecord:
        return LoadRecord(
            target="t",
            machine=describe(),
            rate_per_s=rate,
            arrivals="poisson",
            seconds=30.0,
            sent=400,
            answered=400,
            errors={},
            wrong=0,
            latencies_ms=(1.0,) * 400,
            late_share=0.0,
            lag_p99_ms=0.1,
            generator_cores=0.5,
            invalid=invalid,
        )

    peak = record(100)
    limited = LoadReport(
        target="t", machine=describe(), checked="c", runs=(peak, record(150, ("lagged",))), limit_p95_ms=10, peak=peak
    )
    assert any(note.code == "generator-limit" for note in load_notes(limited))
    free = msgspec.structs.replace(limited, runs=(peak, record(150)))
    assert not any(note.code == "generator-limit" for note in load_notes(free))
