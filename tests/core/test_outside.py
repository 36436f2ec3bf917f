from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given
from slimner.core.errors import ArtifactError, UserError
from slimner.core.outside import decode, decode_toml, read_bytes, read_json, read_text


class Thing(msgspec.Struct):
    name: str
    parts: list[float] = []
    more: Any = None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "truncated"),
        (b'{"name": "a"', "truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"name": 1}', r"Expected `str`, got `int` - at `\$\.name`"),
        (b'{"name": "a", "parts": [1, "2"]}', r"at `\$\.parts\[1\]`"),
        (b'{"name": "\xff"}', "not UTF-8"),
        (b'{"name": "\\ud800"}', "truncated|surrogate"),
        (b'{"name": "a", "parts": [NaN]}', "malformed"),
        (b'{"name": "a", "parts": [Infinity]}', "malformed"),
        (b'{"name": "a", "parts": [1e999]}', "out of range"),
        (b'{"name": "a", "more": {"b": [0, 36893488147419103232]}}', r"beyond 64 bits - at `\$\.more\.b\[1\]`"),
        (b'{"name": "a", "more": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"name": "a"} {}', "trailing"),
    ],
)
def test_json_that_does_not_fit_is_one_error_with_file_and_place(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "thing.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=said) as caught:
        read_json(path, Thing, error=ArtifactError, remedy="make it again")
    assert str(path) in caught.value.message
    assert caught.value.remedy == "make it again"


def test_numbers_of_64_bits_and_the_mark_of_an_editor_are_read(tmp_path: Path) -> None:
    path = tmp_path / "thing.json"
    path.write_bytes(
        b'\xef\xbb\xbf{"name": "12345678901234567890123", "more": [18446744073709551615, -9223372036854775808]}'
    )
    assert read_json(path, Thing).more == [(1 << 64) - 1, -(1 << 63)]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_one_error(content: bytes) -> None:
    with contextlib.suppress(UserError):
        assert isinstance(decode(content, Thing, "there"), Thing)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_json_is_a_value_that_can_be_written_again_or_one_error(value: Any) -> None:
    content = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    with contextlib.suppress(UserError):
        again: Any = decode(content, object, "there")
        assert msgspec.json.decode(msgspec.json.encode(again)) == again


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A FIFO that somebody writes a value to."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=('{"name": "through a pipe"}',))
    writer.start()
    yield path
    writer.join()


def test_a_pipe_is_read_like_a_file(pipe: Path) -> None:
    assert read_json(pipe, Thing).name == "through a pipe"


@pytest.mark.parametrize(
    ("name", "said"),
    [("none", "no such file"), (".", "Is a directory"), ("a\0b", "null byte"), ("/dev/zero", "more than 1,000 bytes")],
)
def test_what_is_not_a_readable_file_is_the_same_error(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        read_bytes(tmp_path / name, most_bytes=1000)


def test_text_that_is_not_utf8_is_refused_with_the_byte(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"abc\xff")
    with pytest.raises(UserError, match="text: not UTF-8 at byte 3"):
        read_text(tmp_path / "text")


@pytest.mark.parametrize("text", ["a = ", "a = " + "[" * 100_000, "a = " + "1" * 5000, 'a = "\\ud800"'])
def test_toml_that_cannot_be_read_is_one_error(text: str) -> None:
    with pytest.raises(UserError, match=r"policy\.toml: "):
        decode_toml(text, "policy.toml")
