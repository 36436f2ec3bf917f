"""Schemes of a model's tags: the meaning of their letters, and how to find the scheme of a set of tags."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from .tags import OUTSIDE, SEVERAL, Shape, shape, typeless

Scheme = Literal["IOB2", "IOB1", "BIOES", "BMES", "BMEW", "BILOU", "BIOS", "BIEO", "BMEO", "IO"]
SCHEMES: tuple[Scheme, ...] = get_args(Scheme)

# What the letters of a scheme mean: B begins, I goes on, E ends, S is a name of one unit.
LETTERS: Mapping[Scheme, Mapping[str, str]] = {
    "IOB2": {"B": "B", "I": "I"},
    "IOB1": {"B": "B", "I": "I"},
    "BIOES": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "BMES": {"B": "B", "M": "I", "E": "E", "S": "S"},
    "BMEW": {"B": "B", "M": "I", "E": "E", "W": "S"},
    "BILOU": {"B": "B", "I": "I", "L": "E", "U": "S"},
    "BIOS": {"B": "B", "I": "I", "S": "S"},
    "BIEO": {"B": "B", "I": "I", "E": "E"},
    "BMEO": {"B": "B", "M": "I", "E": "E"},
    "IO": {"I": "I"},
}

# Letters that a model of the scheme may do without: names of it may all be short, or never touch.
_DISPENSABLE: Mapping[Scheme, str] = {"IOB2": "I", "IOB1": "B", "BIOES": "I", "BMES": "M", "BMEW": "M", "BILOU": "I"}

# An entity of these schemes is whole without a letter that ends it.
OPEN: frozenset[Scheme] = frozenset({"IO", "IOB2", "BIOS", "BIEO", "BMEO"})

# Outputs for padding, special tokens and the rest of a word: none of them names anything.
_BRACKETED = re.compile(r"\[[A-Z]+\]|</?[A-Za-z_]+>")
_PLACEHOLDER = re.compile(rf"{_BRACKETED.pattern}|PAD|X")


def read_tags(own: Sequence[str], wanted: str | None = None) -> tuple[tuple[str, ...], Scheme]:
    """A model's tags in the usual form (`B-PER`, a bare type, `O`), and their scheme; ValueError if they are of none.

    With `wanted`, of that scheme or an error.
    """
    names = [name for name in own if not _PLACEHOLDER.fullmatch(name)]
    if several := [name for name in names if SEVERAL.search(name)]:
        raise ValueError(f"'{several[0]}' is more than one tag")
    if wanted != "IO" and typeless(names):
        raise ValueError(f"the tags, {', '.join(own)}, have letters but no type")
    written = shape(names)
    if wanted == "IO" and {letter for letter, _ in _parts(own, written).values()} != {"I"}:
        written = Shape("none")  # names of types that only look like tags
    parts = _parts(own, written)
    _check(own, written, parts)
    tags = tuple(_usual(tag, written, parts) for tag in own)
    letters = {letter for letter, _ in parts.values()} or {"I"}
    fits: list[Scheme] = [
        scheme
        for scheme in SCHEMES
        if set(LETTERS[scheme]) - set(_DISPENSABLE.get(scheme, "")) <= letters <= set(LETTERS[scheme])
    ]
    if wanted is not None:
        if wanted not in fits:
            raise ValueError(f"the tags, such as '{own[0]}' and '{own[-1]}', are not {wanted}")
        return tags, wanted
    if not fits:
        raise ValueError(
            f"the letters of the tags, {', '.join(sorted(letters))}, are not those of any of {', '.join(SCHEMES)}"
        )
    if letters == {"I"}:
        return tags, "IO"
    if fits[0] == "IOB2" and any(tag.startswith("I-") and f"B-{tag[2:]}" not in tags for tag in tags):
        return tags, "IOB1"  # a type that never needs B- to part two neighbours
    return tags, fits[0]


def _parts(own: Sequence[str], written: Shape) -> dict[str, tuple[str, str]]:
    """(letter, type) of each tag that names something."""
    parts = {tag: part for tag in own if (part := written.split(tag))}
    nothing = _BRACKETED if written.letter == "none" else _PLACEHOLDER
    return {tag: part for tag, part in parts.items() if not nothing.fullmatch(tag)}


def _check(own: Sequence[str], written: Shape, parts: Mapping[str, tuple[str, str]]) -> None:
    """ValueError if a tag is written differently from the rest, or is not a name."""
    if written.letter == "none":
        if nameless := [name for name in parts if not any(character.isalpha() for character in name)]:
            raise ValueError(f"'{nameless[0]}' does not name a type of entity")
        return
    odd = [tag for tag in own if tag not in parts and tag not in OUTSIDE and not _PLACEHOLDER.fullmatch(tag)]
    if odd:
        raise ValueError(f"'{odd[0]}' is not a tag as '{next(iter(parts))}' is")
    letters = sorted({tag[0] if written.letter == "first" else tag[-1] for tag in parts})
    if len({letter.isupper() for letter in letters}) > 1:
        raise ValueError(f"the letters of the tags are in upper and lower case: {', '.join(letters)}")


def _usual(tag: str, written: Shape, parts: Mapping[str, tuple[str, str]]) -> str:
    if tag not in parts:
        return "O"
    letter, kind = parts[tag]
    return kind if written.letter == "none" else f"{letter}-{kind}"
