"""The server as others run it: the unit that systemd starts, and nginx in front of a real server."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slimner import zoo

from ..serve.conftest import Server, started

DEPLOY = Path(__file__).parents[2] / "deploy"
TEXT = "外交部发言人说，法国总统马克龙将于下周访问上海。"
NAME = "ner.example.org"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that there is here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here (apt-get install systemd)")
    written = (DEPLOY / "systemd" / "slimner.service").read_text(encoding="utf-8")
    unit = tmp_path / "slimner.service"
    unit.write_text(written.replace("/opt/slimner/bin/slimner", sys.executable), encoding="utf-8")
    return unit


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_unit_is_one_that_systemd_takes_and_a_mistake_is_told(unit: Path) -> None:
    verified = analyze("verify", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")
    unit.write_text(unit.read_text(encoding="utf-8").replace("PrivateTmp=yes", "PrivateTemp=yes"), encoding="utf-8")
    assert "PrivateTemp" in analyze("verify", str(unit)).stderr


def test_the_unit_exposes_little_by_the_count_of_systemd(unit: Path) -> None:
    found = analyze("security", "--offline=yes", "--threshold=15", str(unit))  # in tenths
    assert found.returncode == 0, found.stdout[-2000:]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Front:
    """A started nginx, asked over TLS with its own certificate."""

    def __init__(self, port: int, certificate: Path, log: Path) -> None:
        self.port, self.log = port, log
        self.context = ssl.create_default_context(cafile=str(certificate))
        self.context.check_hostname = False

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        source: str = "127.0.0.1",
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=60, context=self.context, source_address=(source, 0)
        )
        try:
            connection.request(method, path, body, {"Host": NAME, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Front, Server]]:
    """The example's nginx, with ports and files of this test, and our server behind it."""
    for program in ("nginx", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here (apt-get install nginx-light openssl)")
    home = tmp_path_factory.mktemp("nginx")
    key, certificate, log = home / "key.pem", home / "certificate.pem", home / "access.log"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"),
            *("-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    port = free_port()
    arguments = (str(zoo.bundle()), "--workers", "1", "--deadline", "120", "--access-log")
    arguments += ("--allow-host", NAME, "--proxy", "127.0.0.1")
    with started(home, *arguments) as server:
        site = (DEPLOY / "nginx" / "slimner.conf").read_text(encoding="utf-8")
        for theirs, ours in {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "127.0.0.1:7860": f"127.0.0.1:{server.port}",
            f"/etc/ssl/certs/{NAME}.pem": str(certificate),
            f"/etc/ssl/private/{NAME}.key": str(key),
            "/var/log/nginx/slimner.log": str(log),
        }.items():
            assert site.count(theirs) == 1, theirs
            site = site.replace(theirs, ours)
        temporary = "\n".join(
            f"{kind}_temp_path {home}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        whole = home / "nginx.conf"
        whole.write_text(
            f"daemon off;\npid {home}/pid;\nerror_log {home}/error.log;\nworker_processes 1;\nevents {{}}\n"
            f"http {{\n{temporary}\n{site}\n}}\n",
            encoding="utf-8",
        )
        command = ["nginx", "-p", str(home), "-e", f"{home}/error.log", "-c", str(whole)]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=60, check=False)
        assert checked.returncode == 0, checked.stderr
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            front = Front(port, certificate, log)

            def up() -> bool:
                try:
                    return front.ask("GET", "/readyz")[0] == 200
                except OSError:
                    return False

            assert server.eventually(up), (home / "error.log").read_text(encoding="utf-8")
            yield front, server
        finally:
            process.terminate()
            process.wait(30)


def test_an_answer_through_nginx_is_the_servers(behind: tuple[Front, Server]) -> None:
    front, server = behind
    body = json.dumps({"text": TEXT}).encode()
    status, headers, answer = front.ask("POST", "/v1/ner", body)
    assert status == 200
    assert json.loads(answer)["entities"] == server.post({"text": TEXT})[1]["entities"]
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "nginx/" not in headers["server"]
    assert front.ask("GET", "/")[0] == 200


def test_errors_keep_their_reason_and_what_is_not_for_everybody_is_not_there(behind: tuple[Front, Server]) -> None:
    front, _ = behind
    status, headers, answer = front.ask("POST", "/v1/ner", b"{")
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(answer)["remedy"]
    assert front.ask("GET", "/metrics")[0] == 404
    assert front.ask("POST", "/v1/ner", b" " * ((1 << 20) + 1))[0] == 413


def test_a_connection_that_the_server_has_closed_loses_no_request(behind: tuple[Front, Server]) -> None:
    front, server = behind
    body = json.dumps({"text": TEXT}).encode()
    assert front.ask("POST", "/v1/ner", body)[0] == 200  # nginx keeps a connection to the server
    worker = server.workers[0]
    subprocess.run(["kill", "-KILL", str(worker)], check=True)
    assert server.eventually(lambda: server.workers not in ([], [worker]))
    assert server.eventually(lambda: front.ask("GET", "/readyz")[0] == 200)
    assert front.ask("POST", "/v1/ner", body)[0] == 200


def test_clients_beyond_the_rate_are_told_so(behind: tuple[Front, Server]) -> None:
    front, server = behind
    limit = re.search(r"burst=(\d+)", (DEPLOY / "nginx" / "slimner.conf").read_text(encoding="utf-8"))
    assert limit is not None
    most = 20 * int(limit[1])
    statuses: list[int] = []
    connection = http.client.HTTPSConnection("127.0.0.1", front.port, timeout=60, context=front.context)
    while len(statuses) < most and 429 not in statuses:
        connection.request("GET", "/healthz", headers={"Host": NAME})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    assert set(statuses) == {200, 429}
    time.sleep(0.1)  # five requests at the example's rate
    assert server.eventually(lambda: front.ask("GET", "/healthz")[0] == 200)


def test_both_logs_tell_of_the_same_request_and_of_who_asked(behind: tuple[Front, Server]) -> None:
    front, server = behind
    assert server.eventually(lambda: front.ask("GET", "/healthz")[0] == 200)
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "mine"}
    told = front.ask("GET", "/v1/info", headers=forged, source="127.0.0.2")[1]["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", told)
    for log in (front.log, server.log):
        assert server.eventually(lambda log=log: told in log.read_text(encoding="utf-8"))
        (line,) = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if told in line]
        assert (line["status"], line["client"]) == (200, "127.0.0.2")


def test_the_log_of_nginx_has_an_id_for_each_request_and_no_text(behind: tuple[Front, Server]) -> None:
    front, server = behind
    assert server.eventually(lambda: front.ask("POST", "/v1/ner?secret", b'{"text": "secret"}')[0] == 200)
    lines: list[dict[str, Any]] = [json.loads(line) for line in front.log.read_text(encoding="utf-8").splitlines()]
    assert all(re.fullmatch(r"[0-9a-f]{32}", line["id"]) for line in lines)
    assert "secret" not in front.log.read_text(encoding="utf-8")
