"""Who may ask: hosts, origins, tokens, forms of a body, proxies; and tokens that are not as they should be."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slimner import zoo
from slimner.core.errors import UserError
from slimner.serve.bundle import open_served
from slimner.serve.doors import HOST, Doors, WrongTokens, hosts, networks, origins
from slimner.serve.settings import from_environment
from slimner.variants import open_predictor

from .conftest import Server, started

TEXT = "法国总统马克龙将于下周访问上海。"
BODY = json.dumps({"text": TEXT}).encode()
TOKEN = "a-token-of-more-than-16-characters-密"
BEARER = f"Bearer {TOKEN}".encode().decode("latin-1")


def asked(server: Server, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str]]:
    """One request with just these headers (`_` for `-`): status and headers of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a token in its environment, other names, one allowed origin, and a proxy that is believed."""
    environment = {
        "SLIMNER_TOKEN": TOKEN,
        "SLIMNER_ALLOW_HOST": "ner.example.org .example.net",
        "SLIMNER_ALLOW_ORIGIN": "https://app.example.org",
        "SLIMNER_PROXY": "127.0.0.2/32",
    }
    with started(tmp_path_factory.mktemp("guarded"), "--workers", "1", environment=environment) as server:
        yield server


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7860", 200),
        ("127.0.0.1", 200),
        ("[::1]:7860", 200),
        ("slimner", 200),
        ("ner.localhost.", 200),
        ("evil.example:80", 421),
        ("EVIL.example.", 421),
        ("127.0.0.1.evil.example", 421),
        ("203.0.113.7", 421),
        ("", 400),
        ("a b/c@d", 400),
        ("localhost:port", 400),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/ner"), ("GET", "/v1/info"), ("GET", "/healthz")])
def test_a_name_that_does_not_lead_here_is_refused(
    server: Server, host: str, status: int, method: str, path: str
) -> None:
    assert asked(server, method, path, BODY if method == "POST" else b"", Host=host)[0] == status


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (b"http://a/healthz", 200),
        (b"HTTPS://localhost:1/healthz", 200),
        (b"http://evil.example/healthz", 421),
        (b"http://x:y@a/healthz", 400),
        (b"ftp://a/healthz", 400),
        (b"a:80", 400),
    ],
)
def test_a_host_in_the_address_goes_before_the_header(server: Server, address: bytes, status: int) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET " + address + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert int(connection.recv(4096).split()[1]) == status


def test_a_request_without_a_host_is_one_of_http_1_0(server: Server) -> None:
    for version, status in ((b"1.0", b"200"), (b"1.1", b"400")):
        with server.connect() as connection:
            connection.sendall(b"GET /healthz HTTP/" + version + b"\r\nConnection: close\r\n\r\n")
            assert connection.recv(4096).split()[1] == status


@given(st.text("abcdefgxyz0189-.", min_size=1, max_size=30))
def test_no_name_that_somebody_may_have_registered_is_known(name: str) -> None:
    doors = Doors(host="127.0.0.1", token="", allow_host=("ner.example.org", ".example.net"))
    known = doors._known(name)
    registered = re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z-]+", name)
    assert not (known and registered and not name.endswith((".example.net", "ner.example.org", ".localhost")))
    assert doors._known(f"{name}.example.net")
    assert HOST.fullmatch(name)


def test_a_server_that_others_reach_is_asked_by_any_address_but_not_by_any_name() -> None:
    doors = Doors(host="0.0.0.0", token="")
    assert all(map(doors._known, ("192.0.2.7", "[2001:db8::1]", "ner", "localhost")))
    assert not doors._known("ner.example.org")
    assert Doors(host="0.0.0.0", token="", allow_host=("*",))._known("ner.example.org")
    assert Doors(host="ner.example.org", token="")._known("ner.example.org")


EVIL = {"Origin": "https://evil.example"}
CROSS = {"Sec_Fetch_Site": "cross-site"}


@pytest.mark.parametrize("headers", [EVIL, CROSS, EVIL | CROSS, {"Origin": "null"}, {"Sec_Fetch_Site": "same-site"}])
def test_a_page_of_another_site_drives_nothing(server: Server, headers: dict[str, str]) -> None:
    before = server.metrics()["slimner_texts_total"]
    for kind in ("text/plain", "application/json"):
        status, answered = asked(server, "POST", "/v1/ner", BODY, Content_Type=kind, **headers)
        assert status == 403
        assert "access-control-allow-origin" not in answered
    assert asked(server, "GET", "/v1/info", **headers)[0] == 403
    assert asked(server, "GET", "/metrics", **headers)[0] == 403
    assert asked(server, "OPTIONS", "/v1/ner", Access_Control_Request_Method="POST", **headers)[0] == 403
    assert asked(server, "GET", "/", **headers)[0] == 200  # a link leads to the page
    assert server.metrics()["slimner_texts_total"] == before


def test_the_own_page_and_programs_may_ask(server: Server) -> None:
    own = {"Origin": server.url, "Content_Type": "application/json"}
    for headers in ({}, own, own | {"Sec_Fetch_Site": "same-origin"}, {"Sec_Fetch_Site": "none"}):
        assert asked(server, "POST", "/v1/ner", BODY, **headers)[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Content_Type": "application/json"}, 200),
        ({"Content_Type": "Application/JSON; charset=UTF-8"}, 200),
        ({"Content_Type": "application/vnd.api+json"}, 200),
        ({"Content_Type": "application/json; charset=gbk"}, 415),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": "multipart/form-data; boundary=a"}, 415),
        ({"Content_Type": ""}, 415),
        ({"Content_Encoding": "identity"}, 200),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content_Encoding": "br, gzip"}, 415),
    ],
)
def test_a_body_is_json_as_it_is(server: Server, headers: dict[str, str], status: int) -> None:
    assert asked(server, "POST", "/v1/ner", BODY, **headers)[0] == status


def test_a_byte_order_mark_is_skipped_and_half_a_pair_of_surrogates_answered_as_offline(server: Server) -> None:
    status, _, answer = server.ask("POST", "/v1/ner", b"\xef\xbb\xbf" + BODY)
    assert (status, json.loads(answer)["entities"]) == (200, server.post({"text": TEXT})[1]["entities"])
    predict = open_predictor(open_served(zoo.bundle()).model)
    for text in ("法国\ud800总统马克龙访问上海", "a\ud800b", "\udc00"):  # the second is an entity of its own
        status, _, answer = server.ask("POST", "/v1/ner", json.dumps({"text": text}).encode())
        assert status == 200
        assert json.loads(answer)["entities"] == [msgspec.to_builtins(entity) for entity in predict(text)]
    for body in (b'{"\\ud800": 1}', b'{"text": "\\ud800", "x": NaN}', b'{"text": "\\ud800"' + b"[" * 100_000):
        assert server.ask("POST", "/v1/ner", body)[0] == 400


def test_no_header_names_the_software_below(server: Server) -> None:
    for path in ("/", "/healthz", "/nowhere"):
        assert asked(server, "GET", path)[1]["server"] == "slimner"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (BEARER, 200),
        (BEARER.replace("Bearer", "bEARER"), 200),
        (f"{BEARER} ", 200),
        (BEARER.replace(" ", "  "), 401),
        (BEARER[:-1], 401),
        (BEARER + "x", 401),
        (TOKEN.encode().decode("latin-1"), 401),
        (f"Basic {BEARER}", 401),
        ("Bearer", 401),
        ("", 401),
    ],
)
def test_the_token_is_the_whole_token(guarded: Server, given: str, status: int) -> None:
    got, headers = asked(guarded, "POST", "/v1/ner", BODY, Authorization=given)
    assert got == status
    assert headers.get("www-authenticate") == (None if status == 200 else "Bearer")


def test_what_is_not_on_the_list_of_public_routes_asks_for_the_token(guarded: Server) -> None:
    for path in ("/", "/healthz", "/readyz", "/openapi.json"):
        assert asked(guarded, "GET", path)[0] == 200
    for path in ("/v1/info", "/v1/inf%6f", "/metrics", "/v1/info/", "/V1/INFO", "//metrics", "/nowhere", "/v1/ner"):
        assert asked(guarded, "GET", path)[0] == 401
        assert asked(guarded, "HEAD", path)[0] == 401
    assert asked(guarded, "GET", "/nowhere", Authorization=BEARER)[0] == 404
    assert asked(guarded, "GET", "/metrics", Authorization=BEARER)[0] == 200


def test_wrong_tokens_are_counted_and_told_in_the_log_without_flooding_it(guarded: Server) -> None:
    def counted() -> float:
        _, _, body = guarded.ask("GET", "/metrics", headers={"Authorization": BEARER})
        found = re.search(rb'slimner_errors_total\{status="401"\} ([\d.]+)', body)
        return float(found[1]) if found else 0.0

    before = counted()
    for i in range(30):
        asked(guarded, "POST", "/v1/ner", BODY, Authorization=f"Bearer guess-{i}")
    assert guarded.eventually(lambda: counted() == before + 30)
    lines = [line for line in guarded.log.read_text().splitlines() if "401" in line]
    assert 1 <= len(lines) < 10
    assert "127.0.0.1" in lines[0]
    assert "guess" not in guarded.log.read_text()


def test_the_count_of_wrong_tokens_misses_none(caplog: pytest.LogCaptureFixture) -> None:
    wrong = WrongTokens()
    for _ in range(5):
        wrong.tell("192.0.2.1")
    wrong._told -= 3600
    wrong.tell("192.0.2.2")
    assert [record.getMessage() for record in caplog.records] == [
        "401: 1 request with a wrong token, the last from 192.0.2.1",
        "401: 5 requests with a wrong token, the last from 192.0.2.2",
    ]


def test_the_token_is_not_in_the_environment_of_any_process(guarded: Server) -> None:
    for process in (guarded.process.pid, *guarded.workers):
        environment = Path(f"/proc/{process}/environ").read_bytes()
        assert b"SLIMNER_HOST=" in environment
        assert TOKEN.encode() not in environment


def test_an_allowed_origin_may_ask_and_read(guarded: Server) -> None:
    page = {"Origin": "https://app.example.org", "Sec_Fetch_Site": "cross-site"}
    status, headers = asked(
        guarded,
        "OPTIONS",
        "/v1/ner",
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization,content-type",
        **page,
    )
    assert (status, headers["access-control-allow-origin"]) == (204, "https://app.example.org")
    assert {"Authorization", "Content-Type"} <= set(headers["access-control-allow-headers"].split(", "))
    assert headers["vary"] == "Origin"
    for token, status in ((BEARER, 200), ("Bearer no", 401)):
        sent = page | {"Authorization": token, "Content_Type": "application/json"}
        got, headers = asked(guarded, "POST", "/v1/ner", BODY, **sent)
        assert (got, headers["access-control-allow-origin"]) == (status, "https://app.example.org")
    for other in ("https://app.example.org.evil.example", "http://app.example.org", "null"):
        got, headers = asked(guarded, "POST", "/v1/ner", BODY, Origin=other, Authorization=BEARER)
        assert got == 403
        assert "access-control-allow-origin" not in headers


def test_allowed_names_are_names_of_this_server(guarded: Server) -> None:
    for host, status in (("ner.example.org", 200), ("a.example.net:80", 200), ("x.ner.example.org", 421)):
        assert asked(guarded, "GET", "/v1/info", Host=host, Authorization=BEARER)[0] == status


def test_forwarded_headers_count_only_from_a_proxy_that_was_named(guarded: Server) -> None:
    forwarded = b"X-Forwarded-Host: evil.example\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Prefix: /ner\r\n"
    for source, status in (("127.0.0.1", b"200"), ("127.0.0.2", b"421")):
        with socket.create_connection(("127.0.0.1", guarded.port), 60, (source, 0)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + forwarded + b"\r\n")
            assert connection.recv(4096).split()[1] == status
    for name in ("SCRIPT_NAME", "PATH_INFO", "REMOTE_USER"):
        with guarded.connect() as connection:
            connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: a\r\n{name}: /metrics\r\n\r\n".encode())
            assert connection.recv(4096).split()[1] == b"400"


def refused(directory: Path, *arguments: str, **environment: str) -> str:
    """What `slimner serve` says when it ends with exit code 2."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from slimner.cli.main import main; main()", "serve", "--port", "0", *arguments],
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_token_that_is_named_but_missing_or_short_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    assert "is empty" in refused(tmp_path, "--token-file", "empty")
    for environment, said in (
        ({"TOKEN": ""}, "SLIMNER_TOKEN is set, but empty"),
        ({"TOKEN_FILE": " "}, "SLIMNER_TOKEN_FILE is set, but empty"),
        ({"TOKEN_FILE": "/no/file"}, "no such file"),
        ({"TOKEN": "secret", "HOST": "0.0.0.0"}, "the token is short"),
    ):
        with pytest.raises(UserError, match=said):
            from_environment({f"SLIMNER_{name}": value for name, value in environment.items()})
    assert from_environment({"SLIMNER_TOKEN": "secret"}).token == "secret"  # on this machine it is only warned of


@pytest.mark.parametrize(
    ("parse", "right", "wrong"),
    [
        (hosts, ("ner.example.org", ".example.org", "*", "ner"), ("http://a", "a:80", "a/b", "a..b", "a*")),
        (
            origins,
            ("https://example.org", "http://a:8080", "null", "*"),
            ("example.org", "https://a/", "https://a b/c"),
        ),
        (networks, ("10.0.0.1", "10.0.0.0/8", "::1"), ("10.0.0.1/8", "proxy", "300.0.0.1")),
    ],
)
def test_settings_name_what_does_not_fit(parse: object, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    assert callable(parse)
    assert len(parse(", ".join(right))) == len(right)
    assert parse("") == ()
    for one in wrong:
        with pytest.raises(ValueError, match=re.escape(one.split()[-1].split("/")[0][:5])):
            parse(one)
