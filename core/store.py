"""Files that are either whole or absent, and the format of `results.json`.

History of the results format (schema 3 and every later one stay readable: raising it takes a function in `_LIFTS`
and a file of the old schema in `tests/core/old`):

4 (0.1.0)           commit, branch and whether the tree was clean; a block holds its interference as one record.
3 (0.1.0 before its release) the entities that each variant found in each sentence; a run without a corpus.
2 (never released)  a machine in every record; samples in blocks with what disturbed them; warm-up; extra samples by
                    length; cold start; several clients; stages split into anonymous, file-backed and shared; lengths.
1 (never released)  first: machine, checkpoint, corpus, workload, settings, builds, evaluations, measurements, failures.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from .errors import UserError
from .outside import DAMAGED, decode, read_bytes
from .records import Results

RESULTS = "results.json"
SWEEP = "sweep.json"
RESULTS_SCHEMA = 4


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: a temporary neighbour, flushed to disk, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def remove_unfinished(path: Path) -> None:
    """Remove what killed writers of a file have left beside it; only for a process that alone may write it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        left.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text whole or not at all."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: Any, *, indent: int = 1) -> None:
    """Write a record or plain data as JSON, whole or not at all; raw samples stay on one line each list."""
    write_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=indent) + b"\n")


class _Version(msgspec.Struct):
    schema: int


def read_results(path: Path) -> Results:
    """Read `results.json` of schema 3 or later; UserError names the field of one that was cut or edited by hand."""
    from .checking import WrongError, check_results  # a server reads no results, and needs no metrics

    content = read_bytes(path)
    schema = decode(content, _Version, path).schema
    if schema != RESULTS_SCHEMA and schema not in _LIFTS:
        raise UserError(
            f"{path}: results schema {schema}, this slimner reads {min(_LIFTS)} to {RESULTS_SCHEMA}",
            "use the slimner that wrote it",
        )
    if schema < RESULTS_SCHEMA:
        plain = decode(content, dict[str, Any], path)
        try:
            for old in range(schema, RESULTS_SCHEMA):
                plain = _LIFTS[old](plain)
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a whole file of schema {schema} ({error})", DAMAGED) from None
        content = msgspec.json.encode(plain)
    results = decode(content, Results, path)
    try:
        check_results(results)
    except WrongError as error:
        raise UserError(f"{path}: {error}", DAMAGED) from None
    return results


def _lift_3(content: dict[str, Any]) -> dict[str, Any]:
    kept = {"first", "samples", "attempts", "taints"}
    for measured in content.get("measurements", ()):
        measured["blocks"] = [
            {
                **{name: value for name, value in block.items() if name in kept},
                "interference": {name: value for name, value in block.items() if name not in kept},
            }
            for block in measured["blocks"]
        ]
    return {**content, "schema": 4, "commit": None}


# By schema, what makes the next one of it.
_LIFTS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {3: _lift_3}


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(value: Any) -> str:
    """Hexadecimal SHA-256 of plain data or a record, by its JSON with sorted keys."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()


@contextlib.contextmanager
def directory_in_place(target: Path) -> Iterator[Path]:
    """A temporary directory that becomes `target` when the block ends well, and is removed when it does not.

    If another process finished the same target meanwhile, that one stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f".{target.name}.*"):
        owner = left.name.removeprefix(f".{target.name}.").partition(".")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)  # the process that made it was killed
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.{os.getpid()}."))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        try:
            os.rename(temporary, target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
