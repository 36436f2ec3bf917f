"""Pairs of entities from two labellings of a text, and what each predicted one shares with the gold one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..core.records import Found, Matches


def match(before: Sequence[Found], after: Sequence[Found]) -> list[tuple[Found | None, Found | None]]:
    """Pairs of entities, in order of the text: equal ones first, then those that overlap most."""
    rest = [entity for entity in after if entity not in before]
    pairs: list[tuple[Found | None, Found | None]] = [(entity, entity) for entity in before if entity in after]
    left = [entity for entity in before if entity not in after]
    overlaps = [
        (min(old.end, new.end) - max(old.start, new.start), old.type == new.type, i, j)
        for i, old in enumerate(left)
        for j, new in enumerate(rest)
    ]
    old_done, new_done = set[int](), set[int]()
    for shared, _, i, j in sorted(overlaps, key=lambda o: (-o[0], not o[1], o[2], o[3])):
        if shared > 0 and i not in old_done and j not in new_done:
            pairs.append((left[i], rest[j]))
            old_done.add(i)
            new_done.add(j)
    pairs += [(entity, None) for i, entity in enumerate(left) if i not in old_done]
    pairs += [(None, entity) for j, entity in enumerate(rest) if j not in new_done]
    return sorted(pairs, key=_place)


def _place(pair: tuple[Found | None, Found | None]) -> int:
    return min(entity.start for entity in pair if entity is not None)


def count_matches(labellings: Iterable[tuple[Sequence[Found], Sequence[Found]]]) -> dict[str, Matches]:
    """Matches of gold and predicted entities, given as such pairs, by gold type (a spurious entity by its own).

    The classes are those of MUC and nervaluate: right, the type right but not the ends, the ends right but not the
    type, only an overlap, missed, spurious.
    """
    counts: dict[str, Counter[str]] = {}
    for gold, predicted in labellings:
        for wanted, found in match(gold, predicted):
            if entity := wanted or found:
                counts.setdefault(entity.type, Counter())[_class(wanted, found)] += 1
    return {kind: Matches(**counts[kind]) for kind in sorted(counts)}


def _class(wanted: Found | None, found: Found | None) -> str:
    if wanted is None:
        return "spurious"
    if found is None:
        return "missed"
    if wanted == found:
        return "right"
    if wanted.type == found.type:
        return "boundary"
    return "type" if (wanted.start, wanted.end) == (found.start, found.end) else "overlap"
