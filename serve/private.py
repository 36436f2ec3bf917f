"""A private copy of what is served: what was hashed is what is mapped, whatever happens to the files that were named.

A model's weights are mapped, not read, so that what is not used costs no memory; but then whoever writes into the file
writes into a running model. So the files are copied first, the copy is verified, and its names are removed as soon as
the model is open: nobody can change it any more, and the page cache can still drop it. It lies on a disk where there is
one for temporary files ($TMPDIR); in memory it would count against a container's limit.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import msgspec

from ..core.errors import ArtifactError
from ..variants.artifacts import regular_files
from .bundle import Served, open_served

PREFIX = "slimner-serve-"
LOCK = "lock"
COPY = "copy"


class Private:
    """A verified copy; its files are removed with `remove`, at the end of the process at the latest."""

    def __init__(self, served: Served, directory: Path, lock: int) -> None:
        self.served = served
        self._directory = directory
        self._lock = lock
        self._owner = os.getpid()
        atexit.register(self.remove)

    def remove(self) -> None:
        """Remove the files, which are no longer needed by name; does nothing in other processes than the first."""
        if os.getpid() == self._owner and self._lock >= 0:
            shutil.rmtree(self._directory, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1
            atexit.unregister(self.remove)


_handed_on: list[Private] = []


def hand_on(private: Private) -> None:
    """Keep a copy for the next caller of `handed_on`."""
    _handed_on.append(private)


def handed_on() -> Private | None:
    """The copy that was handed on; only the first caller gets it."""
    return _handed_on.pop() if _handed_on else None


def open_privately(directory: Path) -> Private:
    """A verified private copy of a bundle or an artifact; ArtifactError if it is neither or not whole."""
    sweep()
    try:
        mine = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = os.open(mine / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise ArtifactError(f"no place for a private copy of {directory}: {error}", REMEDY) from None
    copy = mine / COPY
    try:
        try:
            _copy(directory, copy)
            served = open_served(copy)
        except ArtifactError as error:
            raise ArtifactError(error.message.replace(str(copy), str(directory)), error.remedy) from None
        except OSError as error:
            raise ArtifactError(f"no private copy of {directory}: {error}", REMEDY) from None
    except BaseException:
        shutil.rmtree(mine, ignore_errors=True)
        os.close(lock)
        raise
    return Private(msgspec.structs.replace(served, source=directory), mine, lock)


REMEDY = "set TMPDIR to a directory with room for the model's files"


def _copy(directory: Path, target: Path) -> None:
    target.mkdir()
    for name in regular_files(directory) if directory.is_dir() else ():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(directory / name, target / name)


def sweep() -> None:
    """Remove copies whose process is gone: it held a lock, which ends with it."""
    for mine in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(mine / LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(mine, ignore_errors=True)
            finally:
                os.close(lock)
