"""Names: those of the training sets, and a lexicon of today's written for this recipe."""

from __future__ import annotations

import random
from collections.abc import Callable

from .texts import FOLD, TYPES, Sentence, spans, tags_of

Draw = Callable[[str, random.Random], str]  # a name of a type


class Substitution:
    """Replaces an entity by another of its type: of the training sets, or for a share `fresh` of them one of `draw`."""

    def __init__(self, sentences: list[Sentence], draw: Draw | None = None, fresh: float = 0.0) -> None:
        self.draw, self.fresh = draw, fresh
        self.own: dict[str, list[list[str]]] = {kind: [] for kind in TYPES}
        for characters, tags in sentences:
            for start, end, kind in spans(tags):
                if end - start <= 20:
                    self.own[kind].append(characters[start:end])

    def __call__(self, sentence: Sentence, rate: float, rng: random.Random) -> Sentence:
        characters, tags = sentence
        if not rate:
            return sentence
        out_c: list[str] = []
        out_t: list[str] = []
        last = 0
        for start, end, kind in spans(["O" if t == "?" else t for t in tags]):
            out_c += characters[last:start]
            out_t += tags[last:start]
            name = characters[start:end]
            if rng.random() < rate:
                if self.draw and rng.random() < self.fresh:
                    name = [c for c in FOLD.normalize_str(self.draw(kind, rng)) if not c.isspace()]
                else:
                    name = rng.choice(self.own[kind])
            out_c += name
            out_t += tags_of(len(name), kind)
            last = end
        return out_c + characters[last:], out_t + tags[last:]
