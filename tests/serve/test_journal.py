"""Ids of requests, the access log, and what is counted of requests that no route has seen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slimner import zoo

from .conftest import Server, started

SECRET = "秘密的话"


@pytest.fixture(scope="module")
def logging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an access log."""
    home = tmp_path_factory.mktemp("journal")
    with started(home, str(zoo.bundle()), "--workers", "1", "--deadline", "120", "--access-log") as server:
        yield server


def logged(server: Server, request_id: str) -> list[dict[str, Any]]:
    """Lines of the access log with an id."""
    lines = server.log.read_text(encoding="utf-8").splitlines()
    return [line for line in (json.loads(line) for line in lines if line[:1] == "{") if line["id"] == request_id]


def line_of(server: Server, request_id: str) -> dict[str, Any]:
    assert server.eventually(lambda: bool(logged(server, request_id)))
    (line,) = logged(server, request_id)
    return line


def raw(server: Server, request: bytes) -> bytes:
    with server.connect() as connection:
        connection.sendall(request)
        answer = b""
        while received := connection.recv(65536):
            answer += received
    return answer


def test_an_answer_has_an_id_and_a_line_with_its_steps(logging: Server) -> None:
    body = json.dumps({"texts": [SECRET, SECRET]}).encode()
    status, headers, answer = logging.ask("POST", f"/v1/ner?{'x' * 20}", body, {"X-Request-ID": "from-a-proxy-1"})
    assert (status, headers["x-request-id"]) == (200, "from-a-proxy-1")
    line = line_of(logging, "from-a-proxy-1")
    assert (line["method"], line["route"], line["status"], line["client"]) == ("POST", "/v1/ner", 200, "127.0.0.1")
    assert (line["bytes_in"], line["bytes_out"], line["texts"]) == (len(body), len(answer), 2)
    steps = [line[f"{step}_ms"] for step in ("wait", "tokenize", "infer", "decode")]
    assert 0 < sum(steps) <= line["ms"] + 0.01
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])


@pytest.mark.parametrize("given", ["a b", "a" * 129, SECRET.encode().decode("latin-1"), '"}{"', ""])
def test_an_id_that_is_not_plain_is_replaced(logging: Server, given: str) -> None:
    ids = [logging.ask("GET", "/healthz", headers={"X-Request-ID": given})[1]["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "route"),
    [
        ("POST", "/v1/ner", f'{{"text": "{SECRET}'.encode(), 400, "/v1/ner"),
        ("GET", "/nowhere", None, 404, "unknown"),
        ("GET", "/v1/ner", None, 405, "unknown"),
        ("POST", "/v1/ner", b" " * ((1 << 20) + 1), 413, "refused"),
    ],
)
def test_an_error_names_the_id_that_the_log_has(
    logging: Server, method: str, path: str, body: bytes | None, status: int, route: str
) -> None:
    got, headers, answer = logging.ask(method, path, body)
    problem = json.loads(answer)
    assert (got, problem["request_id"]) == (status, headers["x-request-id"])
    line = line_of(logging, problem["request_id"])
    assert (line["status"], line["route"]) == (status, route)


def test_what_is_not_http_has_an_id_too(logging: Server) -> None:
    head, _, body = raw(logging, b"\x16\x03\x01").partition(b"\r\n\r\n")
    found = re.search(rb"X-Request-ID: ([0-9a-f]{32})", head)
    assert found is not None
    assert json.loads(body)["request_id"] == found[1].decode()
    assert line_of(logging, found[1].decode())["route"] == "refused"


def test_no_text_is_in_the_log_wherever_a_client_puts_it(logging: Server) -> None:
    quoted = "".join(f"%{byte:02X}" for byte in SECRET.encode())
    logging.post({"text": SECRET})
    logging.ask("GET", f"/{quoted}?{quoted}")
    logging.ask("GET", "/healthz", headers={"User-Agent": quoted, "X-Request-ID": f"{quoted}"})
    raw(logging, f"{SECRET} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    raw(logging, f"GET / HTTP/1.1\r\nHost: a\r\n{SECRET}: a\r\n\r\n".encode())
    logging.ask("GET", "/healthz", headers={"X-Request-ID": "the-last"})
    line_of(logging, "the-last")
    log = logging.log.read_text(encoding="utf-8")
    assert SECRET not in log
    assert quoted not in log


def test_without_being_asked_for_there_is_no_access_log_but_an_id(server: Server) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", server.ask("GET", "/healthz")[1]["x-request-id"])
    assert '"route"' not in server.log.read_text(encoding="utf-8")


def test_refusals_before_the_application_are_counted_and_scanners_apart(server: Server) -> None:
    before = server.metrics()

    def grew(series: str) -> float:
        return server.metrics().get(series, 0.0) - before.get(series, 0.0)

    for _ in range(3):
        raw(server, b"\x16\x03\x01")
        server.ask("GET", "/wp-login.php")
        server.ask("POST", "/v1/ner", b" " * ((1 << 20) + 1))
    assert server.eventually(lambda: grew('slimner_requests_total{route="refused",status="400"}') == 3)
    assert server.eventually(lambda: grew('slimner_requests_total{route="refused",status="413"}') == 3)
    assert server.eventually(lambda: grew('slimner_requests_total{route="unknown",status="404"}') == 3)
    assert grew('slimner_errors_total{status="413"}') == 3
    assert grew('slimner_errors_total{status="404"}') == 0


def test_what_is_served_and_the_time_of_each_route_are_told(server: Server) -> None:
    server.get("/healthz")
    server.post({"text": "上海"})
    assert server.eventually(lambda: 'slimner_request_seconds_count{route="/v1/ner"}' in server.metrics())
    told = server.metrics()
    (info,) = [series for series in told if series.startswith("slimner_info")]
    assert re.fullmatch(r'slimner_info\{model="news-zh",variant="onnx-int8",version="[0-9.]+\w*"\}', info)
    assert told["slimner_workers"] == 2
    assert any(series.startswith('slimner_request_seconds_bucket{le="0.003",route="/healthz"') for series in told)
    assert 'slimner_step_seconds_bucket{le="0.0001",step="tokenize"}' in told


def test_an_unforeseen_error_stands_in_the_log_with_its_id(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from slimner.serve import info\ninfo.information = lambda *a: None\n",
        encoding="utf-8",
    )
    with started(tmp_path, str(zoo.bundle()), "--workers", "1", environment={"PYTHONPATH": str(tmp_path)}) as server:
        status, headers, answer = server.ask("GET", "/v1/info")
        assert (status, json.loads(answer)["request_id"]) == (500, headers["x-request-id"])
        assert server.eventually(lambda: headers["x-request-id"] in server.log.read_text(encoding="utf-8"))
        assert "TypeError" in server.log.read_text(encoding="utf-8")
