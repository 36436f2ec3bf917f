"""Many processes of this machine that answer texts with one model.

A process that dies is replaced and its question asked again; a text on which processes die again and again is named
as not answered. What a text yields does not depend on any of that.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import socket
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import msgspec

from ...core import child
from ...core.errors import ChildError
from ...core.machine import thread_environment
from ...core.memory import without_thread_caches
from ...serve.bundle import glance
from ...serve.settings import Settings, plan
from .answers import Answered, Failure, Question, together
from .facts import facts_here
from .worker import Hello, host_in_child

ATTEMPTS = 3
OPENING_S = 300.0
LONGEST_ADDRESS = 90
DIED = "not answered: the process died of it, {} times: it crashed, or memory ran out"

_decode = msgspec.msgpack.Decoder(Answered).decode


class _GoneError(Exception):
    """The worker has died."""


class Pool:
    """Workers, each with a connection; a question goes to one that is idle."""

    most_texts, most_characters = 64, 16_384
    """Of a question: small enough to lose little when work ends, large enough that asking costs nothing."""

    def __init__(self, directory: Path, workers: int | None = None) -> None:
        manifest, threads = glance(directory)
        planned = plan(Settings(bundle=directory, workers=workers), manifest.size_bytes, threads)
        self.workers = planned.workers
        self.notes = list(planned.notes)
        self.facts = facts_here()
        self._directory, self._planned = directory.absolute(), planned
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._open: set[Connection] = set()
        self._replacing = threading.Lock()
        self._closed = False
        self._host: child.Child[int] | None = None
        self._exit = contextlib.ExitStack()
        self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="slimner-batch")

    def __enter__(self) -> Pool:
        home = _short_directory()
        self._exit.callback(shutil.rmtree, home, ignore_errors=True)
        self._listener = self._exit.enter_context(socket.socket(socket.AF_UNIX))
        self._listener.bind(str(home / "socket"))
        self._listener.listen(self.workers + 1)
        threads, preload = self._planned.threads, self._planned.preload
        call = child.call(host_in_child, self._directory, home / "socket", threads, preload)
        environment = without_thread_caches({**os.environ, **thread_environment(threads)})
        self._host = self._exit.enter_context(call.started(environment))
        try:
            self._control = self._accept()
            self._open.add(self._control)
            self.notes += msgspec.json.decode(self._control.recv_bytes(), type=Hello).notes
            for _ in range(self.workers):
                self._idle.put(self._another())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, question: Question) -> Future[Answered]:
        """Ask; the answer comes in the future. ChildError if no worker can be kept alive."""
        return self._threads.submit(self._answer, question)

    def close(self) -> None:
        """End all processes; unfinished work is lost."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._host:
            self._host.kill()
        self._threads.shutdown()
        for connection in self._open:
            connection.close()
        self._exit.close()

    def _answer(self, question: Question) -> Answered:
        for _ in range(ATTEMPTS):
            connection = self._idle.get()
            try:
                answered = self._ask(connection, question)
            except _GoneError:
                connection = self._another(connection)
            else:
                return answered
            finally:
                self._idle.put(connection)
        if len(question.texts) > 1:
            return together([self._answer(part) for part in question.parts()])
        return Answered(b"", 0, 0, [Failure(question.numbers[0], DIED.format(ATTEMPTS), question.texts[0])])

    def _ask(self, connection: Connection, question: Question) -> Answered:
        try:
            connection.send_bytes(msgspec.msgpack.encode(question))
            return _decode(connection.recv_bytes())
        except (EOFError, OSError):
            raise _GoneError from None

    def _another(self, instead: Connection | None = None) -> Connection:
        """A new worker's connection."""
        with self._replacing:
            if instead is not None:
                instead.close()
                self._open.discard(instead)
            if self._closed:
                raise ChildError("the work was stopped", "killed")
            with contextlib.suppress(OSError):
                os.write(self._control.fileno(), b"+")
            connection = self._accept()
            self._open.add(connection)
            return connection

    def _accept(self) -> Connection:
        """The next process that connects; why the first process ended, if it did."""
        assert self._host is not None
        if not child.readable_or_ended(self._listener.fileno(), self._host.process, OPENING_S):
            self._host.result(0.1)
            raise ChildError("the process that opens the model ended", "no-record")
        connected, _ = self._listener.accept()
        return Connection(connected.detach())


def _short_directory() -> Path:
    """A directory of this user alone; the address of a socket may not be long."""
    path = tempfile.mkdtemp(prefix="slimner-")
    if len(path) > LONGEST_ADDRESS:
        os.rmdir(path)
        path = tempfile.mkdtemp(prefix="slimner-", dir="/tmp")
    return Path(path)
