"""Changes to a corpus after reading: types renamed or left out, and a sample that keeps the mix of types."""

from __future__ import annotations

import collections
import random
from collections.abc import Mapping, Sequence

import msgspec

from .sentences import Sentence


def renamed(tags: Sequence[str], names: Mapping[str, str], drop: Sequence[str]) -> list[str]:
    """Tags with types renamed, those of dropped types O.

    An I-X that would continue the entity before it only because of its new name becomes O, so that renaming merges no
    entities.
    """
    made: list[str] = []
    before = ""
    for tag in tags:
        kind = tag[2:]
        if tag == "O" or kind in drop:
            made.append("O")
        else:
            new = f"{tag[:2]}{names.get(kind, kind)}"
            joins = new[0] == "I" and before != kind and bool(made) and made[-1][2:] == new[2:]
            made.append("O" if joins else new)
        before = kind
    return made


def sample(sentences: Sequence[Sentence], size: int, seed: int) -> list[Sentence]:
    """About `size` sentences in the order of the corpus, drawn without replacement, stratified by type.

    A sentence belongs to the stratum of the rarest type in it, or to that of sentences without entities; strata are
    drawn in proportion to their size (largest remainders), none left empty while `size` allows.
    """
    if size >= len(sentences):
        return list(sentences)
    kinds = [sorted({kind for *_, kind in sentence.entities}) for sentence in sentences]
    frequency = collections.Counter(kind for row in kinds for kind in row)
    strata: dict[str, list[int]] = {}
    for index, row in enumerate(kinds):
        strata.setdefault(min(row, key=lambda kind: (frequency[kind], kind), default=""), []).append(index)
    shares = _shares({kind: len(members) for kind, members in strata.items()}, size)
    draw = random.Random(seed)
    chosen = [index for kind in sorted(strata) for index in draw.sample(strata[kind], shares[kind])]
    return [sentences[index] for index in sorted(chosen)]


def _shares(sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` divided in proportion to sizes, each at least 1 while there is one for each, none above its size."""
    whole = sum(sizes.values())
    exact = {kind: total * size / whole for kind, size in sizes.items()}
    least = 1 if total >= len(sizes) else 0
    shares = {kind: max(least, int(share)) for kind, share in exact.items()}
    by_need = sorted(sizes, key=lambda kind: (shares[kind] - exact[kind], kind))
    while (missing := total - sum(shares.values())) > 0:
        for kind in by_need[:missing]:
            shares[kind] += 1
    while sum(shares.values()) > total:
        most = max(shares, key=lambda kind: (shares[kind] - exact[kind] if shares[kind] > least else -1.0, kind))
        shares[most] -= 1
    return shares


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """Types by their new names, and types that are not scored."""

    map: dict[str, str] = {}
    drop: tuple[str, ...] = ()

    def __call__(self, tags: Sequence[str]) -> list[str]:
        """The tags under the new names."""
        return renamed(tags, self.map, self.drop) if self.map or self.drop else list(tags)

    def types(self, known: Sequence[str]) -> list[str]:
        """Types under their new names, without the dropped ones."""
        return list(dict.fromkeys(self.map.get(kind, kind) for kind in known if kind not in self.drop))
