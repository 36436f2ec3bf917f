"""The model behind the server: opened once, proven by its golden texts, asked by a short and a long request at a time.

What a request costs is known before inference: its texts go through the tokenizer first, and limits hold for what that
makes of them. Then requests take turns, run by run of the model (`slimner.serve.turns`).

Loaded before the workers are forked, its memory is shared. Whether a model survives a fork depends on its back end, so
a child is forked to try it, within a time limit; when that fails, each worker loads a model of its own.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures

import msgspec
import numpy as np

from ..core.errors import ArtifactError
from ..core.machine import describe
from ..core.memory import forget_files, return_freed
from ..variants import VARIANTS, Entity, Predictor, open_predictor
from .admission import Queue, QueueFullError, tokenized
from .bundle import MODEL, Served, check_golden, differing
from .turns import SHORT_CHARACTERS, BehindError, Turn, Turns

STEPS: tuple[str, ...] = ("wait", "tokenize", "infer", "decode")

QUICK_STEPS, QUICK_S = ("tokenize", "decode"), 0.005
"""Steps after which the turn is kept while it has been held for less: handing it on costs more than they do."""

# Answers after which cycles are collected and freed memory is given back: left to themselves, both grew under texts of
# all lengths (`nox -s soak`). When an answer is out, it takes less than a tenth of a millisecond.
TIDY_EVERY = 50


# Without golden texts, what a fork has to answer before the model is held to survive one.
TRIED = "2024 年，上海。Shanghai, in May."

LATER = 5
"""Levels of niceness of a thread with a long request, beyond those of the server: while short ones want all of the
processor, Linux gives it a quarter."""

# How long a long request is held before it is refused: reading it costs others something, if it comes again at once.
REFUSAL_S = 1.0

# No step takes so long: neither the tokenizer on a text nor the model on a window.
STUCK_S = 8.0


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """Entities of each text, and the seconds that each step took."""

    results: list[list[Entity]]
    seconds: dict[str, float]


class Engine:
    """One model in one process."""

    probe_s = 60.0
    """Longest time for all golden texts in a fork."""

    def __init__(self, served: Served, *, threads: int, queue: int, deadline_s: float) -> None:
        self.served = served
        self.threads = threads
        self.deadline_s = deadline_s
        self.queue = Queue(queue)
        self.turns = Turns()
        self.notes = _notes(served, threads)
        self.ready = False
        self._predictor: Predictor | None = None
        self._proven = False
        self._wrong_in_master: tuple[int, ...] = ()
        self._starting = threading.Lock()
        self._sent = itertools.count(1)
        self._behind = futures.ThreadPoolExecutor(queue + 1, initializer=stand_behind)
        """Threads for long requests, to which the operating system prefers all others of this server."""

    def preload(self) -> bool:
        """Open the model in the master; whether it survives a fork. ArtifactError if its answers are wrong."""
        variant = VARIANTS.get(self.served.manifest.variant)
        if not variant.forks:
            self.notes.append(f"loaded in each worker, since a model of {variant.backend} does not survive a fork")
            return False
        self._predictor = open_predictor(self.served.model, threads=self.threads)
        reason, wrong = probe(self._wrong, self.probe_s)
        if reason:
            self._predictor = None
            self.notes.append(f"loaded in each worker, since the model does not survive a fork: {reason}")
        else:
            self._check_golden(wrong)
        share_pages()
        return_freed()
        forget_files()
        return not reason

    def start(self) -> None:
        """Open the model in this process if it is not yet, and answer golden texts: all of them, or one if proven."""
        with self._starting:
            if self.ready:
                return
            if self._predictor is None:
                self._predictor = open_predictor(self.served.model, threads=self.threads)
            if self._proven:
                if differing(self.served.golden[:1], self._predictor) and 0 not in self._wrong_in_master:
                    raise ArtifactError(
                        "the model no longer answers a golden text as before",
                        "its memory is damaged: restart the server; if it happens again, use another machine",
                    )
            else:
                self._check_golden(self._wrong())
            share_pages()
            self.ready = True

    def _wrong(self) -> list[int]:
        assert self._predictor is not None
        if not self.served.golden:
            self._predictor(TRIED)
        return differing(self.served.golden, self._predictor)

    def _check_golden(self, wrong: Sequence[int]) -> None:
        if note := check_golden(self.served, wrong):
            self.notes.append(note)
        self._wrong_in_master = tuple(wrong)
        self._proven = True

    def answer(self, texts: Sequence[str], gone: Callable[[], bool] = lambda: False) -> Answered:
        """Entities of each text; QueueFullError, TooLongError, or DeadlineError and GoneError after the step under way.

        `gone` tells whether the client has hung up.
        """
        if not self.ready:
            self.start()
        if sum(map(len, texts)) > SHORT_CHARACTERS:
            return self._behind.submit(self._answer, texts, gone).result()
        return self._answer(texts, gone)

    def _answer(self, texts: Sequence[str], gone: Callable[[], bool]) -> Answered:
        predict = self._predictor
        assert predict is not None
        seconds = dict.fromkeys(STEPS, 0.0)
        begun = last = offered = time.monotonic()

        def took(name: str) -> None:
            nonlocal last
            now = time.monotonic()
            seconds[name] += now - last
            last = now

        def step(name: str) -> None:
            nonlocal last, offered
            took(name)
            if name in QUICK_STEPS and last - offered < QUICK_S:
                return
            turn.offer()
            offered = time.monotonic()
            seconds["wait"] += offered - last
            last = offered

        def infer(windows: Sequence[np.ndarray]) -> list[np.ndarray]:
            turn.want(windows)
            while turn.wanted:
                step("infer")  # those who wait come to the same point, or do it
                if turn.wanted and not turn.gather(predict):
                    turn.behind()
                    turn.run(predict)
            took("infer")
            return [turn.found[number] for number in range(len(windows))]

        turn = Turn(self.turns, begun + self.deadline_s, gone, sum(map(len, texts)))
        if late_s := turn.too_late_s():
            time.sleep(REFUSAL_S)
            raise QueueFullError(self.queue.texts, math.ceil(late_s))
        with self.queue.place(len(texts)), turn:
            took("wait")
            offered = last  # the turn is kept until there are windows, which whoever is next takes along
            encodings, turn.left = tokenized(predict, texts, step)
            try:
                results = predict.many(texts, step, encodings, infer)
            except BehindError as behind:
                raise QueueFullError(self.queue.texts, math.ceil(behind.args[0])) from None
            self.queue.took(turn.spent_s, len(texts))
        return Answered(results=results, seconds=seconds)

    def opened(self) -> Predictor:
        """The checked model in this process, for use without the queue."""
        self.start()
        assert self._predictor is not None
        return self._predictor

    def stuck(self) -> bool:
        """Whether the current step has taken longer than any step should."""
        since = self.turns.since
        return bool(since) and time.monotonic() - since > STUCK_S

    def sent(self) -> None:
        """An answer has been sent."""
        if next(self._sent) % TIDY_EVERY == 0:
            gc.collect()  # of what came since it settled
            return_freed()


def stand_behind() -> None:
    """Let this thread run after others, where the system knows a priority for each thread (Linux)."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + LATER)


