"""Jobs for the tests of child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec


def add(a: int, b: int) -> int:
    return a + b


def fail(message: str) -> int:
    raise ValueError(message)


def kill_itself(number: int) -> int:
    sys.stdout.write("last words")
    sys.stdout.flush()
    os.kill(os.getpid(), number)
    return 0


def leave() -> int:
    os._exit(3)


def sleep_for_ever() -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def allocate(megabytes: int) -> int:
    return len(bytearray(megabytes * 1_000_000))


def environment(name: str) -> str | None:
    return os.environ.get(name)


def hold_memory(megabytes: int, seconds: float) -> int:
    block = bytearray(megabytes * 1_000_000)
    for page in range(0, len(block), 4096):
        block[page] = 1  # touched in place: a copy would double the peak for a moment, which the sampler may see
    time.sleep(seconds)
    return len(block)


def leave_a_process_behind() -> int:
    return subprocess.Popen(["sleep", "600"]).pid


class Thing(msgspec.Struct, frozen=True):
    where: Path
    sizes: tuple[int, ...]


def describe(where: Path, thing: Thing) -> Thing:
    return Thing(where=where / type(thing).__name__, sizes=(*thing.sizes, 3))


def untyped(a):  # type: ignore[no-untyped-def]
    return a


class PanicException(BaseException):  # the name that libraries written in Rust give it
    pass


def panic() -> None:
    raise PanicException("not char boundary")


def words() -> int:
    return "words"  # type: ignore[return-value]
