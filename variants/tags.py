"""How a tag is written, read without knowing the scheme: a letter and a type, whichever comes first.

`B-PER`, `b-per`, `B_PER`, `B:PER`, `B.PER`, `B PER`, `PER-B` and `per_b` all say that a PER begins. `shape` tells from
all the tags of a file or a model in which of these ways they are written, so that a type is never made of a tag
(`B_PER` of `B_PER`, or `B` of `PER-B`); `Shape.split` takes a tag apart. What the letters mean together, which is the
scheme, is for the caller: `ROLES` says what each does by itself. Shared by models (labels.py) and corpora.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

Role = Literal["begin", "inside", "end", "single"]

ROLES: dict[str, Role] = {
    "B": "begin",
    "I": "inside",
    "M": "inside",
    "E": "end",
    "L": "end",
    "S": "single",
    "U": "single",
    "W": "single",
}
OUTSIDE = ("O", "o")
LETTER_FIRST = re.compile(r"(?P<letter>[BIMELSUWbimelsuw])[-_:/|. ](?P<type>\S.*)")
LETTER_LAST = re.compile(r"(?P<type>.*\S)[-_:/|. ](?P<letter>[BIMELSUWbimelsuw])")
LETTER_ALONE = re.compile(r"[BIMELSUWbimelsuw][-_:/|. ]?")
SEVERAL = re.compile(r"[|,;+](O([|,;+]|$)|[BIMELSUW][-_:.]\S)")  # B-PER|B-ORG: nested entities in one place


class Shape(msgspec.Struct, frozen=True):
    """Position of the letter of a tag: before its type, after it, or nowhere (types alone)."""

    letter: Literal["first", "last", "none"]

    def split(self, tag: str) -> tuple[str, str] | None:
        """Letter (a capital; "I" where types stand alone) and type; None for a tag outside, or not of this shape."""
        if tag in OUTSIDE:
            return None
        if self.letter == "none":
            return ("I", tag) if tag.strip() else None
        match = (LETTER_FIRST if self.letter == "first" else LETTER_LAST).fullmatch(tag)
        return (match["letter"].upper(), match["type"]) if match else None


def typeless(tags: Iterable[str]) -> bool:
    """Whether the tags are letters without types: B, I and O."""
    distinct = {tag for tag in tags if tag not in OUTSIDE}
    begun = any(tag[0] in "BIbi" for tag in distinct if tag)
    return begun and all(LETTER_ALONE.fullmatch(tag) for tag in distinct)


def shape(tags: Iterable[str]) -> Shape:
    """The shape that tags have: with letters first if any has, last if half of them have, else types alone."""
    distinct = {tag for tag in tags if tag not in OUTSIDE}
    if any(LETTER_FIRST.fullmatch(tag) for tag in distinct):
        # "B-PER-B" has both; "PER-B" beside one accidental "S-Bahn" has only the suffix
        first, last = (sum(bool(p.fullmatch(tag)) for tag in distinct) for p in (LETTER_FIRST, LETTER_LAST))
        return Shape("last" if last == len(distinct) > first else "first")
    matching = sum(bool(LETTER_LAST.fullmatch(tag)) for tag in distinct)
    return Shape("last" if distinct and matching * 2 >= len(distinct) else "none")
