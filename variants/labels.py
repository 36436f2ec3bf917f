"""Tags of a model and how scores become entities: IOB2, by best tag or by best valid sequence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

Span = tuple[int, int, str]
Decoding = Literal["argmax", "constrained"]


class Labels(msgspec.Struct, frozen=True):
    """The tags of a model in the order of its outputs.

    `decoding` is "argmax" (the best tag of each token by itself, as transformers does) or "constrained" (the best
    sequence in which I-X follows B-X or I-X only).
    """

    tags: tuple[str, ...]
    decoding: Decoding = "argmax"

    @classmethod
    def of(cls, id2label: Mapping[str, str], decoding: str = "argmax") -> Labels:
        """Labels from a configuration's `id2label`; ValueError if they are not IOB2 tags."""
        try:
            tags = tuple(id2label[key] for key in sorted(id2label, key=int))
        except ValueError:
            raise ValueError("id2label has keys that are not numbers") from None
        if not tags or [int(k) for k in sorted(id2label, key=int)] != list(range(len(tags))):
            raise ValueError("id2label does not number its tags from 0")
        if wrong := [tag for tag in tags if tag != "O" and not re.fullmatch(r"[BI]-.+", tag)]:
            raise ValueError(f"'{wrong[0]}' is not an IOB2 tag (O, B-TYPE, I-TYPE)")
        if stray := [tag for tag in tags if tag.startswith("I-") and f"B-{tag[2:]}" not in tags]:
            raise ValueError(f"'{stray[0]}' has no 'B-{stray[0][2:]}' beside it, so this is not IOB2")
        if duplicates := {tag for tag in tags if tags.count(tag) > 1}:
            raise ValueError(f"tag '{min(duplicates)}' appears twice in id2label")
        if "O" not in tags or len(tags) < 2:
            raise ValueError("the tags have no O, or nothing but O")
        if decoding not in ("argmax", "constrained"):
            raise ValueError(f"ner_decoding '{decoding}' is neither 'argmax' nor 'constrained'")
        return cls(tags=tags, decoding=decoding)  # type: ignore[arg-type]

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types, in the order of the tags."""
        return tuple(dict.fromkeys(tag[2:] for tag in self.tags if tag != "O"))

    def decode(self, logits: np.ndarray) -> np.ndarray:
        """Tag indices, shape (units,), from logits, shape (units, tags)."""
        best: np.ndarray = logits.argmax(axis=1)
        if self.decoding == "argmax" or self._valid(best):
            return best  # the best sequence of all is valid, so it is also the best valid one
        return self._best_valid(log_softmax(logits))

    def _allowed(self) -> np.ndarray:
        """0 where the tag of the column may follow that of the row, else minus infinity; the last row is the start."""
        allowed = np.zeros((len(self.tags) + 1, len(self.tags)))
        for column, tag in enumerate(self.tags):
            if tag.startswith("I-"):
                before = [row for row, other in enumerate(self.tags) if other[0] != "O" and other[2:] == tag[2:]]
                allowed[:, column] = -np.inf
                allowed[before, column] = 0.0
        return allowed

    def _valid(self, indices: np.ndarray) -> bool:
        allowed = self._allowed()
        rows = np.concatenate(([len(self.tags)], indices[:-1]))
        return bool(np.isfinite(allowed[rows, indices]).all())

    def _best_valid(self, scores: np.ndarray) -> np.ndarray:
        allowed = self._allowed()
        best = scores[0] + allowed[-1]
        origins = np.zeros(scores.shape, dtype=np.int64)
        for i in range(1, len(scores)):
            candidates = best[:, None] + allowed[:-1]
            origins[i] = candidates.argmax(axis=0)
            best = candidates.max(axis=0) + scores[i]
        path = np.zeros(len(scores), dtype=np.int64)
        path[-1] = best.argmax()
        for i in range(len(scores) - 1, 0, -1):
            path[i - 1] = origins[i, path[i]]
        return path


def spans(tags: Sequence[str]) -> list[Span]:
    """Entities (start, end, type) of a tag sequence, strictly: a B-X and the I-X that follow; a stray I-X is none.

    This is seqeval's strict mode with the IOB2 scheme, so what is served is what was scored.
    """
    found: list[Span] = []
    start, kind = -1, ""
    for i, tag in enumerate([*tags, "O"]):
        if start >= 0 and tag != f"I-{kind}":
            found.append((start, i, kind))
            start = -1
        if tag.startswith("B-"):
            start, kind = i, tag[2:]
    return found


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
