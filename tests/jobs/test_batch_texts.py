"""Reading texts: every text once, in order, from any place on, whatever stands in the file."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slimner.core.errors import UserError
from slimner.jobs.batch import lines
from slimner.jobs.batch.chunks import Chunk, Reader
from slimner.jobs.batch.lines import Lines
from slimner.jobs.batch.texts import Place

PIECES = [
    b"\n",
    b"\r\n",
    b"\r",
    b'"',
    b",",
    b"a",
    "京".encode(),
    b"\xff",
    b"\xe4\xba",
    b"\x00",
    b'{"text": "x"}',
    b"{}",
]
FORMS = ("lines", "jsonl", "csv")


def read(
    *paths: Path, form: str | None = None, field: str = "text", place: Place | None = None, most: int = 3
) -> list[Chunk]:
    names = [str(path) for path in paths]
    return list(Reader(names, form, field, place or Place(), most_texts=most, most_characters=10_000))


def flat(chunks: Sequence[Chunk]) -> list[tuple[int, int, str | None, str]]:
    """All items with their files, in order of their numbers."""
    items: list[tuple[int, int, str | None, str]] = []
    for chunk in chunks:
        own = [(chunk.place.file, n, t, "") for n, t in zip(chunk.numbers, chunk.texts, strict=True)]
        own += [(chunk.place.file, item.number, None, item.problem) for item in chunk.unread]
        items += sorted(own, key=lambda item: item[:2])
    return items


def texts(chunks: Sequence[Chunk]) -> list[str]:
    return [text for chunk in chunks for text in chunk.texts]


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40), most=st.integers(1, 4))
def test_reading_goes_on_from_behind_any_chunk(
    tmp_path_factory: pytest.TempPathFactory, form: str, pieces: list[bytes], most: int
) -> None:
    path = tmp_path_factory.mktemp("any") / "texts"
    path.write_bytes((b"id,text\n" if form == "csv" else b"") + b"".join(pieces))
    chunks = read(path, form=form, most=most)
    for i, chunk in enumerate(chunks):
        assert flat(read(path, form=form, place=chunk.place, most=most)) == flat(chunks[i + 1 :])


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_every_line_is_a_text_or_set_aside_and_none_is_lost(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    content = b"".join(pieces)
    path = tmp_path_factory.mktemp("any") / "texts.txt"
    path.write_bytes(content)
    found = flat(read(path))
    expected = content.removesuffix(b"\n").split(b"\n") if content else []
    assert [number for _, number, _, _ in found] == list(range(1, len(expected) + 1))
    for (_, _, text, _), line in zip(found, expected, strict=True):
        if text is None:
            with pytest.raises(UnicodeDecodeError):
                line.decode()
        else:
            assert text.encode() == line.removesuffix(b"\r")


TEXTS = st.text(st.sampled_from(["a", "京", ",", ";", '"', "\n", "\r", "\t", " ", "\u2028", "😀"]), max_size=8)


@given(rows=st.lists(st.tuples(TEXTS, TEXTS), max_size=12), delimiter=st.sampled_from([",", ";", "\t"]))
def test_csv_with_quotes_and_line_ends_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("id", "text"), *rows])
    path = tmp_path_factory.mktemp("csv") / "texts.csv"
    path.write_bytes(b"\xef\xbb\xbf" + written.getvalue().encode())
    assert texts(read(path)) == [text for _, text in rows]


def test_after_a_quote_that_does_not_end_the_other_rows_are_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_bytes(
        b'text,n\none,1\n"two,2\nthree,3\n"fo""ur",4\nfi\xffve,5\n\n6\nlast,\xff\n'.replace(b"\n6\n", b"\n")
    )
    assert flat(read(path)) == [
        (0, 2, "one", ""),
        (0, 3, None, "not CSV: ',' expected after '\"'"),
        (0, 4, "three", ""),
        (0, 5, 'fo"ur', ""),
        (0, 6, None, "not UTF-8"),
        (0, 8, "last", ""),
    ]


def test_a_row_of_json_without_a_text_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    rows = ['{"text": "a", "id": 1}', "", "[1]", '{"text": null}', '{"body": "b"}', '{"text": "c"', '"d"']
    path.write_text("\n".join(rows), encoding="utf-8")
    found = flat(read(path))
    assert [(number, text) for _, number, text, _ in found] == [
        (1, "a"), (3, None), (4, None), (5, None), (6, None), (7, None),
    ]  # fmt: skip
    assert found[1][3] == "no text in the field 'text'"
    assert found[4][3].startswith("not JSON: ")
    assert texts(read(path, field="body")) == ["b"]


def test_a_line_that_is_too_long_is_set_aside_without_being_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MOST_LINE_BYTES", 1000)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 64)
    path = tmp_path / "texts.txt"
    path.write_text(f"one\n{'x' * 5000}\nthree\n", encoding="utf-8")
    chunks = read(path, most=1)
    assert [(number, text) for _, number, text, _ in flat(chunks)] == [(1, "one"), (2, None), (3, "three")]
    assert "5,001 bytes" in chunks[1].unread[0].problem
    assert texts(read(path, place=chunks[1].place)) == ["three"]


def test_a_large_file_is_read_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    with path.open("w", encoding="utf-8") as file:
        for i in range(200_000):
            file.write(f"第{i}次会议今天在上海举行，各国代表出席了会议并发表讲话。\n")
    tracemalloc.start()
    counted = sum(
        len(chunk.texts) for chunk in Reader([str(path)], None, "text", Place(), most_texts=64, most_characters=16_384)
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counted == 200_000
    assert peak < path.stat().st_size / 4


def test_files_are_read_one_behind_another_and_named_if_there_are_several(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.jsonl"
    first.write_text("one\ntwo", encoding="utf-8")
    second.write_text('{"text": "three"}\n', encoding="utf-8")
    chunks = read(first, second)
    assert [(chunk.file, chunk.texts) for chunk in chunks] == [(str(first), ["one", "two"]), (str(second), ["three"])]
    assert read(first)[0].file == ""
    assert chunks[-1].done == 1.0


def test_what_is_there_is_handed_out_before_a_pipe_ends() -> None:
    reading, writing = os.pipe()
    given = Lines(reading)
    assert not given.ready()
    os.write(writing, b"one\ntw")
    assert given.ready()
    assert next(given).bare == b"one"
    assert not given.ready()
    threading.Timer(0.05, os.write, (writing, b"o\n")).start()
    assert next(given).bare == b"two"
    os.close(writing)
    assert list(given) == []
    os.close(reading)


def test_parquet_is_read_by_row_groups_from_any_row_on(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet

    values: list[Any] = [f"text {i}" for i in range(1000)]
    values[500] = None
    path = tmp_path / "texts.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"id": list(range(1000)), "body": values}), path, row_group_size=300)
    chunks = read(path, field="body", most=128)
    found = flat(chunks)
    assert [text for _, _, text, _ in found] == values
    assert found[500] == (0, 501, None, "no text in the column 'body'")
    for i, chunk in enumerate(chunks):
        assert flat(read(path, field="body", place=chunk.place, most=128)) == flat(chunks[i + 1 :])


def test_inputs_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    wide, table, rows = tmp_path / "wide.txt", tmp_path / "no-text.csv", tmp_path / "no.parquet"
    wide.write_text("京", encoding="utf-16")
    table.write_text("id,body\n1,x\n", encoding="utf-8")
    rows.write_text(json.dumps({"text": "x"}), encoding="utf-8")
    for path, message in (
        (wide, "is UTF-16"),
        (table, "no column 'text' in its first line, which is 'id,body'"),
        (rows, "is not readable as Parquet"),
        (tmp_path / "absent.txt", "no such file"),
        (tmp_path, "is a directory"),
    ):
        with pytest.raises(UserError, match=message):
            read(path)
