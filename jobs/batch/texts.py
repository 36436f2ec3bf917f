"""Texts as they are stored: lines, JSON lines, CSV and Parquet, read piece by piece, with the place of each.

What cannot be read is an item too, with the reason: whoever reads decides what becomes of it.
"""

from __future__ import annotations

import collections
import csv
import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ...core.errors import MissingDependencyError, UserError
from ...core.install import install_hint
from .lines import MOST_LINE_BYTES, Line, Lines

FORMS = ("lines", "jsonl", "csv", "parquet")
SUFFIXES = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
STANDARD_INPUT = "-"
DELIMITERS = (",", ";", "\t")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
UNDECODED = re.compile("[\udc80-\udcff]")
ROWS_AT_ONCE = 256


class Item(NamedTuple):
    """A text with its number (line or row, from 1) and the offset behind it; or the problem, and what stands there."""

    number: int
    end: int
    text: str | None
    problem: str = ""
    raw: str = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far the input was read: which file, and in it the offset (bytes; rows of Parquet) and the last number."""

    file: int = 0
    offset: int = 0
    number: int = 0
    digest: str = ""
    """Hash of what was read of standard input."""


class Source:
    """One opened input."""

    total: int | None = None
    """Where `Item.end` ends, if known."""

    def items(self) -> Iterator[Item]:
        """The texts from where the input stands."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether the next item is there without waiting."""
        return True

    def digest(self) -> str:
        """Hash of what was read, if the input cannot be read twice."""
        return ""

    def close(self) -> None:
        """Close the file."""


def form_of(name: str, form: str | None) -> str:
    """The form of an input: as given, else by the ending of its name, else lines."""
    return form or SUFFIXES.get(Path(name).suffix.lower(), "lines")


def open_source(name: str, form: str, field: str, place: Place) -> Source:
    """An input from a place on; UserError if it cannot be opened, or has no such field."""
    if form == "parquet":
        return _Parquet(name, field, place)
    return _Text(name, form, field, place)


class _Text(Source):
    """Lines, JSON lines or CSV, of a file or of standard input."""

    def __init__(self, name: str, form: str, field: str, place: Place) -> None:
        self._name, self._form, self._field = name, form, field
        self._piped = name == STANDARD_INPUT
        self._number = place.number
        try:
            self._descriptor = 0 if self._piped else os.open(name, os.O_RDONLY)
            self._lines = Lines(self._descriptor)
            facts = os.fstat(self._descriptor)
            if stat.S_ISREG(facts.st_mode):
                self.total = facts.st_size
                if os.pread(self._descriptor, 2, 0) in UTF_16:
                    raise UserError(f"{name} is UTF-16", "convert it to UTF-8")
            if form == "csv":
                self._header = self._read_header()
        except (OSError, ValueError) as error:
            raise UserError(f"{name}: {getattr(error, 'strerror', None) or error}") from None
        if place.offset and self._piped:
            if self._lines.skip(place.offset) != place.digest:
                raise UserError(
                    "standard input has changed since the unfinished output was begun",
                    "give the same input, or start again with --fresh",
                )
        elif place.offset:
            os.lseek(self._descriptor, place.offset, os.SEEK_SET)
            self._lines = Lines(self._descriptor, place.offset)

    def items(self) -> Iterator[Item]:
        if self._form == "csv":
            return self._records()
        return map(self._json if self._form == "jsonl" else self._plain, self._numbered())

    def ready(self) -> bool:
        return self._lines.ready()

    def digest(self) -> str:
        return self._lines.digest.hexdigest() if self._piped else ""

    def close(self) -> None:
        if not self._piped:
            os.close(self._descriptor)

    def _numbered(self) -> Iterator[tuple[int, Line]]:
        """Lines with their numbers; blank ones are nothing in JSON lines."""
        for line in self._lines:
            self._number += 1
            if self._form != "jsonl" or line.content.strip():
                yield self._number, line

    def _plain(self, numbered: tuple[int, Line]) -> Item:
        number, line = numbered
        if line.cut_bytes:
            return _cut(number, line)
        try:
            return Item(number, line.end, line.bare.decode())
        except UnicodeDecodeError as error:
            return Item(number, line.end, None, f"not UTF-8 at byte {error.start} of the line", _shown(line.bare))

    def _json(self, numbered: tuple[int, Line]) -> Item:
        number, line = numbered
        if line.cut_bytes:
            return _cut(number, line)
        try:
            row = msgspec.json.decode(line.content)
            text = row.get(self._field) if isinstance(row, dict) else None
            problem = "" if isinstance(text, str) else f"no text in the field '{self._field}'"
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            text, problem = None, f"not JSON: {error}"
        return Item(number, line.end, None if problem else text, problem, _shown(line.bare) if problem else "")

    def _read_header(self) -> tuple[str, int]:
        """The delimiter and the column of the field."""
        first = next(self._lines, None)
        self._number = max(1, self._number)
        header = _shown(first.bare) if first else ""
        for delimiter in DELIMITERS:
            columns = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
            if self._field in columns:
                return delimiter, columns.index(self._field)
        raise UserError(
            f"{self._name}: no column '{self._field}' in its first line, which is '{header[:200]}'",
            "name the column of the texts with --field",
        )

    def _records(self) -> Iterator[Item]:
        """Rows of CSV; after one that cannot be read, reading continues with the line after the row's first."""
        delimiter, column = self._header
        again: collections.deque[tuple[int, Line]] = collections.deque()
        used: list[tuple[int, Line]] = []

        def feed() -> Iterator[str]:
            numbered = self._numbered()
            while line := again.popleft() if again else next(numbered, None):
                used.append(line)
                if line[1].cut_bytes:
                    raise csv.Error(f"a line of {line[1].cut_bytes:,} bytes")
                yield line[1].content.decode("utf-8", "surrogateescape")

        rows = csv.reader(feed(), delimiter=delimiter, strict=True)
        while True:
            used.clear()
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                again.extendleft(reversed(used[1:]))
                rows = csv.reader(feed(), delimiter=delimiter, strict=True)
                number, line = used[0]
                yield Item(number, line.end, None, f"not CSV: {error}", _shown(line.bare))
                continue
            number, end = used[0][0], used[-1][1].end
            if not row:  # a blank line
                continue
            text = row[column] if column < len(row) else None
            problem = "" if text is not None else f"{len(row)} columns, no column '{self._field}'"
            if text is not None and not text.isascii() and UNDECODED.search(text):
                problem = "not UTF-8"
            raw = "\n".join(_shown(line.bare) for _, line in used) if problem else ""
            yield Item(number, end, None if problem else text, problem, raw)


def _shown(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")


def _cut(number: int, line: Line) -> Item:
    problem = f"a line of {line.cut_bytes:,} bytes, at most {MOST_LINE_BYTES:,} are read; here is its beginning"
    return Item(number, line.end, None, problem, _shown(line.bare))


class _Parquet(Source):
    """A column of a Parquet file, some rows at a time; `Item.end` counts rows."""

    def __init__(self, name: str, field: str, place: Place) -> None:
        try:
            self._file = parquet().ParquetFile(name, memory_map=True)
        except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
            raise UserError(f"{name} is not readable as Parquet: {error}") from None
        if field not in self._file.schema_arrow.names:
            raise UserError(
                f"{name}: no column '{field}'; it has {', '.join(self._file.schema_arrow.names)}",
                "name the column of the texts with --field",
            )
        self._field = field
        self._row = place.offset
        self.total = self._file.metadata.num_rows

    def items(self) -> Iterator[Item]:
        begins = 0
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if begins + rows > self._row:
                batches = self._file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=[self._field])
                values = itertools.chain.from_iterable(batch.column(0) for batch in batches)
                for number, value in enumerate(values, begins + 1):
                    if number > self._row:
                        yield self._item(number, value)
            begins += rows

    def _item(self, number: int, value: Any) -> Item:
        try:
            text = value.as_py()
        except UnicodeDecodeError as error:
            return Item(number, number, None, f"not UTF-8 at byte {error.start}", _shown(error.object))
        if isinstance(text, str):
            return Item(number, number, text)
        return Item(number, number, None, f"no text in the column '{self._field}'", str(text))

    def close(self) -> None:
        self._file.close()


def parquet() -> Any:
    """The module pyarrow.parquet; MissingDependencyError without it."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError("Parquet needs pyarrow, not installed here", install_hint("parquet")) from None
    return pyarrow.parquet
