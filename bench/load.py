"""Load: closed and open loops against a server or a predictor, each in a fresh process, and the search for a peak."""

from __future__ import annotations

import gc
import os
import random
import socket
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..core import child
from ..core.errors import UserError
from ..core.ledger_records import Processes
from ..core.load_records import LoadRecord
from ..core.machine import describe, thread_environment
from .generator import BUSY_CORES, RIGHT, WRONG, Run, Target, closed_loop, open_loop, run_loop, schedule
from .peak import Counted, find_peak
from .server import listeners, memory
from .targets import MOST_CONNECTIONS, Http, InProcess
from .workload import read_workload

MOST_IN_SEARCH = 1_000_000


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, and how: a URL, or an artifact whose predictor `threads` threads call.

    `expected` are answers by text, compared as [start, end, type]; without them an answer is compared with the first
    one to the same text.
    """

    target: str
    workload: str
    body: str = '{"text": {text}}'
    headers: tuple[tuple[str, str], ...] = ()
    expected: tuple[Any, ...] | None = None
    threads: int = 1
    deadline_s: float = 30.0
    most: int = 100_000
    seed: int = 1
    timeout_s: float = 900.0

    @property
    def remote(self) -> bool:
        """Whether the target is a URL."""
        return self.target.startswith(("http://", "https://"))


def run_closed(load: Load, *, clients: int, seconds: float) -> LoadRecord:
    """One closed loop."""
    return _run(child.call(load_in_child, load, seconds, clients=clients), load, seconds)


def run_open(load: Load, *, rate: float, seconds: float, poisson: bool = True) -> LoadRecord:
    """One open loop."""
    return _run(child.call(load_in_child, load, seconds, rate=rate, poisson=poisson), load, seconds)


def _run(loop: child.Call[LoadRecord], load: Load, seconds: float) -> LoadRecord:
    environment = {} if load.remote else thread_environment(1)
    record = loop.run(timeout_s=load.timeout_s + seconds, environment=environment)
    if load.remote and (processes := listeners(load.target)):
        record = msgspec.structs.replace(record, server=memory(processes))
    return record


def load_in_child(
    plan: Load,
    seconds: float,
    clients: int | None = None,
    rate: float | None = None,
    poisson: bool = True,
) -> LoadRecord:
    """The child's job: one loop."""
    texts = read_workload(plan.workload).texts
    order = list(range(len(texts)))
    random.Random(plan.seed).shuffle(order)
    server: list[Processes | None] = []
    waited = 0

    async def main() -> Run:
        nonlocal waited
        target = _target(plan, texts)
        try:
            gc.collect()
            gc.disable()  # a pause of the generator would be taken for one of the target
            if clients is not None:
                return await closed_loop(target, order, clients=clients, seconds=seconds, most=plan.most)
            assert rate is not None
            times = schedule(rate, seconds, poisson=poisson, seed=plan.seed, most=plan.most)
            return await open_loop(target, order, times)
        finally:
            if not plan.remote:
                server.append(memory([os.getpid()]))
            target.close()
            if isinstance(target, Http):
                waited = target.waited

    run = run_loop(main())
    return LoadRecord(
        target=plan.target,
        machine=describe(),
        clients=clients,
        rate_per_s=rate,
        arrivals=None if rate is None else "poisson" if poisson else "constant",
        seconds=round(run.seconds, 4),
        sent=run.sent,
        answered=run.outcomes.get(RIGHT, 0),
        errors={kind: count for kind, count in run.outcomes.items() if kind not in (RIGHT, WRONG)},
        wrong=run.outcomes.get(WRONG, 0),
        latencies_ms=tuple(round(s * 1000, 4) for s in run.latencies_s),
        late_share=round(run.late_share, 4),
        lag_p99_ms=round(float(np.percentile(run.lags_s, 99)) * 1000, 3) if run.lags_s else None,
        generator_cores=round(run.generator_cores, 3),
        server=server[0] if server else None,
        invalid=tuple(_invalid(run, in_process=not plan.remote, waited=waited)),
    )


def _invalid(run: Run, *, in_process: bool, waited: int) -> list[str]:
    """Why the figures of a run do not hold."""
    found: list[str] = []
    if run.lagged:
        found.append(
            f"the generator lagged: {run.late_share * 100:.0f} % of the requests left more than 5 ms after their time"
        )
    if waited:
        found.append(f"{waited} requests waited in the generator: more than {MOST_CONNECTIONS} were under way at once")
    if not in_process and run.generator_cores > BUSY_CORES:
        found.append(f"the generator used {run.generator_cores:.2f} of its core: it is what was measured")
    return found


def _target(plan: Load, texts: Sequence[str]) -> Target:
    if plan.remote:
        return Http(
            plan.target,
            texts,
            body=plan.body,
            headers=plan.headers,
            expected=plan.expected,
            deadline_s=plan.deadline_s,
        )
    from ..variants import open_predictor

    predict = open_predictor(Path(plan.target), threads=1)
    predict(texts[0])
    return InProcess(
        lambda text: [[entity.start, entity.end, entity.type] for entity in predict(text)],
        texts,
        threads=plan.threads,
        expected=plan.expected,
    )


def expected_answers(artifact: Path, workload: str, *, timeout_s: float) -> tuple[Any, ...]:
    """What the offline predictor answers to each text of the workload: (start, end, type) of its entities."""
    answering = child.call(answer_in_child, artifact, workload)
    return tuple(answering.run(timeout_s=timeout_s, environment=thread_environment(1)))


def answer_in_child(directory: Path, workload: str) -> list[list[tuple[int, int, str]]]:
    """The child's job: the offline predictor's answers, one text at a time."""
    from ..variants import open_predictor

    predict = open_predictor(directory)
    return [[(e.start, e.end, e.type) for e in predict(text)] for text in read_workload(workload).texts]


def search_peak(
    load: Load, limit_p95_ms: float, *, first: float, on_run: Callable[[LoadRecord], None] = lambda run: None
) -> tuple[list[LoadRecord], LoadRecord | None]:
    """Search the highest Poisson rate whose p95 is shown to stay within the limit; gives all runs, and the run that
    shows it, None if none does.

    `first` is a rate in 1/s to start from; `peak` says how the search goes on.
    """
    runs: list[LoadRecord] = []

    def ask(rate: float, seconds: float) -> Counted:
        fresh = msgspec.structs.replace(load, seed=load.seed + len(runs), most=MOST_IN_SEARCH)
        record = run_open(fresh, rate=rate, seconds=seconds)
        runs.append(record)
        on_run(record)
        over = sum(latency > limit_p95_ms for latency in record.latencies_ms)
        enough = record.latency_ms(95) is not None
        return Counted(over, len(record.latencies_ms), sound=enough and not record.invalid and not record.failed)

    found = find_peak(ask, first=first)
    return runs, runs[-1] if found else None


def check_url(url: str) -> None:
    """UserError if no server listens at a URL, or the text is not a URL."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host, port = None, 0
    if not host:
        raise UserError(f"'{url}' is not a URL", "give one like http://127.0.0.1:7860/v1/ner")
    try:
        socket.create_connection((host, port), 5).close()
    except OSError as error:
        raise UserError(f"{url}: {error.strerror or error}", "start the server first") from None
