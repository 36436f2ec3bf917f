"""Files from outside. Any fault in one raises the same kind of error, which names the file and the place in it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .errors import UserError

T = TypeVar("T")

# Far above what any of these files has (results with every sample of hours are some ten MB), far below what memory has.
MOST_BYTES = 1 << 30
DAMAGED = "the file is damaged or of another version of slimner"
_LONG_NUMBER = re.compile(rb"\d{19}")


def read_bytes(
    path: Path, *, error: type[UserError] = UserError, remedy: str = "", most_bytes: int = MOST_BYTES
) -> bytes:
    """The content of a file of at most `most_bytes`; `error`, with the path, if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(min(size, most_bytes) + 1 if size else most_bytes + 1)  # it takes what is asked for
    except FileNotFoundError:
        raise error(f"{path}: no such file", remedy) from None
    except (OSError, ValueError) as reason:  # ValueError: a name with a zero byte
        raise error(f"{path}: {getattr(reason, 'strerror', None) or reason}", remedy) from None
    if len(content) > most_bytes:
        raise error(f"{path}: more than {most_bytes:,} bytes", remedy)
    return content.removeprefix(b"\xef\xbb\xbf")  # the mark that some editors put before UTF-8


def read_text(path: Path, *, error: type[UserError] = UserError, remedy: str = "convert the file to UTF-8") -> str:
    """The text of a file in UTF-8."""
    try:
        return read_bytes(path, error=error, remedy=remedy).decode("utf-8")
    except UnicodeDecodeError as reason:
        raise error(f"{path}: not UTF-8 at byte {reason.start}", remedy) from None


def decode(
    content: bytes, kind: type[T], where: object, *, error: type[UserError] = UserError, remedy: str = DAMAGED
) -> T:
    """JSON as a typed value without integers beyond 64 bits; `error` says where it does not fit. NaN is not JSON."""
    try:
        value = msgspec.json.decode(content, type=kind)
        if _LONG_NUMBER.search(content):  # msgspec takes longer integers than it writes
            for place in _beyond_64_bits(msgspec.json.decode(content), "$"):
                raise error(f"{where}: an integer beyond 64 bits - at `{place}`", remedy)
    except UnicodeDecodeError as reason:
        raise error(f"{where}: not UTF-8: {reason.reason}", remedy) from None
    except msgspec.MsgspecError as reason:
        raise error(f"{where}: {reason}", remedy) from None
    except RecursionError:
        raise error(f"{where}: nested too deeply", remedy) from None
    return value


def read_json(
    path: Path,
    kind: type[T],
    *,
    error: type[UserError] = UserError,
    remedy: str = DAMAGED,
    most_bytes: int = MOST_BYTES,
) -> T:
    """A JSON file as a typed value; `error` names the file and the place in it that does not fit."""
    return decode(
        read_bytes(path, error=error, remedy=remedy, most_bytes=most_bytes), kind, path, error=error, remedy=remedy
    )


def decode_toml(text: str, where: object, *, error: type[UserError] = UserError) -> dict[str, Any]:
    """TOML as plain data; `error` says in which line it is wrong."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise error(f"{where}: nested too deeply", "mend the TOML") from None
    except ValueError as reason:  # TOMLDecodeError, or an integer of thousands of digits
        raise error(f"{where}: {reason}", "mend the TOML") from None


def _beyond_64_bits(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        yield place
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from _beyond_64_bits(part, f"{place}[{i}]")
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from _beyond_64_bits(part, f"{place}.{name}")
