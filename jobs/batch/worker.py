"""The processes that answer: one opens the model, and the others are forked from it and share its pages.

The first runs as a child (`core.child`): whoever asks may have threads, which no fork survives. It connects to the
socket of whoever asks and then forks a worker for each byte that it gets; a worker connects too, and answers question
by question until its connection is closed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from ...core.child import die_with_parent
from ...core.errors import ChildError
from ...core.memory import return_freed
from ...serve.engine import Engine
from ...serve.private import open_privately
from ...variants import Predictor
from .answers import Question, answer

TIDY_EVERY = 20


class Hello(msgspec.Struct, frozen=True):
    """What the first process says when it is ready to fork."""

    notes: list[str]


def connect(address: Path) -> Connection:
    """A connection to the caller's socket."""
    connecting = socket.socket(socket.AF_UNIX)
    connecting.connect(str(address))
    return Connection(connecting.detach())


def host_in_child(directory: Path, address: Path, threads: int, preload: bool) -> int:
    """The child's job: open and verify a bundle or an artifact, then fork workers until the caller is gone."""
    private = open_privately(directory)
    engine = Engine(private.served, threads=threads, queue=0, deadline_s=0)
    if preload:
        engine.preload()
    control = connect(address)
    control.send_bytes(msgspec.json.encode(Hello(engine.notes)))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended workers are not waited for
    while os.read(control.fileno(), 1):
        _fork(engine, address)
    private.remove()
    return 0


def _fork(engine: Engine, address: Path) -> None:
    """A worker, which has connected when this returns; ChildError says why it has not."""
    parent = os.getpid()
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            die_with_parent(parent)
            os.close(reading)
            predictor = engine.opened()
            connection = connect(address)
            os.write(writing, b"=")
            os.close(writing)
            work(connection, predictor)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(writing, f"{type(error).__name__}: {error}".encode()[:4000])
        finally:
            os._exit(0)
    os.close(writing)
    told = os.read(reading, 4096)
    os.close(reading)
    if told != b"=":
        why = told.decode("utf-8", "replace") or "it crashed, or memory ran out"
        raise ChildError(f"a worker could not open the model: {why}", "crashed")


def work(connection: Connection, predictor: Predictor) -> None:
    """A worker: answers until the connection is closed."""
    decode, encode = msgspec.msgpack.Decoder(Question).decode, msgspec.msgpack.Encoder().encode
    answered = 0
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send_bytes(encode(answer(predictor, decode(connection.recv_bytes()))))
            answered += 1
            if answered % TIDY_EVERY == 0:
                gc.collect()
                return_freed()