def share_pages() -> None:
    """Exclude all existing objects from garbage collection, so that their pages stay shared with forked workers."""
    gc.collect()
    gc.freeze()


def _notes(served: Served, threads: int) -> list[str]:
    """Notes for clients about what is served."""
    notes: list[str] = []
    here = describe().instructions
    if served.manifest.instructions != here:
        notes.append(
            f"built and scored for {served.manifest.instructions}, this machine has {here}: answers and speed may "
            f"differ; score it here: slimner eval {served.source / MODEL if served.bundle else served.source}"
        )
    if served.bundle is None:
        notes.append("an artifact without golden texts; slimner bundle makes a bundle of it")
        return notes
    if served.bundle.scores is None:
        notes.append("never scored; bundle the results of slimner run to carry its F1")
    benchmarked = served.bundle.session
    if benchmarked.options != dict(VARIANTS.get(served.manifest.variant).session):
        notes.append("benchmarked with other session options than this slimner uses; bundle it again")
    if benchmarked.threads != threads:
        notes.append(f"benchmarked with {benchmarked.threads} threads of inference, served with {threads}")
    return notes


def probe(work: Callable[[], list[int]], timeout_s: float) -> tuple[str, list[int]]:
    """Run `work` in a forked child: why it failed ("" if it did not), and what it returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, b"=" + msgspec.json.encode(work()))
        except BaseException as error:
            os.write(writing, f"!{type(error).__name__}: {error}".encode()[:4000])
        finally:
            os._exit(0)
    os.close(writing)
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    told = b""
    try:
        answered = bool(poll.poll(timeout_s * 1000))
        if answered:
            told = os.read(reading, 1 << 16)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            if not told:
                os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not answered:
        return f"no answer in {timeout_s:g} s", []
    if told.startswith(b"="):
        return "", msgspec.json.decode(told[1:], type=list[int])
    return told[1:].decode("utf-8", "replace") or "it crashed", []
