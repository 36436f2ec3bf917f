"""Texts with character spans, in whichever keys and forms tools write them: spaCy, Prodigy, doccano, ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .defects import Defects
from .sentences import Mention, Sentence, from_text

TEXTS = ("text", "data", "sentence", "content")
SPANS = ("entities", "label", "labels", "spans", "ents", "annotations", "ner", "mentions")
STARTS = ("start", "start_offset", "begin", "startOffset", "start_idx", "start_char", "offset")
ENDS = ("end", "end_offset", "endOffset", "end_idx", "end_char")
TYPES = ("type", "label", "labels", "entity_type", "entity_group", "tag", "category", "entity", "class")
SURFACES = ("text", "surface", "word", "value", "mention", "entity")


def from_row(row: Any, line: int, defects: Defects) -> Sentence | None:
    """The sentence of a row: an object with a text and its spans, or spaCy's pair of both."""
    if isinstance(row, list):
        row = _pair(row)
    if not isinstance(row, dict):
        raise msgspec.ValidationError("a row is an object with a text and its entities")
    if row.get("answer", "accept") != "accept":
        defects.add("not-accepted", line, f"the answer is {row['answer']}")
        return None
    shown = ", ".join(map(str, list(row)[:8]))
    text = next((row[key] for key in TEXTS if isinstance(row.get(key), str)), None)
    if text is None:
        raise msgspec.ValidationError(f"Object missing required field `text`; its keys are {shown}")
    there = [key for key in SPANS if key in row]
    if not there and "answer" not in row:
        raise msgspec.ValidationError(
            f"Object missing required field `entities` (or label, spans); its keys are {shown}"
        )
    if there and all(row[key] is None for key in there):
        defects.add("unlabelled", line, f"'{there[0]}' is null")
        return None
    listed: Any = next((row[key] for key in there if row[key]), [])
    mentions = [_mention(span, text, line, defects) for span in _list(listed)]
    return from_text(text, [m for m in mentions if m], line, defects, _words(row, text))


def _pair(row: list[Any]) -> Any:
    """spaCy's (text, {"entities": [...]}), or (text, [...])."""
    if len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict):
        return {**row[1], "text": row[0]}
    if len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], list):
        return {"text": row[0], "entities": row[1]}
    raise msgspec.ValidationError('a row that is an array is ["text", {"entities": [[0, 2, "PER"]]}]')


def _list(spans: Any) -> list[Any]:
    if isinstance(spans, Mapping) and spans and all(isinstance(value, list) for value in spans.values()):
        return [dict(zip(spans, values, strict=True)) for values in zip(*spans.values(), strict=True)]
    if not isinstance(spans, list | tuple):
        raise msgspec.ValidationError("Expected `array` of entities")
    return list(spans)


def _mention(span: Any, text: str, line: int, defects: Defects) -> Mention | None:
    if isinstance(span, Mapping):
        start, end, kind, surface = _of_object(span)
    elif isinstance(span, Sequence) and not isinstance(span, str) and len(span) >= 3:
        start, end, kind, surface = _of_array(span, text)
    else:
        raise msgspec.ValidationError(f"an entity is a start, an end and a type, not {str(span)[:60]}")
    if start is None or end is None:
        raise msgspec.ValidationError(f"an entity has no start and end in characters: {str(span)[:60]}")
    if kind is None or kind == []:
        defects.add("no-label", line, f"the region {start}..{end} has no label")
        return None
    if isinstance(kind, list) and len(kind) == 1:
        kind = kind[0]
    if isinstance(kind, int) and not isinstance(kind, bool):
        kind = str(kind)  # a number without a name: plausible.require_names has the last word
    if not isinstance(kind, str):
        raise msgspec.ValidationError(f"an entity has the type {str(kind)[:40]}, which is not a name")
    return Mention(start, end, kind, surface)


def _of_object(span: Mapping[str, Any]) -> tuple[int | None, int | None, Any, str | None]:
    start = _number(next((span[key] for key in STARTS if key in span), None))
    end = _number(next((span[key] for key in ENDS if key in span), None))
    if end is None and start is not None and "length" in span and (length := _number(span["length"])) is not None:
        end = start + length
    type_key = next((key for key in TYPES if key in span), None)
    surface = next((span[k] for k in SURFACES if k != type_key and isinstance(span.get(k), str)), None)
    return start, end, span[type_key] if type_key else None, surface


def _of_array(span: Sequence[Any], text: str) -> tuple[int | None, int | None, Any, str | None]:
    """A start, an end, a type and perhaps the entity's text; type and text may come in either order."""
    names = [part for part in span if isinstance(part, str)]
    if isinstance(span[0], str):  # the type first
        numbers = [part for part in span if not isinstance(part, str)]
        span = [*numbers[:2], *names]
    start, end = _number(span[0]), _number(span[1])
    kind, surface = span[2], span[3] if len(span) > 3 and isinstance(span[3], str) else None
    if surface is not None and start is not None and end is not None and text[start:end] == kind != surface:
        kind, surface = surface, kind
    return start, end, kind, surface


def _number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def _words(row: Mapping[str, Any], text: str) -> list[tuple[int, int]] | None:
    """The words of slimner's own format."""
    words = row.get("words")
    if not isinstance(words, list) or not all(isinstance(word, list | tuple) for word in words):
        return None
    pairs = msgspec.convert(words, list[tuple[int, int]])
    edges = [edge for word in pairs for edge in word]
    if edges != sorted(edges) or any(a == b for a, b in pairs) or not all(0 <= e <= len(text) for e in edges):
        raise msgspec.ValidationError("words are (start, end) in the text, in order and not overlapping")
    return pairs
