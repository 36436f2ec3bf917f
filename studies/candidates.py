"""Workers that were candidates to serve, side by side: the same application, model and settings, two workers each.

    python studies/candidates.py --out docs/evidence/workers.md     # five minutes; needs wrk

Each candidate is started twice, in order and in reverse, so that a machine that slows down slows all of them; figures
are medians over its starts. Memory is the summed PSS of master and workers after the load. The attack is 60 clients
that send a body a byte at a time, as anybody can without a token.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from common import artifact_of, where_and_when
from original import some_texts
from slimner import zoo
from slimner.bench.server import family, free_port, memory
from slimner.core.machine import thread_environment
from slimner.core.memory import without_thread_caches
from slimner.reports.tables import markdown
from slimner.serve.bundle import open_served
from slimner.serve.settings import python_options

POST = Path(__file__).parent / "peers" / "post.lua"
CLIENTS = 5
ATTACKERS = 60
PROBES = 20
PATIENCE_S = 1.0
"""A probe that takes longer counts as not answered."""

CONF = """
from slimner.serve.gunicorn_conf import *
worker_class, threads = {worker!r}, {threads}
if not worker_class.startswith("slimner."):
    def post_worker_init(worker): pass
"""

APP = """
from slimner.serve.app import create_app
wsgi = create_app()
def asgiref():
    from asgiref.wsgi import WsgiToAsgi
    return WsgiToAsgi(wsgi)
def a2wsgi():
    from a2wsgi import WSGIMiddleware
    return WSGIMiddleware(wsgi, workers=16)
"""


class Candidate(NamedTuple):
    """How it is named, Gunicorn's worker class, the application, and its threads."""

    name: str
    worker: str
    application: str
    threads: int = 1


CANDIDATES = (
    Candidate("Gunicorn asgi, own adapter (slimner)", "slimner.serve.worker.Worker", "candidate:wsgi"),
    Candidate("Gunicorn asgi, asgiref", "asgi", "candidate:asgiref()"),
    Candidate("uvicorn-worker, asgiref", "uvicorn_worker.UvicornWorker", "candidate:asgiref()"),
    Candidate("uvicorn-worker, a2wsgi", "uvicorn_worker.UvicornWorker", "candidate:a2wsgi()"),
    Candidate("Gunicorn gthread, 4 threads", "gthread", "candidate:wsgi", 4),
    Candidate("Gunicorn sync", "sync", "candidate:wsgi"),
)


