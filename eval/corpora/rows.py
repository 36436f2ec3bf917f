"""JSON with character spans, a row a line or all rows in one array: ours, CLUENER's, doccano's, Label Studio's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from .columns import LINE_END
from .defects import Defects
from .sentences import Mention, Sentence, from_text

Object = tuple[int, Any]  # line and what stands there
JSON_BEGINS = re.compile(r'\s*(\{\s*"|\[\s*(\{|\]))')


class _Span(msgspec.Struct):
    start: int
    end: int
    type: str
    text: str | None = None


class _Ours(msgspec.Struct):
    text: str
    entities: list[_Span]
    words: list[tuple[int, int]] | None = None


class _Cluener(msgspec.Struct):
    text: str
    label: dict[str, dict[str, list[tuple[int, int]]]]


class _DoccanoSpan(msgspec.Struct):
    start_offset: int
    end_offset: int
    label: str


class _Doccano(msgspec.Struct):
    text: str
    label: list[tuple[int, int, str]] = []
    labels: list[tuple[int, int, str]] = []
    entities: list[_DoccanoSpan] = []


class _Value(msgspec.Struct):
    start: int
    end: int
    labels: list[str]
    text: str | None = None


class _Result(msgspec.Struct):
    type: str = ""
    value: dict[str, Any] = {}


class _Annotation(msgspec.Struct):
    result: list[_Result]
    was_cancelled: bool = False


class _Task(msgspec.Struct):
    data: dict[str, Any]
    annotations: list[_Annotation]


def objects(text: str, defects: Defects) -> Iterator[Object]:
    """Lines and values of JSON lines, or of the elements of one JSON array."""
    if text.lstrip().startswith("["):
        yield from _elements(text, defects)
        return
    for number, line in enumerate(LINE_END.split(text), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                defects.add("malformed", number, f"not JSON: {error}")


def _elements(text: str, defects: Defects) -> Iterator[Object]:
    decoder = json.JSONDecoder()
    position, line, counted = text.index("[") + 1, 1, 0
    while True:
        while position < len(text) and text[position] in " \t\r\n,":
            position += 1
        line += len(LINE_END.findall(text, counted, position))
        counted = position
        if text[position : position + 1] == "]":
            return
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:  # where the next element begins is anybody's guess
            defects.add("malformed", line, f"not JSON: {error}")
            return
        yield line, value


def recognise(text: str) -> str | None:
    """The format of a text that is JSON, from the first row that tells; None if it is no JSON."""
    if not JSON_BEGINS.match(text):
        return None
    for _, row in objects(text, Defects("", strict=False)):
        if isinstance(row, dict):
            if "annotations" in row:
                return "label-studio"
            if isinstance(row.get("label"), dict):
                return "cluener"
            if "label" in row or "labels" in row:
                return "doccano"
            if row.get("entities"):
                return "doccano" if "start_offset" in row["entities"][0] else "jsonl"
    return "jsonl"


def read(rows: Iterable[Object], form: str, defects: Defects) -> list[Sentence]:
    """The sentences of rows in one of the formats of READERS."""
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
    return made


def _ours(row: Any, line: int, defects: Defects) -> Sentence:
    read = msgspec.convert(row, _Ours)
    edges = [edge for word in read.words or () for edge in word]
    if (
        edges != sorted(edges)
        or any(a == b for a, b in read.words or ())
        or not all(0 <= e <= len(read.text) for e in edges)
    ):
        raise msgspec.ValidationError("words are (start, end) in the text, in order and not overlapping")
    return from_text(
        read.text, [Mention(s.start, s.end, s.type, s.text) for s in read.entities], line, defects, read.words
    )


def _cluener(row: Any, line: int, defects: Defects) -> Sentence:
    read = msgspec.convert(row, _Cluener)
    mentions = [
        Mention(start, last + 1, kind, surface)
        for kind, surfaces in read.label.items()
        for surface, places in surfaces.items()
        for start, last in places
    ]
    return from_text(read.text, mentions, line, defects)


def _doccano(row: Any, line: int, defects: Defects) -> Sentence:
    read = msgspec.convert(row, _Doccano)
    mentions = [Mention(*span) for span in (*read.label, *read.labels)]
    mentions += [Mention(span.start_offset, span.end_offset, span.label) for span in read.entities]
    return from_text(read.text, mentions, line, defects)


def _label_studio(row: Any, line: int, defects: Defects) -> Sentence | None:
    read = msgspec.convert(row, _Task)
    texts = [read.data["text"]] if "text" in read.data else [v for v in read.data.values() if isinstance(v, str)]
    if len(texts) != 1 or not isinstance(texts[0], str):
        raise msgspec.ValidationError("data has no 'text', and not one string alone")
    done = [annotation for annotation in read.annotations if not annotation.was_cancelled]
    if not done:
        defects.add("unlabelled", line, "no annotation, or all were cancelled")
        return None
    if len(done) > 1:
        defects.add("several-annotations", line, f"{len(done)} annotations")
    values = [msgspec.convert(result.value, _Value) for result in done[0].result if result.type == "labels"]
    mentions = [Mention(v.start, v.end, label, v.text) for v in values for label in v.labels]
    return from_text(texts[0], mentions, line, defects)


READERS: dict[str, Callable[[Any, int, Defects], Sentence | None]] = {
    "jsonl": _ours,
    "cluener": _cluener,
    "doccano": _doccano,
    "label-studio": _label_studio,
}


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
