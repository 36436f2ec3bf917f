"""What a server does under attack, on loopback: what was tried, what came out right, wrong, and as a 5xx.

    python studies/attacks.py                                    # all kinds, and their table; eight minutes
    python studies/attacks.py --out docs/evidence/attacks.md     # the table put under "Found" of that page
    python studies/attacks.py http slow                          # some kinds

Each kind starts a server of its own, as users start it, with two workers and the embedded bundle. It sends only to
addresses of this machine, a bounded number of requests for a bounded time.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import http.client
import json
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import attack_requests
from attacked import Server, started
from common import where_and_when
from slimner.core.store import write_text
from slimner.reports.tables import markdown

TEXT = "法国总统马克龙将于下周访问上海。"
SMALL = json.dumps({"text": TEXT}, ensure_ascii=False).encode()
GREATEST = json.dumps({"texts": [(TEXT * 1300)[:20_000]] * 17}, ensure_ascii=False).encode()
HEADING = "## Found"
PROBE_S = 1.0
"""A probe that takes longer is wrong."""


class Outcome(NamedTuple):
    """One row: of `tried`, how many came out wrong, and how many as a 5xx; and a figure."""

    attack: str
    tried: int
    wrong: int
    fives: int
    figure: str = ""


def probed(attack: str, server: Server, seconds: float, each: Callable[[], None] = lambda: None) -> Outcome:
    """/healthz and a small text, asked again and again while something else goes on."""
    took: list[float] = []
    wrong = fives = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for method, path, body in (("GET", "/healthz", None), ("POST", "/v1/ner", SMALL)):
            begun = time.monotonic()
            status = server.status(method, path, body)
            took.append(time.monotonic() - begun)
            wrong += status != 200 or took[-1] > PROBE_S
            fives += status >= 500
        each()
        time.sleep(0.1)
    return Outcome(attack, len(took), wrong, fives, f"p95 {percentile(took, 95) * 1000:.0f} ms")


def percentile(values: list[float], share: int) -> float:
    """A percentile of at least two values."""
    return statistics.quantiles(values, n=100)[share - 1]


def requests() -> Iterator[Outcome]:
    """Malformed and hostile requests and bodies: each refused by name, none answered twice, no worker lost."""
    with started() as server:
        before = sorted(server.workers)
        for kind, cases in (
            ("HTTP that is none", attack_requests.http()),
            ("JSON that is none", attack_requests.json()),
        ):
            wrong = fives = 0
            for name, data, right in cases:
                said = server.raw(data)
                statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said) if status != b"100"]
                fives += any(status >= 500 and status not in right for status in statuses)
                if len(statuses) > 1 or not set(statuses or [0]) <= right:
                    wrong += 1
                    print(f"  wrong: {name}: {statuses}", file=sys.stderr)
            yield Outcome(kind, len(cases), wrong, fives)
        same = sorted(server.workers) == before and server.status("POST", "/v1/ner", SMALL) == 200
        yield Outcome("workers afterwards", len(before), 0 if same else len(before), 0, "the same processes")


def doors() -> Iterator[Outcome]:
    """Hosts, pages of other sites, forms, tokens."""
    token = "a-token-of-more-than-16-characters"
    with started(SLIMNER_TOKEN=token) as server:
        wrong = fives = 0
        cases = attack_requests.doors(token)
        for name, method, path, headers, right in cases:
            status, _ = server.ask(method, path, SMALL if method == "POST" else None, headers)
            fives += status >= 500
            if status != right:
                wrong += 1
                print(f"  wrong: {name}: {status}", file=sys.stderr)
        yield Outcome("hosts, origins, forms, tokens", len(cases), wrong, fives)


def slow() -> Iterator[Outcome]:
    """Clients that hold connections: others are answered within a second."""
    head = b"POST /v1/ner HTTP/1.1\r\nHost: a\r\nContent-Length: "
    kinds: tuple[tuple[str, int, bytes, bytes, int], ...] = (
        ("2,000 idle connections", 2000, b"", b"", 0),
        ("400 headers, a byte at a time", 400, b"GET / HTTP/1.1\r\nX: ", b"a", 0),
        ("200 bodies, a byte at a time, lengths with leading zeros", 200, head + b"0" * 20 + b"1000\r\n\r\n{", b" ", 0),
        (
            "100 bodies of 1 MiB that stop a byte short",
            100,
            head + b"%d\r\n\r\n" % (1 << 20) + b" " * ((1 << 20) - 1),
            b"",
            0,
        ),
        (
            "300 that send 200 requests at once and read nothing",
            300,
            b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 200,
            b"",
            2048,
        ),
    )
    for name, number, first, drip, buffer in kinds:
        with started() as server, contextlib.ExitStack() as held:
            connections: list[socket.socket] = []
            for _ in range(number):
                with contextlib.suppress(OSError):
                    connections.append(held.enter_context(server.connect(first, buffer)))
                    connections[-1].setblocking(False)

            def more(connections: list[socket.socket] = connections, drip: bytes = drip) -> None:
                for connection in connections if drip else ():
                    with contextlib.suppress(OSError):
                        connection.send(drip)

            yield probed(name, server, 10, more)


def greedy() -> Iterator[Outcome]:
    """The greatest requests there may be, and clients that leave them behind."""
    with started() as server:
        alone = [timed(server)[1] for _ in range(40)]
        stop = threading.Event()
        great: list[int] = []

        def ask() -> None:
            while not stop.is_set():
                great.append(server.status("POST", "/v1/ner", GREATEST))

        clients = [threading.Thread(target=ask) for _ in range(5)]
        for client in clients:
            client.start()
        time.sleep(2)
        asked = [(timed(server), time.sleep(0.3))[0] for _ in range(100)]
        stop.set()
        for client in clients:
            client.join()
        times = percentile([took for _, took in asked], 95), percentile(alone, 95)
        wrong = sum(status != 200 for status, _ in asked)
        yield Outcome(
            "small texts beside five clients with the greatest requests",
            len(asked),
            wrong,
            sum(status >= 500 for status, _ in asked),
            f"p95 {times[0] * 1000:.0f} ms, {times[1] * 1000:.0f} ms alone",
        )
        told = collections.Counter(great)
        yield Outcome(
            "those greatest requests",
            len(great),
            sum(n for status, n in told.items() if status not in (200, 503)),
            told[503] + told[504],
            f"{told[200]} answered, {told[503]} refused, {told[504]} out of time",
        )
    with started() as server:
        for _ in range(10):
            server.connect(
                b"POST /v1/ner HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(GREATEST) + GREATEST
            ).close()
        time.sleep(1)
        yield probed("ten greatest requests left behind", server, 5)


def timed(server: Server) -> tuple[int, float]:
    """Status of a small text, and the seconds it took."""
    begun = time.monotonic()
    status = server.status("POST", "/v1/ner", SMALL)
    return status, time.monotonic() - begun


def faults() -> Iterator[Outcome]:
    """Processes that die or hang, signals, and files that change, under four clients."""
    with started() as server:
        right = json.loads(server.ask("POST", "/v1/ner", SMALL)[1])["entities"]
    for name, harm in attack_requests.FAULTS.items():
        with tempfile.TemporaryDirectory(prefix="attacks-") as place:
            bundle = attack_requests.copy(Path(place))
            with started(str(bundle)) as server:
                stop = threading.Event()
                seen: collections.Counter[str] = collections.Counter()
                clients = [threading.Thread(target=asking, args=(server, stop, seen, right)) for _ in range(4)]
                for client in clients:
                    client.start()
                time.sleep(1)
                allowed = harm(server, bundle)
                stop.set()
                for client in clients:
                    client.join()
                wrong = sum(n for kind, n in seen.items() if kind not in ("right", "lost"))
                wrong += max(0, seen["lost"] - allowed)
                fives = sum(n for kind, n in seen.items() if kind.startswith("5"))
                yield Outcome(name, seen.total(), wrong, fives, f"{seen['lost']} lost with their connection")


def asking(server: Server, stop: threading.Event, seen: collections.Counter[str], right: object) -> None:
    """A client that keeps its connection, until it is told to stop."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    while not stop.is_set():
        try:
            connection.request("POST", "/v1/ner", SMALL)
            answer = connection.getresponse()
            body = answer.read()
            same = answer.status == 200 and json.loads(body)["entities"] == right
            seen["right" if same else str(answer.status)] += 1
        except ConnectionRefusedError:
            connection.close()
            time.sleep(0.05)  # the server has ended
        except (OSError, http.client.HTTPException):
            connection.close()
            seen["lost"] += 1


