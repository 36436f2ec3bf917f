"""JSON, one row a line or all rows in one array: recognising the tool, and reading rows as sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from ...core.errors import CorpusError
from . import columns, label_studio, spans, tokens
from .columns import LINE_END
from .defects import Defects
from .sentences import Mention, Sentence, from_text

Object = tuple[int, Any]  # line and what stands there
JSON_BEGINS = re.compile(r'\s*(\{\s*("|\})|\[\s*(\{|\[\s*"|"|\]))')
CONTAINERS = ("annotations", "data", "examples", "documents", "rows", "sentences")


class _Cluener(msgspec.Struct):
    text: str
    label: dict[str, dict[str, list[tuple[int, int]]]]


def objects(text: str, defects: Defects) -> Iterator[Object]:
    """Lines and values of JSON lines, of consecutive values, or of the elements of one JSON array."""
    lines = LINE_END.split(text)
    first = next((line for line in lines if line.strip()), "")
    whole = _value(first)
    if text.lstrip().startswith("[") and not _is_pair(whole):
        yield from _elements(text, text.index("[") + 1, defects)
    elif whole is None and _value(text) is None and _starts_value(text):  # objects over several lines
        yield from _elements(text, 0, defects)
    elif whole is None and (value := _value(text)) is not None:
        yield from _contained(1, value)
    else:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    defects.add("malformed", number, f"not JSON: {error}")
                else:
                    yield from _contained(number, value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _starts_value(text: str) -> bool:
    try:
        _, end = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return False
    return "\n" in text.lstrip()[:end] or "\r" in text.lstrip()[:end]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _contained(line: int, value: Any) -> Iterator[Object]:
    """The rows of an object that has nothing but a list of them, else the object itself."""
    if isinstance(value, dict) and not tokens.keys(value) and not isinstance(value.get("text"), str):
        for key in CONTAINERS:
            rows = value.get(key)
            if isinstance(rows, list) and any(isinstance(row, dict | list) and _is_row(row) for row in rows):
                yield from ((line, row) for row in rows if row is not None)
                return
    yield line, value


def _is_row(row: Any) -> bool:
    return _is_pair(row) or (
        isinstance(row, dict) and (tokens.keys(row) is not None or any(key in row for key in spans.TEXTS))
    )


def _elements(text: str, position: int, defects: Defects) -> Iterator[Object]:
    decoder = json.JSONDecoder()
    line, counted = 1, 0
    while True:
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        line += len(LINE_END.findall(text, counted, position))
        counted = position
        if text[position : position + 1] in ("]", ""):
            if not text[position:] and text.lstrip().startswith("["):
                defects.add("malformed", line, "not JSON: the array does not end")
            return
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:  # where the next element begins is anybody's guess
            defects.add("malformed", line, f"not JSON: {error}")
            return
        yield line, value


def recognise(text: str) -> str | None:
    """The format of a text that is JSON, from the first row that tells; None if it is not JSON."""
    if not JSON_BEGINS.match(text):
        return None
    for _, row in objects(text, Defects("", strict=False)):
        if form := form_of(row):
            return form
    return "jsonl"


def form_of(row: Any) -> str | None:
    """The format of one row; None if it does not tell."""
    if isinstance(row, list):
        return "spacy"
    if not isinstance(row, dict):
        return None
    if tokens.keys(row):
        return "tokens"
    if label_studio.is_task(row) or label_studio.is_min(row):
        return "label-studio"
    if isinstance(row.get("label"), dict):
        return "cluener"
    if "answer" in row or row.get("spans"):
        return "prodigy"
    if "label" in row or "labels" in row:
        return "doccano"
    for key in ("entities", "annotations"):
        if isinstance(row.get(key), list) and row[key]:
            first = row[key][0]
            if isinstance(first, dict):
                return "doccano" if "start_offset" in first else "jsonl" if "type" in first else "spacy"
            return "spacy"
    return None


def read(rows: Iterable[Object], form: str, defects: Defects) -> tuple[list[Sentence], str | None]:
    """The sentences of rows in one of FORMATS, and the scheme of their tags if they have any."""
    if form == "tokens":
        return _tokens(list(rows), defects)
    made: list[Sentence] = []
    for line, row in rows:
        try:
            sentence = READERS[form](row, line, defects)
        except msgspec.ValidationError as error:
            defects.add("malformed", line, str(error))
            continue
        if sentence is not None and sentence.tokens:
            made.append(sentence)
        elif sentence is not None:
            defects.add("empty-sentence", line, f"nothing to score in '{sentence.text}'")
    return made, None


def _tokens(rows: list[Object], defects: Defects) -> tuple[list[Sentence], str | None]:
    found = next((keys for _, row in rows if isinstance(row, dict) and (keys := tokens.keys(row))), None)
    if found is None:
        raise CorpusError(
            f"{defects.where}: no row has tokens and tags",
            f"a row has tokens ({', '.join(tokens.TOKENS)}) and as many tags ({', '.join(tokens.TAGS)})",
        )
    return columns.sentences(tokens.tagged(rows, found, defects), defects)


def _cluener(row: Any, line: int, defects: Defects) -> Sentence:
    read = msgspec.convert(row, _Cluener)
    mentions = [
        Mention(start, last + 1, kind, surface)
        for kind, surfaces in read.label.items()
        for surface, places in surfaces.items()
        for start, last in places
    ]
    return from_text(read.text, mentions, line, defects)


READERS: dict[str, Callable[[Any, int, Defects], Sentence | None]] = {
    "jsonl": spans.from_row,
    "cluener": _cluener,
    "doccano": spans.from_row,
    "spacy": spans.from_row,
    "prodigy": spans.from_row,
    "label-studio": label_studio.read,
}
FORMATS = (*READERS, "tokens")


def write(sentences: Iterable[Sentence]) -> str:
    """JSON lines in our format; read again, they are the same sentences."""
    lines: list[str] = []
    for sentence in sentences:
        row: dict[str, Any] = {
            "text": sentence.text,
            "entities": [{"start": start, "end": end, "type": kind} for start, end, kind in sentence.entities],
        }
        if sentence.words:
            row["words"] = sentence.tokens
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines)
