"""What this machine has shown: a small file for each time it has shown something, in the cache, the latest of them."""

from __future__ import annotations

import contextlib
import datetime
import uuid
from pathlib import Path
from typing import TypeVar

from ..core.cache import cache_directory
from ..core.errors import UserError
from ..core.machine import fingerprint
from ..core.outside import read_json
from ..core.records import Machine, Record
from ..core.store import write_json

# Files that are kept of a machine, of each kind.
MOST = 200

R = TypeVar("R", bound=Record)


def directory_of(kind: str, machine: Machine) -> Path:
    """Where what a machine has shown of a kind is kept."""
    return cache_directory() / kind / fingerprint(machine)


def keep(kind: str, machine: Machine, record: Record) -> None:
    """Keep a record; nothing is kept where the cache cannot be written."""
    directory = directory_of(kind, machine)
    now = datetime.datetime.now(datetime.UTC)
    with contextlib.suppress(OSError):
        write_json(directory / f"{now:%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}.json", record)
        for path in sorted(directory.glob("*.json"))[:-MOST]:
            path.unlink(missing_ok=True)


def kept(kind: str, machine: Machine, what: type[R]) -> list[R]:
    """The records of a machine, the oldest first; none that is damaged or of another version."""
    found: list[R] = []
    for path in sorted(directory_of(kind, machine).glob("*.json")):
        with contextlib.suppress(UserError):
            found.append(read_json(path, what))
    return found