def bundles() -> Iterator[Outcome]:
    """Bundles that were changed and sealed again: `slimner verify` ends with 2 and no traceback."""
    wrong = 0
    for name, harm in attack_requests.BUNDLES.items():
        with tempfile.TemporaryDirectory(prefix="attacks-") as place:
            bundle = attack_requests.copy(Path(place))
            harm(bundle)
            main = "from slimner.cli.main import main; main()"
            done = subprocess.run(
                [sys.executable, "-P", "-c", main, "verify", str(bundle)], capture_output=True, text=True, timeout=120
            )
            if done.returncode != 2 or "Traceback" in done.stderr or "\x1b" in done.stderr + done.stdout:
                wrong += 1
                print(f"  wrong: {name}: {done.returncode} {done.stderr[-300:]}", file=sys.stderr)
    yield Outcome("bundles sealed again after a change", len(attack_requests.BUNDLES), wrong, 0)


KINDS: dict[str, Callable[[], Iterator[Outcome]]] = {
    "http": requests,
    "doors": doors,
    "slow": slow,
    "greedy": greedy,
    "faults": faults,
    "bundles": bundles,
}


def main() -> None:
    """Attack, and print the table."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], help="all, if none is named")
    parser.add_argument("--out", type=Path, help=f"page whose part from {HEADING!r} on is replaced")
    given = parser.parse_args()
    rows = []
    for kind in given.kinds or KINDS:
        for one in KINDS[kind]():
            print(f"{kind}: {one}", file=sys.stderr, flush=True)
            rows.append(
                (one.attack, str(one.tried), str(one.tried - one.wrong), str(one.wrong), str(one.fives), one.figure)
            )
    table = markdown(("attack", "tried", "right", "wrong", "5xx", "figure"), rows)
    found = f"{HEADING}\n{where_and_when()}\n\n{table}\n"
    print(found)
    if given.out:
        before, _, _ = given.out.read_text(encoding="utf-8").partition(HEADING)
        write_text(given.out, before + found)
    if any(row[3] != "0" for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
