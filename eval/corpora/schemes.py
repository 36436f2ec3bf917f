"""Tag schemes: which one a file is in, and its tags as entities.

All of them say where an entity begins and ends with a prefix, or leave it to be guessed: IOB1 writes B only where an
entity touches another of its type (L. Ramshaw and M. Marcus, Text Chunking using Transformation-Based Learning, 1995),
IOB2 wherever one begins, IO nowhere; BIOES, BMES and BILOU also mark the last token (E, E, L) and a single one (S, S,
U).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from ...variants.labels import Span

ROLES = {
    "B": "begin",
    "I": "inside",
    "M": "inside",
    "E": "end",
    "L": "end",
    "S": "single",
    "U": "single",
    "W": "single",
}
TAG = re.compile(r"([BIMELSUW])[-_](\S.*)")


class Scheme(msgspec.Struct, frozen=True):
    """A scheme by what its tags have to do: begin an entity explicitly, end one explicitly; or are types alone."""

    name: str
    begins: bool = True
    ends: bool = False
    bare: bool = False


def recognise(sentences: Iterable[Sequence[str]]) -> Scheme:
    """The scheme of a file's tags."""
    prefixes: set[str] = set()
    bare = False
    begins_without_need = begins_with_inside = 0
    for tags in sentences:
        before = ""
        for tag in tags:
            match = TAG.fullmatch(tag)
            kind = match[2] if match else ""
            if match:
                prefixes.add(match[1])
                begins_without_need += match[1] == "B" and before != kind
                begins_with_inside += match[1] == "I" and before != kind
            elif tag != "O":
                bare = True
            before = kind
    if bare and not prefixes:
        return Scheme("IO", begins=False, bare=True)
    ends = bool(prefixes & set("EL"))
    if "M" in prefixes:
        return Scheme("BMES", ends=ends)
    if prefixes & set("LU"):
        return Scheme("BILOU", ends=ends)
    if prefixes & set("ESW"):
        return Scheme("BIOES" if ends else "BIOS", ends=ends)
    if "I" in prefixes and "B" not in prefixes:
        return Scheme("IO", begins=False)
    if begins_with_inside and not begins_without_need:
        return Scheme("IOB1", begins=False)
    return Scheme("IOB2")


def known(tag: str, scheme: Scheme) -> bool:
    """Whether a tag is one of the scheme's."""
    return tag == "O" or scheme.bare or TAG.fullmatch(tag) is not None


def entities(tags: Sequence[str], scheme: Scheme) -> tuple[list[Span], list[tuple[int, str]]]:
    """Entities (start, end, type) of a sentence's tags, and its defects as (index, rule)."""
    found: list[Span] = []
    faults: list[tuple[int, str]] = []
    start, open_kind = -1, ""

    def close(end: int, *, explicit: bool) -> None:
        nonlocal start
        if start >= 0:
            found.append((start, end, open_kind))
            if scheme.ends and not explicit:
                faults.append((end - 1, "unclosed"))
        start = -1

    for i, tag in enumerate(tags):
        role, kind = _split(tag, scheme)
        if role == "outside":
            close(i, explicit=False)
            continue
        if role in ("begin", "single") or start < 0 or kind != open_kind:
            close(i, explicit=False)
            if scheme.begins and role in ("inside", "end"):
                faults.append((i, "stray-inside"))
            start, open_kind = i, kind
        if role in ("end", "single"):
            close(i + 1, explicit=True)
    close(len(tags), explicit=False)
    return found, faults


def _split(tag: str, scheme: Scheme) -> tuple[str, str]:
    if tag == "O":
        return "outside", ""
    if scheme.bare:
        return "inside", tag
    match = TAG.fullmatch(tag)
    return (ROLES[match[1]], match[2]) if match else ("outside", "")


def iob2(length: int, spans: Iterable[Span]) -> tuple[str, ...]:
    """IOB2 tags of a sentence of `length` tokens with entities (start, end, type) that do not overlap."""
    tags = ["O"] * length
    for start, end, kind in spans:
        tags[start:end] = [f"B-{kind}", *([f"I-{kind}"] * (end - start - 1))]
    return tuple(tags)
