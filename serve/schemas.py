"""Requests and answers as JSON, and their limits."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from ..variants import Entity
from .problems import ProblemError

MOST_BODY_BYTES = 1 << 20
MOST_TEXTS = 64
MOST_CHARACTERS = 20_000
MOST_TEXT_TOKENS = 20_000
MOST_REQUEST_TOKENS = 350_000

FORM = 'send {"text": "..."} or {"texts": ["...", ...]}'

Offsets = Literal["codepoints", "utf16"]


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a request: `text` or `texts`; `offsets` count code points, or UTF-16 units as JavaScript does."""

    text: str | msgspec.UnsetType = msgspec.UNSET
    texts: list[str] | msgspec.UnsetType = msgspec.UNSET
    offsets: Offsets = "codepoints"


class Entities(msgspec.Struct, frozen=True, kw_only=True):
    """Entities of one text, in order."""

    entities: list[Entity]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `text`, and the milliseconds it took."""

    entities: list[Entity]
    ms: float


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `texts`, in their order, and the milliseconds all of it took."""

    results: list[Entities]
    ms: float


_decoder = msgspec.json.Decoder(Question)

HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a pair of surrogates, or a whole one, as JSON escapes it."""


def read_question(body: bytes) -> tuple[list[str], bool, bool]:
    """The texts of a request, whether it named one only, whether offsets count UTF-16; ProblemError if malformed."""
    try:
        question = _decode(body.removeprefix(codecs.BOM_UTF8))
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ProblemError(400, f"malformed request: {error}", FORM) from None
    single = isinstance(question.text, str)
    if single == isinstance(question.texts, list):
        raise ProblemError(400, "malformed request: give either text or texts", FORM)
    texts = [question.text] if isinstance(question.text, str) else question.texts
    assert isinstance(texts, list)
    if len(texts) > MOST_TEXTS:
        raise ProblemError(422, f"{len(texts)} texts, at most {MOST_TEXTS} are allowed", "send several requests")
    for text in texts:
        if len(text) > MOST_CHARACTERS:
            raise ProblemError(
                422,
                f"a text of {len(text):,} characters, at most {MOST_CHARACTERS:,} are allowed",
                "cut it at a paragraph",
            )
    return texts, single, question.offsets == "utf16"


def _decode(body: bytes) -> Question:
    """A question; halves of surrogate pairs are kept as they are, and msgspec takes none."""
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        if not HALF.search(body):
            raise
        return msgspec.convert(json.loads(body.decode(), parse_constant=_no_number), Question)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def write_answer(
    texts: Sequence[str], results: Sequence[list[Entity]], *, single: bool, utf16: bool, seconds: Mapping[str, float]
) -> bytes:
    """The answer as JSON."""
    if utf16:
        results = [in_utf16(text, entities) for text, entities in zip(texts, results, strict=True)]
    ms = round(sum(seconds.values()) * 1000, 3)
    answer: Answer | Answers
    if single:
        answer = Answer(entities=results[0], ms=ms)
    else:
        answer = Answers(results=[Entities(entities=found) for found in results], ms=ms)
    try:
        return msgspec.json.encode(answer)
    except UnicodeEncodeError:  # half of a surrogate pair in an entity, which only escapes can carry
        return json.dumps(msgspec.to_builtins(answer), separators=(",", ":")).encode()


def in_utf16(text: str, entities: list[Entity]) -> list[Entity]:
    """The same entities with offsets in UTF-16 units, in which a character beyond U+FFFF counts twice."""
    if text.isascii() or max(text) <= "\uffff":
        return entities
    moved: list[Entity] = []
    place, units = 0, 0
    for entity in entities:
        start = units + _units(text[place : entity.start])
        units = start + _units(text[entity.start : entity.end])
        place = entity.end
        moved.append(msgspec.structs.replace(entity, start=start, end=units))
    return moved


def _units(text: str) -> int:
    return len(text) + sum(character > "\uffff" for character in text)
