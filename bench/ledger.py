"""The memory ledger of an artifact: stages, dependencies, a server's workers, and the least it runs in."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..core import child
from ..core.errors import ChildError, SlimnerError
from ..core.ledger_records import ImportLedger, Minimum, ServerPoint, Trial
from ..core.machine import thread_environment
from ..core.records import MeasurementRecord, Measuring, Record
from .dependencies import import_ledger
from .limits import MemoryLimit, drop_from_page_cache, minimum
from .load import Load, answer_in_child, expected_answers, run_closed
from .server import gunicorn, serving
from .session import Step, measure

# What a user's own program would do: open an artifact, answer a few texts.
PROGRAM = """
import sys
from pathlib import Path
from slimner.variants import open_predictor
predict = open_predictor(Path(sys.argv[1]))
for text in Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()[:20]:
    predict(text)
"""

CLIENTS = 5
SLOWER = 3.0
GRACE_S = 10.0
START_TIMEOUT_S = 180.0

Progress = Callable[[str], None]


class LimitedAnswers(Record, frozen=True, kw_only=True):
    """What a process under a limit says."""

    seconds: float
    answers: list[list[tuple[int, int, str]]]
    files: list[str]


def stages(artifact: Path, workload: str, settings: Measuring) -> MeasurementRecord:
    """One process read from outside at its end: its stages and what they leave unexplained."""
    return measure(Step(artifact=artifact, repetition=0), workload, settings, sampled=False)


def dependencies(artifact: Path, texts: Path, settings: Measuring, on_progress: Progress) -> ImportLedger:
    """What the imports of a program that answers texts with the artifact cost."""
    command = [sys.executable, "-P", "-c", PROGRAM, str(artifact), str(texts)]
    return import_ledger(
        command,
        timeout_s=settings.timeout_s,
        environment=thread_environment(settings.threads),
        on_progress=on_progress,
    )


def server_points(
    artifact: Path, workload: str, settings: Measuring, *, most_workers: int, seconds: float, on_progress: Progress
) -> Iterator[ServerPoint]:
    """Our server with 1..N workers, with preload and without, before and after five clients have asked.

    Every text is sent at least twice for each worker, so that each worker has seen the longest ones.
    """
    expected = expected_answers(artifact, workload, timeout_s=settings.timeout_s)
    for workers in range(1, most_workers + 1):
        for preload in (True, False) if settings.threads == 1 else (False,):  # thread pools do not survive a fork
            on_progress(f"server, {workers} worker(s), {'preload' if preload else 'no preload'}")
            command, environment = gunicorn(artifact, workers=workers, preload=preload, threads=settings.threads)
            with serving(command, environment, workers=workers, timeout_s=START_TIMEOUT_S) as service:
                before = service.memory()
                load = Load(
                    target=service.url,
                    workload=workload,
                    expected=expected,
                    timeout_s=settings.timeout_s,
                    seed=settings.seed,
                )
                run = run_closed(load, clients=CLIENTS, seconds=seconds)
                asked, errors, wrong = run.sent, sum(run.errors.values()), run.wrong
                while asked < 2 * workers * len(expected):
                    more = run_closed(load, clients=CLIENTS, seconds=seconds)
                    asked, errors, wrong = asked + more.sent, errors + sum(more.errors.values()), wrong + more.wrong
                    if not more.answered:
                        break
                yield ServerPoint(
                    workers=workers,
                    preload=preload,
                    before=before,
                    after=service.memory(),
                    requests=asked,
                    errors=errors,
                    wrong=wrong,
                    per_s=run.per_s,
                    p50_ms=run.latency_ms(50),
                    p95_ms=run.latency_ms(95),
                )


def artifact_minimum(
    artifact: Path,
    workload: str,
    settings: Measuring,
    *,
    measured: MeasurementRecord,
    on_trial: Callable[[Trial], None],
) -> Minimum:
    """The least memory in which a process opens the artifact and answers the whole workload as without a limit.

    It must not take more than three times as long, either: a program that keeps reading its own files again does not
    run. Files are dropped from the page cache first, so that they are charged to it.
    """
    answering = child.call(answer_and_tell_files, artifact, workload)
    environment = thread_environment(settings.threads)
    free = answering.run(timeout_s=settings.timeout_s, environment=environment)
    files = [Path(name) for name in free.files]

    def attempt(limit: MemoryLimit) -> str:
        drop_from_page_cache(files)
        try:
            answered = answering.run(
                timeout_s=SLOWER * free.seconds + GRACE_S, environment=environment, prefix=limit.prefix
            )
        except SlimnerError as error:
            return error.message
        return "" if answered.answers == free.answers else "it gave other answers"

    return minimum("artifact", attempt, highest=measured.stages[-1].hwm_bytes, on_trial=on_trial)


def server_minimum(
    artifact: Path,
    workload: str,
    settings: Measuring,
    *,
    workers: int,
    point: ServerPoint,
    on_trial: Callable[[Trial], None],
) -> Minimum:
    """The least memory in which our server starts and answers five clients, every text for each worker."""
    expected = expected_answers(artifact, workload, timeout_s=settings.timeout_s)
    command, environment = gunicorn(artifact, workers=workers, preload=point.preload, threads=settings.threads)
    requests = 2 * workers * len(expected)
    files: list[Path] = []

    def attempt(limit: MemoryLimit) -> str:
        drop_from_page_cache(files)
        try:
            with serving(command, environment, workers=workers, prefix=limit.prefix, timeout_s=60.0) as service:
                files[:] = mapped_files(service.process)
                load = Load(
                    target=service.url,
                    workload=workload,
                    expected=expected,
                    most=requests,
                    timeout_s=settings.timeout_s,
                )
                run = run_closed(load, clients=CLIENTS, seconds=SLOWER * requests / point.per_s + GRACE_S)
        except ChildError as error:
            return error.message
        except OSError as error:  # a worker that was killed while it was looked at
            return str(error)
        if run.failed:
            return f"{run.failed} of {run.sent} requests failed"
        return "" if run.sent == requests else f"only {run.sent} of {requests} requests were answered in time"

    highest = point.after.memory_or_pss_bytes * 5 // 4
    return minimum(
        f"server with {workers} workers", attempt, each="each process of a ", highest=highest, on_trial=on_trial
    )


def mapped_files(process: int | str = "self") -> list[Path]:
    """Files that a process has mapped."""
    names: dict[str, None] = {}
    for line in Path(f"/proc/{process}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        name = line.partition("/")
        if name[1] and not name[2].endswith(" (deleted)"):
            names["/" + name[2]] = None
    return [Path(name) for name in names]


def answer_and_tell_files(directory: Path, workload: str) -> LimitedAnswers:
    """The child's job under a limit: open, answer every text, and tell which files are mapped."""
    begun = time.perf_counter()
    answers = answer_in_child(directory, workload)
    return LimitedAnswers(seconds=time.perf_counter() - begun, answers=answers, files=list(map(str, mapped_files())))
