"""Results as a Parquet file, made from results as JSON lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from .answers import Result
from .texts import parquet

ROWS_IN_GROUP = 10_000
BYTES_IN_GROUP = 32 << 20


def write_table(lines: Path, out: Path, *, files: bool) -> None:
    """Write a row a line, with the same columns; `file` is one where there were several inputs."""
    import pyarrow

    entity = pyarrow.struct(
        [
            ("start", pyarrow.int64()),
            ("end", pyarrow.int64()),
            ("type", pyarrow.string()),
            ("text", pyarrow.string()),
            ("score", pyarrow.float64()),
        ]
    )
    columns = [("line", pyarrow.int64()), ("text", pyarrow.string()), ("entities", pyarrow.list_(entity))]
    schema = pyarrow.schema([("file", pyarrow.string()), *columns] if files else columns)
    unfinished = out.with_name(out.name + ".part.parquet")
    with lines.open("rb") as file, parquet().ParquetWriter(unfinished, schema, compression="zstd") as writer:
        for group in _groups(file):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    os.replace(unfinished, out)


def _groups(lines: Iterable[bytes]) -> Iterator[list[Any]]:
    """Rows of one row group each, limited in number and in bytes."""
    decode = msgspec.json.Decoder(Result).decode
    rows: list[Any] = []
    size = 0
    for line in lines:
        rows.append(msgspec.to_builtins(decode(line)))
        size += len(line)
        if len(rows) >= ROWS_IN_GROUP or size >= BYTES_IN_GROUP:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows
