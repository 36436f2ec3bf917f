"""A file's bytes as text: UTF-8, UTF-16 and UTF-32 as they are, GB18030 where it reads as Chinese, else as told."""

from __future__ import annotations

import codecs
import collections
import functools
import re

import msgspec

from ... import zoo
from ...core.errors import CorpusError, UnknownNameError
from .defects import Defects

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Of the characters that are not ASCII, how many have to be common in Chinese news for GB18030 to be believed. In real
# text of 50 characters 0.66 are, in all but one of a thousand (MSRA, CLUENER); in EUC-JP, EUC-KR or Big5 read as
# GB18030 it is 0.43 at most, even in a file of seven characters.
CHINESE = 0.6
COMMON = 3  # occurrences in the embedded corpus, from which on a character is common

# Where files were joined; a mark elsewhere, or as a token of its own, is a character of the text.
JOINED = re.compile(r"(?<=[\r\n])\ufeff(?=[^\s\ufeff])")
COMPRESSED = (b"x\x01", b"x\x9c", b"x\xda")
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
BINARY = (b"PK\x03\x04", b"\x1f\x8b", b"%PDF", b"\xd0\xcf\x11\xe0")

# What a file that is neither may be, by the share of its characters beyond ASCII that lie in the ranges of the script.
GUESSES = (
    ("euc-jp", 0.2, (("\u3041", "\u30ff"),)),
    ("shift-jis", 0.2, (("\u3041", "\u30ff"),)),
    ("euc-kr", 0.8, (("\uac00", "\ud7a3"),)),
    ("big5", 0.8, (("\u4e00", "\u9fff"), ("\u3000", "\u303f"), ("\uff00", "\uffef"))),
    ("cp1251", 0.8, (("\u0410", "\u044f"),)),
)


def decode(content: bytes, defects: Defects, encoding: str | None = None) -> tuple[str, str]:
    """A file's text and the encoding that was recognised, or `encoding`; CorpusError if it cannot be read in it.

    A byte-order mark is taken off, also where files were joined and one stands at the start of a later line.
    """
    if encoding is not None:
        text, name = _told(content, encoding, defects), codecs.lookup(encoding).name
    else:
        text, name = _recognised(content, defects)
    if text.startswith("\ufeff"):
        text = text[1:]
    for mark in JOINED.finditer(text):
        defects.add("inner-mark", text.count("\n", 0, mark.start()) + 1, "a byte-order mark inside the file")
    text = JOINED.sub("", text)
    return text, name.removesuffix("-sig")


def _told(content: bytes, encoding: str, defects: Defects) -> str:
    try:
        if not codecs.lookup(encoding)._is_text_encoding:
            raise LookupError
    except LookupError:
        raise UnknownNameError("encoding", encoding, ("utf-8", "utf-16", "gb18030", *(g[0] for g in GUESSES))) from None
    try:
        return content.decode("utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding)
    except UnicodeError as error:
        raise CorpusError(
            f"{defects.where}:{_line(content, error)}: not {encoding} from here on",
            "give the encoding that the file has, or convert it to UTF-8",
        ) from None


def _recognised(content: bytes, defects: Defects) -> tuple[str, str]:
    if content.startswith(BINARY):
        raise CorpusError(f"{defects.where}: not a text but an archive or another binary file", "unpack it first")
    if content.startswith(COMPRESSED):
        raise CorpusError(
            f"{defects.where}: compressed data, as spaCy's DocBin is",
            "write each document as a line of JSON, json.dumps(doc.to_json())",
        )
    if content.startswith(LFS_POINTER):
        raise CorpusError(
            f"{defects.where}: a Git LFS pointer, not the file itself", "fetch it: git lfs install, then git lfs pull"
        )
    candidates = [name for mark, name in MARKS if content.startswith(mark)][:1]
    if not candidates and b"\0" in content[:4096]:
        candidates = ["utf-16-le" if content[1:4096:2].count(0) >= content[:4096:2].count(0) else "utf-16-be"]
    error: UnicodeError | None = None
    for name in candidates or ["utf-8-sig"]:
        try:
            return content.decode(name), name
        except UnicodeError as caught:
            error = caught
    assert error is not None
    line = _line(content, error)
    if candidates:
        raise CorpusError(f"{defects.where}:{line}: not {candidates[0]} from here on", "convert the file to UTF-8")
    if _damaged_utf8(content):
        raise CorpusError(
            f"{defects.where}:{line}: UTF-8 except for some bytes, the first of them here",
            "fix the line, or give the file's encoding with --encoding",
        )
    try:
        text = content.decode("gb18030")
    except UnicodeError:
        text = ""
    if text and _chinese(text) >= CHINESE:
        defects.add("not-utf8", line, "not UTF-8, read as GB18030")
        return text, "gb18030"
    guess = (
        "cp1252"
        if _western(content)
        else next((name for name, share, ranges in GUESSES if _share(content, name, ranges) >= share), None)
    )
    raise CorpusError(
        f"{defects.where}:{line}: neither UTF-8 nor, it seems, Chinese in GB18030"
        + (f"; it may be {guess}" if guess else ""),
        f"give its encoding with --encoding {guess}"
        if guess
        else "give its encoding with --encoding (cp1252, gb18030, ...)",
    )


def _western(content: bytes) -> bool:
    """Whether few letters are beyond ASCII, each among ASCII ones, as in the languages of Western Europe."""
    words = re.findall(rb"[A-Za-z\x80-\xff]+", content)
    own = [word for word in words if any(byte > 127 for byte in word)]
    beyond = sum(byte > 127 for word in own for byte in word)
    return bool(own) and beyond < 0.5 * sum(map(len, own))


def _line(content: bytes, error: UnicodeError) -> int:
    start = error.start if isinstance(error, UnicodeDecodeError) else 0
    return content.count(b"\n", 0, start) + 1


def _damaged_utf8(content: bytes) -> bool:
    """Whether most of what is not ASCII is UTF-8, which in text of another encoding hardly any is."""
    text = content.decode("utf-8", "replace")
    beyond = sum(ord(character) > 127 for character in text)
    return text.count("\ufffd") < 0.3 * beyond


@functools.cache
def _common() -> frozenset[str]:
    texts = (msgspec.json.decode(line)["text"] for line in zoo.corpus().read_bytes().splitlines())
    counted = collections.Counter(character for text in texts for character in text)
    return frozenset(character for character, times in counted.items() if times >= COMMON)


def _chinese(text: str) -> float:
    """The share of common characters, one more counted as common lest a name of two decide."""
    beyond = [character for character in text if ord(character) > 127]
    return (1 + sum(character in _common() for character in beyond)) / (1 + len(beyond))


def _share(content: bytes, encoding: str, ranges: tuple[tuple[str, str], ...]) -> float:
    try:
        text = content.decode(encoding)
    except UnicodeError:
        return 0.0
    beyond = [character for character in text if ord(character) > 127]
    return sum(any(a <= character <= b for a, b in ranges) for character in beyond) / max(1, len(beyond))
