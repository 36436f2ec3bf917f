"""What `studies/attacks.py` sends, breaks and changes."""

from __future__ import annotations

import json as plain_json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from slimner import zoo
from slimner.core.store import sha256_file, write_json
from slimner.serve.bundle import BUNDLE, Bundle, Session
from slimner.variants import Manifest
from slimner.variants.artifacts import File, describe_files, regular_files

if TYPE_CHECKING:
    from attacks import Server

GOOD = b'{"text": "x"}'
LENGTH = b"Content-Length: %d" % len(GOOD)
REFUSED = frozenset({400})
CLOSE = b"Connection: close"


class Case(NamedTuple):
    """Bytes to send, and the statuses that are right; 0 is a connection that is closed without one."""

    name: str
    data: bytes
    right: frozenset[int]


def request(line: str, *fields: bytes, body: bytes = b"") -> bytes:
    """A request with `Host: a`."""
    return line.encode("latin-1") + b" HTTP/1.1\r\n" + b"\r\n".join((b"Host: a", *fields)) + b"\r\n\r\n" + body


def post(body: bytes, *fields: bytes) -> bytes:
    """A question as the only one on its connection."""
    return request("POST /v1/ner", b"Content-Length: %d" % len(body), CLOSE, *fields, body=body)


def http() -> list[Case]:
    """Requests that are none, or of which a proxy in front may see another end."""
    found: list[Case] = []

    def case(name: str, data: bytes, *right: int) -> None:
        found.append(Case(name, data, frozenset(right) or REFUSED))

    smuggled = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    for coding in ("chunked", " chunked", "\tchunked", "\x0bchunked", "chunked, identity", "xchunked", '"chunked"', ""):
        data = request("POST /v1/ner", LENGTH, b"Transfer-Encoding:" + coding.encode(), body=smuggled)
        case(f"length and coding {coding!r}", data, 400, 501)
    chunked = b"%x\r\n" % len(GOOD) + GOOD + b"\r\n0\r\n\r\n"
    for coding in ("gzip, chunked", "chunked, chunked", "chunked;q=1"):
        field = f"Transfer-Encoding: {coding}".encode()
        case(f"coding {coding!r}", request("POST /v1/ner", field, CLOSE, body=chunked), 400, 501)
    for name in (b"Transfer-Encoding ", b" Transfer-Encoding", b"Transfer-Encoding\x00", b"Transfer_Encoding"):
        case(f"field {name!r}", request("POST /v1/ner", LENGTH, name + b": chunked", body=GOOD))
    for length in ("+13", "-1", "0x0d", "1_3", "13, 13", "13.0", "1e1", "", "²", "13\x0b", "9" * 5000):
        case(
            f"length {length[:9]!r}", request("POST /v1/ner", f"Content-Length: {length}".encode("latin-1"), body=GOOD)
        )
    for length in ("99999999999", str(1 << 63)):
        case(f"length {length}", request("POST /v1/ner", f"Content-Length: {length}".encode()), 400, 413)
    case("two lengths", request("POST /v1/ner", LENGTH, LENGTH, body=GOOD))
    case("two hosts", request("GET /healthz", b"Host: b"))
    case("no host", b"GET /healthz HTTP/1.1\r\n\r\n")
    for chunk in (
        b"zz\r\n",
        b"-1\r\n",
        b"0x1\r\na\r\n",
        b"d \n" + GOOD,
        b"ffffffffffffffff1\r\n",
        b"1;a=\x00\r\na\r\n",
    ):
        data = request("POST /v1/ner", b"Transfer-Encoding: chunked", body=chunk + b"0\r\n\r\n")
        case(f"chunk {chunk[:8]!r}", data, 400, 413)
    case(
        "3 MB in chunks",
        request("POST /v1/ner", b"Transfer-Encoding: chunked", body=b"%x\r\n" % 3_000_000 + b" " * 3_000_000),
        413,
    )
    for end in (b"\n", b"\r", b"\n\r"):
        case(
            f"lines end with {end!r}",
            b"POST /v1/ner HTTP/1.1" + end + b"Host: a" + end + LENGTH + end + end + GOOD,
            400,
            408,
        )
    for line in (
        "post /v1/ner",
        "GET",
        "GET  /healthz",
        "GET /\x00",
        "GET /\xe9",
        "G\tT /",
        "A" * 40 + " /",
        "GET http://[::1/",
    ):
        case(f"line {line[:12]!r}", request(line), 400, 501)
    for version in (b"2.0", b"1.2", b"0.9", b"1.", b"1.1.1", b"x"):
        case(f"version {version!r}", b"GET /healthz HTTP/" + version + b"\r\nHost: a\r\n\r\n", 400, 505)
    for field in (
        b"a b: c",
        b": c",
        b"nocolon",
        b"a\x00: b",
        b"a: b\x00",
        b"a: b\r\n c",
        b"SCRIPT_NAME: /x",
        b"REMOTE_USER: a",
    ):
        case(f"field {field[:12]!r}", request("GET /healthz", field))
    case("address of 9,000", request("GET /" + "a" * 9000), 414)
    case("field of 20,000", request("GET /healthz", b"X: " + b"a" * 20_000), 431)
    case("3,000 fields", request("GET /healthz", *[b"X: a"] * 3000), 431)
    case("a header of 5 MB", request("GET /healthz", b"X: " + b"a" * 5_000_000), 431)
    case("another expectation", request("POST /v1/ner", LENGTH, b"Expect: a", body=GOOD), 417)
    case("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    case("TLS", bytes.fromhex("16030100c8010000c40303") + random.Random(1).randbytes(200), 400, 0)
    case("noise", random.Random(2).randbytes(4000), 400, 0)
    case("line ends", b"\r\n" * 2000)
    for path in (
        "/assets/../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/%zz%00",
        "/v1//info",
        "//evil/healthz",
    ):
        case(f"path {path[:20]}", request(f"GET {path}", CLOSE), 308, 400, 404)
    for method in ("TRACE", "CONNECT", "OPTIONS", "PUT"):
        case(method, request(f"{method} /v1/ner", CLOSE), 400, 405)
    return found


def json() -> list[Case]:
    """Bodies that are no question, or one that is too large."""
    deep = 100_000
    bodies: dict[str, tuple[bytes, int]] = {
        "nothing": (b"", 400),
        "null": (b"null", 400),
        "more behind it": (GOOD + b"{}", 400),
        "NaN": (b'{"text": NaN}', 400),
        "a number beyond": (b'{"text": 1e400}', 400),
        "900,000 digits": (b'{"text": ' + b"9" * 900_000 + b"}", 400),
        "deep lists": (b'{"text": ' + b"[" * deep + b"]" * deep + b"}", 400),
        "deep objects": (b'{"a":' * deep, 400),
        "an unknown field": (b'{"x": 1}', 400),
        "a field of 900,000": (b'{"' + b"f" * 900_000 + b'": 1}', 400),
        "a field with line ends": (b'{"\\r\\nX: y": 1}', 400),
        "half a pair as a field": (b'{"\\ud800": 1}', 400),
        "half a pair in a text": (b'{"text": "a\\ud800b"}', 200),
        "both": (b'{"text": "x", "texts": ["y"]}', 400),
        "UTF-16": ('{"text": "x"}'.encode("utf-16"), 400),
        "GB 18030": ('{"text": "上海"}'.encode("gb18030"), 400),
        "surrogates in UTF-8": (b'{"text": "\xed\xa0\x80"}', 400),
        "overlong UTF-8": (b'{"text": "\xc0\xaf"}', 400),
        "a zero byte": (b'{"text": "a\x00b"}', 400),
        "a mark before it": (b"\xef\xbb\xbf" + GOOD, 200),
        "65 texts": (plain_json.dumps({"texts": ["x"] * 65}).encode(), 422),
        "250,000 texts": (plain_json.dumps({"texts": [""] * 250_000}).encode(), 422),
        "20,001 characters": (plain_json.dumps({"text": "x" * 20_001}).encode(), 422),
        "2,000 characters that become 36,000": (plain_json.dumps({"text": "\ufdfa" * 2000}).encode(), 422),
        "combining marks of two kinds": (plain_json.dumps({"text": "\u0301\u0323" * 10_000}).encode(), 200),
        "combining marks": (plain_json.dumps({"text": "a" + "\u0301" * 19_000}).encode(), 200),
        "no word ends": (plain_json.dumps({"text": "a" * 20_000}).encode(), 200),
        "spaces": (plain_json.dumps({"text": " " * 20_000}).encode(), 200),
        "every plane": (plain_json.dumps({"text": "".join(map(chr, range(0x20000, 0x22000)))}).encode(), 200),
    }
    found = [Case(name, post(body), frozenset({status})) for name, (body, status) in bodies.items()]
    for field in (
        b"Content-Encoding: gzip",
        b"Content-Type: text/plain",
        b"Content-Type: multipart/form-data; boundary=a",
    ):
        found.append(Case(field.decode(), post(GOOD, field), frozenset({415})))
    return found


def doors(token: str) -> list[tuple[str, str, str, dict[str, str], int]]:
    """Name, method, path, headers, and the right status at a server with this token."""
    right = {"Authorization": f"Bearer {token}"}
    ask = ("POST", "/v1/ner")
    found: list[tuple[str, str, str, dict[str, str], int]] = []
    for host in ("evil.example", "127.0.0.1.evil.example", "EVIL.example.:80", "203.0.113.7"):
        for method, path in (ask, ("GET", "/v1/info"), ("GET", "/metrics"), ("GET", "/")):
            found.append((f"host {host} {path}", method, path, right | {"Host": host}, 421))
    for origin in ("http://evil.example", "null", "http://127.0.0.1.evil.example", "http://localhost:1"):
        for kind in ("application/json", "text/plain"):
            found.append((f"origin {origin}", *ask, right | {"Origin": origin, "Content-Type": kind}, 403))
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=gbk",
    ):
        found.append((f"type {kind}", *ask, right | {"Content-Type": kind}, 415))
    for given in (
        "",
        "Bearer",
        f"Bearer  {token}",
        f"Bearer {token}x",
        f"Basic {token}",
        token,
        f"Bearer {token[:-1]}",
    ):
        found.append((f"token {given[:9]}", *ask, {"Authorization": given}, 401))
    for path in ("/v1/info", "/v1/inf%6f", "/V1/INFO", "/v1//info", "/metrics", "/metrics/", "//metrics", "/nowhere"):
        found += [(f"{method} {path}", method, path, {}, 401) for method in ("GET", "HEAD", "OPTIONS")]
    found += [(f"public {path}", "GET", path, {}, 200) for path in ("/", "/healthz", "/readyz", "/openapi.json")]
    found += [("the token", *ask, right, 200), ("in small letters", *ask, {"Authorization": f"bearer {token}"}, 200)]
    return found


