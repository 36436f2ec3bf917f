"""Tag schemes: which one a file is in, and its tags as entities.

All of them say where an entity begins and ends with a prefix, or leave it to be guessed: IOB1 writes B only where an
entity touches another of its type (L. Ramshaw and M. Marcus, Text Chunking using Transformation-Based Learning, 1995),
IOB2 wherever one begins, IO nowhere; BIOES, BMES, BMEW and BILOU also mark the last token (E, L) and a single one (S,
W, U), BIOS only the single one, BIEO, BMEO and BIL only the last; IOE1 and IOE2 are IOB1 and IOB2 from the other end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ...variants.labels import Span
from ...variants.tags import OUTSIDE, ROLES, Shape, shape


class CorpusScheme(msgspec.Struct, frozen=True):
    """A scheme by what its tags must mark: the begin of an entity, its end, an entity of one token."""

    name: str
    shape: Shape
    begins: bool = True
    ends: bool = False
    singles: bool = True


def recognise(sentences: Iterable[Sequence[str]]) -> CorpusScheme:
    """The scheme of a file's tags, named by exactly the letters that occur in them.

    For example, B, I and E without S are BIEO, in which a B alone is an entity, if a B stands alone anywhere in the
    file.
    """
    sentences = [list(tags) for tags in sentences]
    form = shape(tag for tags in sentences for tag in tags)
    if form.letter == "none":
        return CorpusScheme("IO", form, begins=False)
    letters: set[str] = set()
    begins_without_need = begins_with_inside = alone = open_ends = 0
    for tags in sentences:
        before = None
        for tag in [*tags, OUTSIDE[0]]:
            now = form.split(tag)
            goes_on = bool(now and before and now[1] == before[1] and ROLES[now[0]] in ("inside", "end"))
            if before and not goes_on:
                alone += ROLES[before[0]] == "begin"
                open_ends += ROLES[before[0]] == "inside"
            if now:
                letters.add(now[0])
                other = before is None or before[1] != now[1]
                begins_without_need += now[0] == "B" and other
                begins_with_inside += now[0] == "I" and other
            before = now
    ends = bool(letters & set("EL"))
    singles = bool(letters & set("SUW")) or not alone
    if letters <= set("IE") and ends:
        return CorpusScheme("IOE1" if open_ends else "IOE2", form, begins=False, ends=not open_ends, singles=False)
    if letters <= set("BI"):
        if "B" not in letters:
            return CorpusScheme("IO", form, begins=False)
        if begins_with_inside and not begins_without_need:
            return CorpusScheme("IOB1", form, begins=False)
        return CorpusScheme("IOB2", form)
    return CorpusScheme(_name(letters, singles), form, ends=ends, singles=singles)


def _name(letters: set[str], singles: bool) -> str:
    ends = bool(letters & set("EL"))
    if "M" in letters:
        return ("BMEW" if "W" in letters else "BMES") if singles and ends else "BMEO" if ends else "BMS"
    if letters & set("LU"):
        return "BILOU" if singles and ends else "BIL" if ends else "BIU"
    if not ends:
        return "BIOS"
    return "BIOES" if singles else "BIEO"


def known(tag: str, scheme: CorpusScheme) -> bool:
    """Whether a tag is one of the scheme's."""
    return tag in OUTSIDE or scheme.shape.split(tag) is not None


def entities(tags: Sequence[str], scheme: CorpusScheme) -> tuple[list[Span], list[tuple[int, str]]]:
    """Entities (start, end, type) of a sentence's tags, and its defects as (index, rule)."""
    found: list[Span] = []
    faults: list[tuple[int, str]] = []
    start, open_kind, begun = -1, "", False

    def close(end: int, *, explicit: bool) -> None:
        nonlocal start
        if start >= 0:
            found.append((start, end, open_kind))
            single = begun and end - start == 1 and not scheme.singles
            if scheme.ends and not explicit and not single:
                faults.append((end - 1, "unclosed"))
        start = -1

    for i, tag in enumerate(tags):
        parts = scheme.shape.split(tag)
        if parts is None:
            close(i, explicit=False)
            continue
        role, kind = ROLES[parts[0]], parts[1]
        if role in ("begin", "single") or start < 0 or kind != open_kind:
            close(i, explicit=False)
            if scheme.begins and role in ("inside", "end"):
                faults.append((i, "stray-inside"))
            start, open_kind, begun = i, kind, role == "begin"
        if role in ("end", "single"):
            close(i + 1, explicit=True)
    close(len(tags), explicit=False)
    return found, faults


def iob2(length: int, spans: Iterable[Span]) -> tuple[str, ...]:
    """IOB2 tags of a sentence of `length` tokens with entities (start, end, type) that do not overlap."""
    tags = ["O"] * length
    for start, end, kind in spans:
        tags[start:end] = [f"B-{kind}", *([f"I-{kind}"] * (end - start - 1))]
    return tuple(tags)
