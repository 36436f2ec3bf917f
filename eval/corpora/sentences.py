"""A labelled sentence, made from a text with spans or from words with tags."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ...variants.labels import Span, spans
from ...variants.reading import LONE_SURROGATE, UNSPACED
from .defects import Defects
from .schemes import iob2


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """A text, the tokens that are scored as (start, end) in it, and its gold tags in IOB2, one a token.

    The tokens are the words of a corpus that came split (`words`), else the characters that are not white space.
    """

    text: str
    tokens: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]
    words: bool = False

    @property
    def entities(self) -> list[Span]:
        """Gold entities (start, end, type) in characters of the text."""
        return [(self.tokens[a][0], self.tokens[b - 1][1], kind) for a, b, kind in spans(self.tags)]


class Mention(msgspec.Struct, frozen=True):
    """An entity as a file states it, with the text it claims to be, if it says so."""

    start: int
    end: int
    type: str
    surface: str | None = None


def from_text(
    text: str, mentions: Sequence[Mention], line: int, defects: Defects, words: Sequence[tuple[int, int]] | None = None
) -> Sentence:
    """The sentence of a text and its entities; `words` are given only if the corpus came split."""
    if LONE_SURROGATE.search(text):
        defects.add("lone-surrogate", line, "half of a surrogate pair in the text")
        text = LONE_SURROGATE.sub("\ufffd", text)
    tokens = words if words is not None else [(i, i + 1) for i, c in enumerate(text) if not c.isspace()]
    placed = [span for mention in mentions if (span := _placed(text, mention, line, defects))]
    first = {start: index for index, (start, _) in enumerate(tokens)}
    last = {end: index + 1 for index, (_, end) in enumerate(tokens)}
    inside: list[Span] = []
    for start, end, kind in _flat(placed, line, defects):
        if start in first and end in last:
            inside.append((first[start], last[end], kind))
        else:
            defects.add("cut-word", line, f"entity {start}..{end} cuts a word")
    return Sentence(text=text, tokens=tuple(tokens), tags=iob2(len(tokens), inside), words=words is not None)


def _placed(text: str, mention: Mention, line: int, defects: Defects) -> Span | None:
    """The entity's true offsets, or None if it has none."""
    start, end, kind, surface = mention.start, mention.end, mention.type, mention.surface
    there = text[start:end] if 0 <= start < end <= len(text) else None
    if surface is not None and there != LONE_SURROGATE.sub("\ufffd", surface):
        units = text.encode("utf-16-le")
        if 0 <= start < end and units[2 * start : 2 * end] == surface.encode("utf-16-le", "surrogatepass"):
            defects.add("utf16-offsets", line, f"entity {start}..{end} '{surface}' counts UTF-16 units")
            start, end = (len(units[: 2 * edge].decode("utf-16-le", "surrogatepass")) for edge in (start, end))
        elif 0 <= start <= end and text[start : end + 1] == surface:
            defects.add("inclusive-end", line, f"entity {start}..{end} '{surface}' ends with its last character")
            end += 1
        elif there is not None:
            defects.add("surface", line, f"entity {start}..{end} is '{there}', not '{surface}'")
            return None
    if not 0 <= start < end <= len(text):
        defects.add("outside", line, f"entity {start}..{end} is outside the text of {len(text)} characters")
        return None
    if not kind.strip() or kind != kind.strip():
        defects.add("malformed", line, f"entity {start}..{end} has the type '{kind}'")
        return None
    name = text[start:end]
    if not name.strip():
        defects.add("empty-entity", line, f"entity {start}..{end} has nothing but white space")
        return None
    if name != name.strip():
        defects.add("white-space-edge", line, f"entity {start}..{end} '{name}' has white space at its edge")
        start, end = start + len(name) - len(name.lstrip()), end - len(name) + len(name.rstrip())
    return start, end, kind


def _flat(placed: list[Span], line: int, defects: Defects) -> list[Span]:
    """The entities in order, without those that overlap a longer one."""
    unique: dict[Span, None] = {}
    for span in placed:
        if span in unique:
            defects.add("repeated-entity", line, f"{_say(span)} twice")
        unique[span] = None
    kept: list[Span] = []
    for span in sorted(unique, key=lambda span: span[0] - span[1]):  # stable: of two as long, the first
        if clash := next((other for other in kept if other[0] < span[1] and span[0] < other[1]), None):
            defects.add("overlap", line, f"{_say(span)} overlaps {_say(clash)}")
        else:
            kept.append(span)
    return sorted(kept)


def _say(span: Span) -> str:
    return f"{span[2]} {span[0]}..{span[1]}"


def from_words(words: Sequence[str], entities: Sequence[Span]) -> Sentence:
    """The sentence of words, with entities (start, end, type) that count words.

    The text is the words with a space between neighbours unless an ideograph or kana is on either side.
    """
    text, tokens = "", list[tuple[int, int]]()
    for word in words:
        if text and not UNSPACED.match(text[-1]) and not UNSPACED.match(word[0]):
            text += " "
        tokens.append((len(text), len(text) + len(word)))
        text += word
    return Sentence(text=text, tokens=tuple(tokens), tags=iob2(len(words), entities), words=True)


def from_characters(pieces: Sequence[str], entities: Sequence[Span]) -> Sentence:
    """The sentence of pieces of a text that is written without spaces; entities count pieces."""
    edges = [0]
    for piece in pieces:
        edges.append(edges[-1] + len(piece))
    text = "".join(pieces)
    tokens = [(i, i + 1) for i, character in enumerate(text) if not character.isspace()]
    number = {start: index for index, (start, _) in enumerate(tokens)}
    inside: list[Span] = []
    for start, end, kind in entities:
        numbers = [number[i] for i in range(edges[start], edges[end]) if i in number]
        if numbers:
            inside.append((numbers[0], numbers[-1] + 1, kind))
    return Sentence(text=text, tokens=tuple(tokens), tags=iob2(len(tokens), inside))