def copy(place: Path) -> Path:
    """A copy of the embedded bundle that may be changed."""
    return Path(shutil.copytree(zoo.bundle(), place / "bundle"))


def _killed(server: Server, bundle: Path) -> int:
    os.kill(server.workers[0], signal.SIGKILL)
    time.sleep(3)
    return 4


def _stopped(server: Server, bundle: Path) -> int:
    worker = server.workers[0]
    os.kill(worker, signal.SIGSTOP)
    end = time.monotonic() + 35
    while worker in server.workers and time.monotonic() < end:
        time.sleep(0.2)
    time.sleep(2)
    return 4 if worker not in server.workers else -1000


def _ended(server: Server, bundle: Path) -> int:
    server.process.terminate()
    server.process.wait(60)
    return 0


def _reloaded(server: Server, bundle: Path) -> int:
    before = set(server.workers)
    server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 60
    while before & set(server.workers) and time.monotonic() < end:
        time.sleep(0.2)
    return 0


def _overwritten(server: Server, bundle: Path) -> int:
    path = bundle / "model" / "model.onnx.data"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 4)
        file.write(random.Random(3).randbytes(path.stat().st_size // 2))
    os.kill(server.workers[0], signal.SIGKILL)
    time.sleep(3)
    return 4


def _cut(server: Server, bundle: Path) -> int:
    os.truncate(bundle / "model" / "model.onnx.data", 0)
    time.sleep(3)
    return 0


def _removed(server: Server, bundle: Path) -> int:
    shutil.rmtree(bundle)
    os.kill(server.workers[0], signal.SIGKILL)
    time.sleep(3)
    return 4


FAULTS: dict[str, Callable[[Server, Path], int]] = {
    "a worker killed (SIGKILL)": _killed,
    "a worker that hangs (SIGSTOP)": _stopped,
    "the end (SIGTERM)": _ended,
    "another bundle (SIGHUP)": _reloaded,
    "weights overwritten, a worker killed": _overwritten,
    "weights cut to nothing": _cut,
    "the bundle removed, a worker killed": _removed,
}
"""Each with how many requests may be lost with their connection: one a client, where a worker dies."""


def _sealed(bundle: Path, manifest: dict[str, Any] | None = None, **changes: Any) -> None:
    model = bundle / "model"
    described = msgspec.json.decode((model / "manifest.json").read_bytes(), type=Manifest)
    fields: dict[str, Any] = {"files": describe_files(model), **(manifest or {})}
    write_json(model / "manifest.json", msgspec.structs.replace(described, **fields).sealed())
    there = sorted(set(regular_files(bundle)) - {BUNDLE})
    files = {n: File(sha256=sha256_file(bundle / n), size_bytes=(bundle / n).stat().st_size) for n in there}
    whole = msgspec.json.decode((bundle / BUNDLE).read_bytes(), type=Bundle)
    write_json(bundle / BUNDLE, msgspec.structs.replace(whole, **{"files": files, **changes}).sealed())


def _written(name: str, content: bytes) -> Callable[[Path], None]:
    def harm(bundle: Path) -> None:
        (bundle / name).write_bytes(content)
        _sealed(bundle)

    return harm


def _linked(bundle: Path) -> None:
    (bundle / "model" / "tokenizer.json").rename(bundle.parent / "t")
    (bundle / "model" / "tokenizer.json").symlink_to(bundle.parent / "t")


def _outside(name: str) -> Callable[[Path], None]:
    def harm(bundle: Path) -> None:
        whole = msgspec.json.decode((bundle / BUNDLE).read_bytes(), type=Bundle)
        _sealed(bundle, files={**whole.files, name: File(sha256="0", size_bytes=1)})

    return harm


BUNDLES: dict[str, Callable[[Path], None]] = {
    "options in requirements": _written("requirements.txt", b"--index-url http://127.0.0.1:9/\n"),
    "an address in requirements": _written("requirements.txt", b"flask @ http://127.0.0.1:9/flask.whl\n"),
    "no golden text": _written("golden.json", b"[]"),
    "deep golden texts": _written("golden.json", b"[" * 300_000),
    "a million threads": lambda bundle: _sealed(bundle, session=Session(threads=10**6, options={})),
    "no thread": lambda bundle: _sealed(bundle, session=Session(threads=0, options={})),
    "no window": lambda bundle: _sealed(bundle, {"window": 0}),
    "a window beyond": lambda bundle: _sealed(bundle, {"window": 10**9}),
    "a window beyond the model's": lambda bundle: _sealed(bundle, {"window": 60_000}),
    "another variant's path": lambda bundle: _sealed(bundle, {"variant": "../../evil"}),
    "no graph": _written("model/model.onnx", b""),
    "noise for a graph": _written("model/model.onnx", random.Random(4).randbytes(5000)),
    "noise for weights": _written("model/model.onnx.data", random.Random(5).randbytes(3_300_000)),
    "no tokenizer": _written("model/tokenizer.json", b"{}"),
    "a link": _linked,
    "a pipe": lambda bundle: os.mkfifo(bundle / "pipe"),
    "a file above": _outside("../../etc/passwd"),
    "a file from the root": _outside("/etc/passwd"),
    "a name with commands": lambda bundle: (bundle / "\x1b[2J\nerror: x").touch(),
    "a damaged manifest": lambda bundle: (bundle / BUNDLE).write_bytes(b'{"a":' + b"[" * 500_000),
    "a manifest of 5 MB": lambda bundle: (bundle / BUNDLE).write_bytes(b'{"a":"' + b"x" * (5 << 20) + b'"}'),
}
