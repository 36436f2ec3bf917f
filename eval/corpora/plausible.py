"""Whether a file can be labelled text at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core.errors import CorpusError
from .defects import Defects
from .sentences import Sentence

FEW = 5  # tokens, types or entities below which a file is too small to be judged


def check(sentences: Sequence[Sentence], defects: Defects) -> None:
    """Add the defects of a whole file: no token outside, types that are not types."""
    tokens = sum(len(sentence.tags) for sentence in sentences)
    found = [(s.text[start:end], kind) for s in sentences for start, end, kind in s.entities]
    kinds = {kind for _, kind in found}
    if tokens >= FEW and all(tag != "O" for sentence in sentences for tag in sentence.tags):
        defects.add("no-outside", 1, f"all {tokens:,} tokens are inside entities")
    if len(kinds) >= FEW and (len(kinds) > 0.5 * tokens or len(kinds) > 0.5 * len(found) > 10 * FEW):
        shown = ", ".join(sorted(kinds)[:4])
        defects.add(
            "many-types", 1, f"{len(kinds):,} types in {len(found):,} entities, {tokens:,} tokens: {shown}, ..."
        )
    own = [text for text, kind in found if text == kind]
    if own and len(own) >= 0.5 * len(found):
        defects.add(
            "text-as-type", 1, f"{len(own):,} of {len(found):,} entities have their text as type, as '{own[0]}'"
        )


def require_names(types: Sequence[str], renamed: Mapping[str, str], drop: Sequence[str], where: str) -> None:
    """Raise CorpusError if types are numbers without names."""
    if numbers := [kind for kind in types if kind.isdecimal() and kind not in renamed and kind not in drop]:
        names = ("PER", "LOC", "ORG")
        hint = " ".join(f"--map {number}={name}" for number, name in zip(numbers, names, strict=False))
        raise CorpusError(
            f"{where}: labels are numbers ({', '.join(numbers[:8])}) without names",
            f"name them: {hint}",
        )
