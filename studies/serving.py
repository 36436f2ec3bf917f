"""What serving costs: memory, start, what HTTP adds and where, throughput, overload, a long run, a killed worker.

    python studies/serving.py cost     # memory and speed, embedded default and BERT-base size; eight minutes
    python studies/serving.py overload --seconds 600
    python studies/serving.py soak --requests 100000
    python studies/serving.py kill     # a worker killed under load, ten times; two minutes
    python studies/serving.py split    # where the time of a request goes; half a minute
    python studies/serving.py fairness # a small request beside five of the greatest; a minute and a half
    python studies/serving.py kinds    # the memory of a BERT-base server by kind; half a minute

The server is started as users start it, with two workers. The figures in docs/evidence/serving.md are copied from here.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from common import artifact_of, where_and_when
from fairness import fairness
from kinds import kinds
from original import some_texts
from served import CLIENTS, TIMEOUT_S, WORKERS, load_of, started
from slimner import zoo
from slimner.bench.load import expected_answers, run_closed, run_open
from slimner.bench.server import family
from slimner.core.load_records import LoadRecord
from slimner.core.machine import thread_environment
from slimner.reports.tables import markdown
from slimner.serve.bundle import open_served
from slimner.variants import open_predictor

BERT = "synthetic:bert-base-chinese"
PARTS = (
    "bytes taken, HTTP parsed",
    "handed to a thread, WSGI environment",
    "Flask, until the predictor",
    "the predictor",
    "Flask, answer and headers",
    "handed back, sent",
)


def cost(name: str, model: Path, mix: str, short: str, requests: int) -> list[tuple[str, ...]]:
    """Memory after the whole mix; p50 beside the predictor's own; throughput beside the predictor's own."""
    everything = expected_answers(model, mix, timeout_s=TIMEOUT_S)
    few = expected_answers(model, short, timeout_s=TIMEOUT_S)
    with started(model) as up:
        before = up.service.memory()
        run = run_closed(load_of(up.service.url, mix, everything, requests), clients=CLIENTS, seconds=900)
        after = up.service.memory()
        say(f"{name}: {run.sent} requests, {after.pss_bytes / 1e6:.0f} MB")
        assert not run.failed, (run.errors, run.wrong)
        assert run.sent == requests
        served, own = [], []
        for which in "SPPSSPPS":  # alternately, so that a machine that slows down slows both
            target = up.service.url if which == "S" else str(model)
            one = run_closed(load_of(target, short, few), clients=1, seconds=5)
            (served if which == "S" else own).append(one.latency_ms(50) or 0)
        say(f"{name}: p50 {served} {own}")
        five, alone, both = [], [], []
        for _ in range(2):
            five.append(run_closed(load_of(up.service.url, short, few), clients=CLIENTS, seconds=10).per_s)
            alone.append(run_closed(load_of(str(model), short, few), clients=1, seconds=5).per_s)
            both.append(at_once(model, short, few, 8))
        say(f"{name}: {five} {alone} {both}")
    rate, single, pair = map(statistics.fmean, (five, alone, both))
    p50, own_p50 = statistics.median(served), statistics.median(own)
    return [
        ("summed PSS at start", f"{before.pss_bytes / 1e6:.0f} MB"),
        (f"summed PSS after {requests:,} requests of all lengths", f"{after.pss_bytes / 1e6:.0f} MB"),
        ("of which the master", f"{after.master_pss_bytes / 1e6:.0f} MB"),
        ("private to a worker", f"{after.own_bytes / 1e6:.0f} MB"),
        ("summed RSS, as it is often read", f"{after.rss_bytes / 1e6:.0f} MB"),
        ("highest summed PSS during start", f"{up.peak_bytes / 1e6:.0f} MB"),
        ("ready after", f"{up.ready_s:.1f} s"),
        ("p50, one client", f"{p50:.2f} ms"),
        ("p50, the predictor itself", f"{own_p50:.2f} ms"),
        ("the server adds", f"{p50 - own_p50:.2f} ms"),
        ("five clients", f"{rate:.1f} /s"),
        ("one predictor by itself", f"{single:.1f} /s"),
        ("two predictors at once, together", f"{pair:.1f} /s"),
        ("share of two times one predictor", f"{rate / (WORKERS * single) * 100:.0f} %"),
        ("share of two predictors at once", f"{rate / pair * 100:.0f} %"),
    ]


def at_once(model: Path, texts: str, expected: tuple[object, ...], seconds: float) -> float:
    """Answers a second of two processes with a predictor each, at the same time."""
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as threads:
        runs = threads.map(
            lambda _: run_closed(load_of(str(model), texts, expected), clients=1, seconds=seconds), range(WORKERS)
        )
        return sum(run.per_s for run in runs)


def overload(bundle: Path, seconds: float) -> list[tuple[str, ...]]:
    """Twice the capacity for a long time."""
    served = open_served(bundle)
    expected = expected_answers(served.model, "news-zh", timeout_s=TIMEOUT_S)
    with started(bundle) as up:
        capacity = run_closed(load_of(up.service.url, "news-zh", expected), clients=CLIENTS, seconds=10).per_s
        processes = family(up.service.process)
        rate = 2 * capacity
        say(f"capacity {capacity:.0f} /s, now {rate:.0f} /s for {seconds:.0f} s")
        run: LoadRecord = run_open(load_of(up.service.url, "news-zh", expected), rate=rate, seconds=seconds)
        same = family(up.service.process) == processes
        after = up.service.memory()
    return [
        ("capacity, five clients", f"{capacity:.0f} /s"),
        ("sent", f"{run.sent:,} in {run.seconds:.0f} s"),
        ("answered rightly", f"{run.answered:,} ({run.answered / run.seconds:.0f} /s)"),
        ("wrong", f"{run.wrong}"),
        ("others", ", ".join(f"{kind}: {count:,}" for kind, count in run.errors.items()) or "none"),
        ("p50, p95, p99 of the answered", " ".join(f"{run.latency_ms(p) or 0:.0f} ms" for p in (50, 95, 99))),
        ("the same processes at the end", "yes" if same else "no"),
        ("summed PSS at the end", f"{after.pss_bytes / 1e6:.0f} MB"),
        ("the run", "; ".join(run.invalid) or "valid"),
    ]


def soak(bundle: Path, requests: int) -> list[tuple[str, ...]]:
    """Many requests: does memory grow?"""
    served = open_served(bundle)
    expected = expected_answers(served.model, "news-zh", timeout_s=TIMEOUT_S)
    levels: list[tuple[int, int]] = []
    with started(bundle) as up:
        done, wrong, errors = 0, 0, 0
        while done < requests:
            step = min(requests // 20, requests - done)
            run = run_closed(load_of(up.service.url, "news-zh", expected, step), clients=CLIENTS, seconds=900)
            done, wrong, errors = done + run.sent, wrong + run.wrong, errors + sum(run.errors.values())
            levels.append((done, up.service.memory().pss_bytes))
            say(f"{done:,} requests, {levels[-1][1] / 1e6:.1f} MB")
    first, last = levels[0][1], levels[-1][1]
    highest = max(level for _, level in levels)
    return [
        ("requests", f"{done:,}, {wrong} wrong, {errors} errors"),
        (f"summed PSS after {levels[0][0]:,}", f"{first / 1e6:.1f} MB"),
        (f"summed PSS after {done:,}", f"{last / 1e6:.1f} MB ({(last / first - 1) * 100:+.1f} %)"),
        ("highest", f"{highest / 1e6:.1f} MB ({(highest / first - 1) * 100:+.1f} %)"),
    ]


def kill(bundle: Path, times: int = 10) -> list[tuple[str, ...]]:
    """SIGKILL to a worker while five clients ask on connections they keep."""
    text = "外交部发言人说，法国总统马克龙将于下周访问上海。"
    body = msgspec.json.encode({"text": text})
    right = msgspec.to_builtins(open_predictor(open_served(bundle).model)(text))
    answered: list[float] = []  # list.append is atomic
    lost: list[float] = []
    wrong: list[bytes] = []
    stop = threading.Event()

    def client(port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not stop.is_set():
            try:
                connection.request("POST", "/v1/ner", body)
                answer = connection.getresponse()
                said = answer.read()
            except (OSError, http.client.HTTPException):
                lost.append(time.monotonic())
                connection.close()
                continue
            answered.append(time.monotonic())
            if answer.status != 200 or msgspec.json.decode(said)["entities"] != right:
                wrong.append(said)

    def answers_between(start: float, end: float) -> int:
        return sum(start <= moment < end for moment in answered)

    with started(bundle) as up:
        clients = [threading.Thread(target=client, args=(up.port,)) for _ in range(CLIENTS)]
        for thread in clients:
            thread.start()
        moments, replaced_s = [], []
        for _ in range(times):
            time.sleep(10)
            moments.append(time.monotonic())
            victim = next(pid for pid in family(up.service.process) if pid != up.service.process)
            os.kill(victim, signal.SIGKILL)
            while (workers := set(family(up.service.process))) and (victim in workers or len(workers) <= WORKERS):
                time.sleep(0.01)
            replaced_s.append(time.monotonic() - moments[-1])
            say(f"replaced after {replaced_s[-1]:.2f} s")
        time.sleep(10)
        stop.set()
        for thread in clients:
            thread.join()
    capacity = statistics.fmean(answers_between(moment - 5, moment) / 5 for moment in moments)
    full_s = []
    for moment in moments:
        seconds = (moment + step / 20 for step in range(180))
        full = (start for start in seconds if answers_between(start, start + 1) >= 0.9 * capacity)
        full_s.append(next(full, float("inf")) - moment)
    say(f"nine tenths of {capacity:.0f} /s after {', '.join(f'{s:.2f}' for s in full_s)} s")
    return [
        ("killed", f"{times} times; {len(answered):,} requests answered, {len(wrong)} of them wrongly"),
        ("lost, with their connections", f"{len(lost)}"),
        ("a new worker stood after", f"{statistics.median(replaced_s):.2f} s, at most {max(replaced_s):.2f} s"),
        (f"90 % of {capacity:.0f} /s again after", f"{statistics.median(full_s):.2f} s, at most {max(full_s):.2f} s"),
    ]


def split(bundle: Path) -> list[tuple[str, ...]]:
    """Where the time of a request goes: medians of its parts, one client."""
    model = open_served(bundle).model
    with tempfile.TemporaryDirectory() as directory:
        texts, stamps = str(some_texts(Path(directory) / "short.txt", 40, 49)), Path(directory)
        with started(bundle, stamps) as up:
            load = load_of(up.service.url, texts, expected_answers(model, texts, timeout_s=TIMEOUT_S))
            run = run_closed(load, clients=1, seconds=20)
        assert not run.failed, (run.errors, run.wrong)
        files = stamps.glob("*.json")
        rows = [row for file in files for row in msgspec.json.decode(file.read_bytes(), type=list[list[float]])]
    medians = [statistics.median(column) * 1e3 for column in zip(*rows, strict=True)]
    p50, inside = run.latency_ms(50) or 0, statistics.median(map(sum, rows)) * 1e3
    lines = [(part, f"{ms:.2f} ms") for part, ms in zip(PARTS, medians, strict=True)]
    return [*lines, ("client, kernel and network", f"{p50 - inside:.2f} ms"), ("p50 at the client", f"{p50:.2f} ms")]


def beside(bundle: Path, seconds: float) -> list[tuple[str, ...]]:
    """A small request beside five clients with the greatest ones."""
    with started(bundle) as up:
        return fairness(up.port, seconds)


def memory_by_kind(model: Path) -> list[tuple[str, ...]]:
    """What the memory of a server consists of after twelve seconds of five clients."""
    with tempfile.TemporaryDirectory() as directory, started(model) as up:
        texts = str(some_texts(Path(directory) / "short.txt", 40, 49))
        expected = expected_answers(model, texts, timeout_s=TIMEOUT_S)
        run = run_closed(load_of(up.service.url, texts, expected), clients=CLIENTS, seconds=12)
        assert not run.failed, (run.errors, run.wrong)
        return kinds(family(up.service.process))


def say(what: str) -> None:
    """Progress."""
    sys.stderr.write(f"{time.monotonic() - BEGUN:6.0f} s  {what}\n")


BEGUN = time.monotonic()


def main() -> None:
    """Run one study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("cost", "overload", "soak", "kill", "split", "fairness", "kinds"))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--warm", type=int, default=2000, help="requests before memory is read")
    parser.add_argument("--bundle", type=Path, default=zoo.bundle())
    parser.add_argument("--bert", type=Path, help="an artifact of BERT-base size in place of the random one")
    parser.add_argument("--only", choices=("embedded", "bert-base"))
    given = parser.parse_args()
    os.environ.update(thread_environment(1))
    sys.stdout.write(where_and_when() + "\n\n")
    if given.study == "cost":
        with tempfile.TemporaryDirectory() as directory:
            place = Path(directory)
            short = str(some_texts(place / "short.txt", 40, 49))
            columns: dict[str, list[tuple[str, ...]]] = {}
            if given.only != "bert-base":
                model = open_served(given.bundle).model
                columns["embedded"] = cost("embedded", model, "news-zh", short, given.warm)
            if given.only != "embedded":
                model = given.bert or artifact_of(BERT, "onnx-int8")
                columns["BERT-base, 102 M"] = cost("BERT-base", model, "news-zh", short, given.warm)
        names = [line[0] for line in next(iter(columns.values()))]
        lines = [(name, *(column[i][1] for column in columns.values())) for i, name in enumerate(names)]
        sys.stdout.write(markdown(("", *columns), lines) + "\n")
    else:
        studies: dict[str, Callable[[], list[tuple[str, ...]]]] = {
            "overload": lambda: overload(given.bundle, given.seconds),
            "soak": lambda: soak(given.bundle, given.requests),
            "kill": lambda: kill(given.bundle),
            "split": lambda: split(given.bundle),
            "fairness": lambda: beside(given.bundle, min(60.0, given.seconds)),
            "kinds": lambda: memory_by_kind(given.bert or artifact_of(BERT, "onnx-int8")),
        }
        lines = studies[given.study]()
        sys.stdout.write(markdown(("", given.study), lines) + "\n")


if __name__ == "__main__":
    main()
