"""A small request beside five clients that send the greatest allowed ones: `python studies/serving.py fairness`.

The clients of great requests are a process of their own (`python studies/fairness.py PORT SECONDS`), so that they hold
up the server and not the one who asks with a small text.
"""

from __future__ import annotations

import collections
import http.client
import json
import statistics
import subprocess
import sys
import threading
import time

from slimner.serve.schemas import MOST_BODY_BYTES, MOST_CHARACTERS, MOST_REQUEST_TOKENS

CLIENTS = 5
PAUSE_S = 0.05
SENTENCE = "法国总统马克龙将于下周访问上海。"
SMALL = json.dumps({"text": SENTENCE}, ensure_ascii=False).encode()
GREATEST = json.dumps(
    {"texts": [(SENTENCE * MOST_CHARACTERS)[:MOST_CHARACTERS]] * (MOST_REQUEST_TOKENS // MOST_CHARACTERS)},
    ensure_ascii=False,
).encode()
"""As many texts as a request may have tokens for, each of the greatest length: one token a character."""
assert len(GREATEST) <= MOST_BODY_BYTES


def status_of(port: int, body: bytes) -> int:
    """Ask on a new connection; 0 where no answer came."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", "/v1/ner", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def small(port: int, seconds: float) -> list[float]:
    """Milliseconds of small requests, one after another with pauses; each is answered with 200."""
    took: list[float] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        status = status_of(port, SMALL)
        took.append((time.monotonic() - begun) * 1000)
        if status != 200:
            raise SystemExit(f"a small request got {status}")
        time.sleep(PAUSE_S)
    return took


def fairness(port: int, seconds: float) -> list[tuple[str, ...]]:
    """p50 and p95 of a small request alone, and beside the great ones."""
    small(port, 1)
    alone = small(port, min(20.0, seconds))
    great = subprocess.Popen(
        [sys.executable, __file__, str(port), str(seconds + 3)], stdout=subprocess.PIPE, encoding="utf-8"
    )
    time.sleep(2)
    beside = small(port, seconds)
    told = json.loads(great.communicate()[0])
    before, then = (statistics.quantiles(took, n=20)[18] for took in (alone, beside))
    return [
        ("small requests, alone and beside", f"{len(alone)}, {len(beside)}"),
        ("p50 alone, beside", f"{statistics.median(alone):.1f}, {statistics.median(beside):.1f} ms"),
        ("p95 alone, beside", f"{before:.1f}, {then:.1f} ms"),
        ("p95 beside, times p95 alone", f"{then / before:.2f}"),
        ("the slowest beside", f"{max(beside):.1f} ms"),
        (f"the greatest, {len(GREATEST):,} bytes, by status", ", ".join(f"{k}: {n}" for k, n in told["statuses"])),
        ("the greatest took", f"{told['least_s']:.1f} to {told['most_s']:.1f} s"),
    ]


def main() -> None:
    """Five clients with the greatest requests, each of which is waited for; what they saw as JSON."""
    port, seconds = int(sys.argv[1]), float(sys.argv[2])
    end = time.monotonic() + seconds
    seen: list[tuple[int, float]] = []

    def ask() -> None:
        while time.monotonic() < end:
            begun = time.monotonic()
            seen.append((status_of(port, GREATEST), time.monotonic() - begun))

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    counted = collections.Counter(status for status, _ in seen)
    took = [one for status, one in seen if status == 200] or [0.0]
    print(json.dumps({"statuses": sorted(counted.items()), "least_s": min(took), "most_s": max(took)}))


if __name__ == "__main__":
    main()
