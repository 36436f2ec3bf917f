"""Locks between processes, which end with the process that holds them.

A directory that is written to belongs to one process. Measurements of this machine's time and memory wait for those of
other slimner processes, whoever started them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from .errors import UserError

TOGETHER = "SLIMNER_MEASURE_TOGETHER"
"""Environment variable: with any value, measurements do not wait for those of other processes."""


def held_file(path: Path) -> int:
    """The file, opened exclusively and created if necessary; BlockingIOError if another process has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was renamed or removed between opening and locking


@contextlib.contextmanager
def held_directory(directory: Path) -> Iterator[None]:
    """Hold a directory, made if missing, against other slimner processes; UserError names the one that holds it.

    A directory that was made here and is still empty at the end is removed.
    """
    made = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / ".lock"
    try:
        descriptor = held_file(path)
    except BlockingIOError:
        raise UserError(
            f"{directory} is being written by another slimner{holder(path)}", "wait for it, or choose another --out"
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        if made:
            with contextlib.suppress(OSError):
                directory.rmdir()  # nothing was written


@contextlib.contextmanager
def measuring_alone(tell: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other slimner process of this machine measures, and hold the lock; `tell` hears if it waits."""
    descriptor = -1 if os.environ.get(TOGETHER) else _machine_wide(tell)
    try:
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _machine_wide(tell: Callable[[str], None]) -> int:
    path = Path(tempfile.gettempdir()) / "slimner-measuring.lock"
    try:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:  # perhaps another user's, which can be locked all the same
            descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        tell(f"note: cannot keep from measuring beside another slimner: {path}: {error.strerror}")
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tell(f"waits: another slimner{holder(path)} measures on this machine")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def holder(path: Path) -> str:
    """The process that holds a file, in brackets; empty if the kernel does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        inode = str(path.stat().st_ino)
        for line in Path("/proc/locks").read_text(encoding="ascii", errors="replace").splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].split(":")[2] == inode and int(fields[4]) > 0:
                return f" (process {fields[4]})"
    return ""