@contextlib.contextmanager
def started(candidate: Candidate, model: Path) -> Iterator[tuple[int, int]]:
    """Process and port of a ready server."""
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile() as output:
        conf = CONF.format(worker=candidate.worker, threads=candidate.threads)
        Path(place, "candidate_conf.py").write_text(conf, encoding="utf-8")
        Path(place, "candidate.py").write_text(APP, encoding="utf-8")
        port = free_port()
        python = [sys.executable, "-P", *python_options(open_served(model).manifest.variant)]
        environment = {**os.environ, **thread_environment(1), "SLIMNER_BUNDLE": str(model), "SLIMNER_WORKERS": "2"}
        environment |= {"SLIMNER_PORT_NUMBER": str(port), "SLIMNER_THREADS": "1", "SLIMNER_LOG_LEVEL": "warning"}
        environment["PYTHONPATH"] = os.pathsep.join((place, os.environ.get("PYTHONPATH", "")))
        process = subprocess.Popen(
            [*python, "-m", "gunicorn", "-c", "python:candidate_conf", candidate.application],
            env=without_thread_caches(environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + 60
            while not answers(port, "/readyz", 5.0):
                if process.poll() is not None or time.monotonic() > end:
                    output.seek(0)
                    raise SystemExit(f"{candidate.name}: {output.read().decode('utf-8', 'replace')[-2000:]}")
                time.sleep(0.1)
            yield process.pid, port
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def answers(port: int, path: str, patience_s: float) -> bool:
    """Whether a route answers 200 in time."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=patience_s) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def load(port: int, bodies: Path, clients: int, seconds: int) -> Any:
    """What wrk says of so many kept connections: requests, seconds, p50_ms, p95_ms, errors."""
    url = f"http://127.0.0.1:{port}/v1/ner"
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", str(POST), url]
    environment = {**os.environ, "PEER_BODIES": str(bodies)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def under_attack(port: int) -> int:
    """Of some probes of /healthz beside slow bodies, how many were answered in time."""
    head = b"POST /v1/ner HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    with contextlib.ExitStack() as held:
        attackers = []
        for _ in range(ATTACKERS):
            with contextlib.suppress(OSError):
                attackers.append(held.enter_context(socket.create_connection(("127.0.0.1", port), 1)))
                attackers[-1].sendall(head)
                attackers[-1].setblocking(False)
        answered = 0
        for _ in range(PROBES):
            answered += answers(port, "/healthz", PATIENCE_S)
            for attacker in attackers:
                with contextlib.suppress(OSError):
                    attacker.send(b" ")
        return answered


def measured(candidate: Candidate, model: Path, bodies: Path, seconds: int, *, attack: bool) -> list[float]:
    """p50 at one client, QPS and p95 at five, errors, PSS in MB, and probes answered under attack."""
    with started(candidate, model) as (process, port):
        load(port, bodies, CLIENTS, 1)
        one, five = load(port, bodies, 1, seconds), load(port, bodies, CLIENTS, seconds)
        found = memory(family(process))
        held = under_attack(port) if attack else 0
    pss = (found.pss_bytes if found else 0) / 1e6
    failed = one["errors"] + five["errors"]
    return [one["p50_ms"], five["requests"] / five["seconds"], five["p95_ms"], failed, pss, held]


HEADINGS = ("worker", "p50, 1 client", "5 clients", "p95, 5 clients", "failed", "summed PSS", "/healthz under attack")


def table(model: Path, bodies: Path, seconds: int, *, attack: bool) -> str:
    """All candidates over one model."""
    rounds: dict[Candidate, list[list[float]]] = {candidate: [] for candidate in CANDIDATES}
    for turn, candidate in enumerate((*CANDIDATES, *reversed(CANDIDATES))):
        first = turn < len(CANDIDATES)
        rounds[candidate].append(measured(candidate, model, bodies, seconds, attack=attack and first))
        print(f"{candidate.name}: {rounds[candidate][-1]}", file=sys.stderr, flush=True)
    rows = []
    for candidate, runs in rounds.items():
        p50, qps, p95, failed, pss, _ = (statistics.median(values) for values in zip(*runs, strict=True))
        row = (candidate.name, f"{p50:.2f} ms", f"{qps:.0f} /s", f"{p95:.1f} ms", f"{failed:.0f}", f"{pss:.0f} MB")
        rows.append((*row, f"{runs[0][5]:.0f} of {PROBES}") if attack else row)
    return markdown(HEADINGS if attack else HEADINGS[:-1], rows)


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=3, help="of each load")
    given = parser.parse_args()
    parts = ["# Workers side by side", PAGE, f"{where_and_when()} Loads of {given.seconds} s, twice."]
    with tempfile.TemporaryDirectory() as place:
        lines = some_texts(Path(place) / "short.txt", 40, 49).read_text(encoding="utf-8").splitlines()
        bodies = Path(place) / "bodies"
        bodies.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines), encoding="utf-8")
        parts += ["## Embedded model", table(open_served(zoo.bundle()).model, bodies, given.seconds, attack=True)]
        model = artifact_of("synthetic:bert-base-chinese", "onnx-int8")
        parts += ["## BERT-base size", table(model, bodies, given.seconds, attack=False)]
    given.out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


PAGE = (
    "`nox -s workers` (`studies/candidates.py`) serves the same Flask application with the same settings by each "
    f"worker:\ntwo processes, the model loaded before they are forked, sentences of 40 to 49 characters from wrk. "
    f"*Under attack* counts probes of\n`/healthz` that were answered within {PATIENCE_S:g} s while {ATTACKERS} clients "
    "sent bodies a byte at a time."
)

if __name__ == "__main__":
    main()
