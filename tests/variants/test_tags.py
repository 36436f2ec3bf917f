"""A tag is taken apart in whichever way it is written."""

from __future__ import annotations

import pytest
from slimner.variants.tags import shape


@pytest.mark.parametrize(
    ("tags", "letter", "parts"),
    [
        (["O", "B-PER", "I-PER"], "first", [None, ("B", "PER"), ("I", "PER")]),
        (["O", "B_PER", "I_PER"], "first", [None, ("B", "PER"), ("I", "PER")]),
        (["O", "B-PERSON_NAME", "B-PER-NOM"], "first", [None, ("B", "PERSON_NAME"), ("B", "PER-NOM")]),
        (["o", "b-per", "i-per"], "first", [None, ("B", "per"), ("I", "per")]),
        (["O", "PER-B", "PER-I", "LOC_CITY-B"], "last", [None, ("B", "PER"), ("I", "PER"), ("B", "LOC_CITY")]),
        (["O", "B PER", "I PER", "PER.NAM"], "first", [None, ("B", "PER"), ("I", "PER"), None]),
        (["O", "per_b", "per_i"], "last", [None, ("B", "per"), ("I", "per")]),
        (["O", "S-Bahn-B", "S-Bahn-I", "PER-B"], "last", [None, ("B", "S-Bahn"), ("I", "S-Bahn"), ("B", "PER")]),
        (["O", "PER", "LOC"], "none", [None, ("I", "PER"), ("I", "LOC")]),
        (["O", "PER", "vitamin-B", "LOC"], "none", [None, ("I", "PER"), ("I", "vitamin-B"), ("I", "LOC")]),
        (["O", "B-PER", "X"], "first", [None, ("B", "PER"), None]),
    ],
)
def test_a_tag_is_a_letter_and_a_type(tags: list[str], letter: str, parts: list[tuple[str, str] | None]) -> None:
    found = shape(tags)
    assert found.letter == letter
    assert [found.split(tag) for tag in tags] == parts
