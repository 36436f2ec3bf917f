"""Tags of a model and how its scores become entities: schemes of tags, decoded one by one or as a sequence."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import msgspec
import numpy as np

from .schemes import LETTERS, OPEN, SCHEMES, Scheme, read_tags
from .viterbi import viterbi

Span = tuple[int, int, str]
Decoding = Literal["argmax", "constrained", "crf"]


class Crf(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of a linear-chain CRF: of starting with a tag, ending with it, and of `transitions[from][to]`."""

    start: tuple[float, ...]
    end: tuple[float, ...]
    transitions: tuple[tuple[float, ...], ...]


class Labels(msgspec.Struct, frozen=True):
    """The tags of a model in the order of its outputs, and the scheme they are written in.

    `decoding` is "argmax" (the best tag of each token by itself, as transformers does), "constrained" (the best
    sequence in which I-X follows B-X or I-X only) or "crf" (the best sequence under `crf`).
    """

    tags: tuple[str, ...]
    decoding: Decoding = "argmax"
    scheme: Scheme = "IOB2"
    crf: Crf | None = None

    @classmethod
    def of(
        cls, id2label: Mapping[str, str], decoding: str = "argmax", scheme: str | None = None, crf: Crf | None = None
    ) -> Labels:
        """Labels from a configuration's `id2label`, in the usual form; ValueError if they are not tags of one scheme.

        Without `scheme` it is told from the tags; IOB2, where they could be IOB1 as well.
        """
        try:
            own = tuple(id2label[key] for key in sorted(id2label, key=int))
        except ValueError:
            raise ValueError("id2label has keys that are not numbers") from None
        if not own or [int(k) for k in sorted(id2label, key=int)] != list(range(len(own))):
            raise ValueError("id2label does not number its tags from 0")
        if unnamed := [tag for tag in own if re.fullmatch(r"(LABEL_|label_)?\d+", tag)]:
            raise ValueError(f"'{unnamed[0]}' is a number, not a name: the checkpoint does not say what its tags mean")
        if scheme is not None and scheme not in SCHEMES:
            raise ValueError(f"no scheme '{scheme}'; there are {', '.join(SCHEMES)}")
        tags, found = read_tags(own, scheme)
        if not {"O", "o"} & set(own) or set(tags) == {"O"}:
            raise ValueError("the tags have no O, or nothing but O")
        if duplicates := {tag for tag in tags if tags.count(tag) > 1 and tag != "O"}:
            raise ValueError(f"tag '{min(duplicates)}' appears twice in id2label")
        if decoding not in get_args(Decoding):
            raise ValueError(f"ner_decoding '{decoding}' is none of {', '.join(get_args(Decoding))}")
        if (crf is not None) != (decoding == "crf"):
            raise ValueError("ner_decoding 'crf' and the scores in ner_crf belong together")
        if crf is not None and {len(crf.start), len(crf.end), len(crf.transitions), *map(len, crf.transitions)} != {
            len(tags)
        }:
            raise ValueError(f"ner_crf is not of the {len(tags)} tags")
        if decoding == "constrained" and found != "IOB2":
            raise ValueError(f"ner_decoding 'constrained' is for IOB2 tags, these are {found}")
        return cls(tags=tags, decoding=decoding, scheme=found, crf=crf)  # type: ignore[arg-type]

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types, in the order of the tags."""
        return tuple(dict.fromkeys(_part(tag, self.scheme)[1] for tag in self.tags if tag != "O"))

    def decode(self, batch: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Tag indices, shape (units,), of each sequence of logits, shape (units, tags); none depends on another."""
        if self.crf is not None:
            return viterbi(batch, *_arrays(self.crf))
        paths: list[np.ndarray] = [logits.argmax(axis=1) for logits in batch]
        if self.decoding == "constrained":  # where the best sequence of all is valid, it is also the best valid one
            invalid = [i for i, path in enumerate(paths) if not self._valid(path)]
            allowed = _allowed(self)
            mended = viterbi(
                [log_softmax(batch[i]) for i in invalid], allowed[:-1], allowed[-1], np.zeros(len(self.tags))
            )
            for i, path in zip(invalid, mended, strict=True):
                paths[i] = path
        return paths

    def iob2(self, indices: Sequence[int] | np.ndarray) -> tuple[str, ...]:
        """The tags of those indices as IOB2 tags, which is what is scored and served, whatever the model's scheme."""
        tags = tuple(self.tags[i] for i in indices)
        return tags if self.scheme == "IOB2" else iob2(tags, self.scheme)

    def _valid(self, indices: np.ndarray) -> bool:
        allowed = _allowed(self)
        rows = np.concatenate(([len(self.tags)], indices[:-1]))
        return bool(np.isfinite(allowed[rows, indices]).all())


@functools.lru_cache(maxsize=8)
def _allowed(labels: Labels) -> np.ndarray:
    """0 where the tag of the column may follow that of the row, else minus infinity; the last row is the start."""
    allowed = np.zeros((len(labels.tags) + 1, len(labels.tags)))
    for column, tag in enumerate(labels.tags):
        if tag.startswith("I-"):
            before = [row for row, other in enumerate(labels.tags) if other[0] != "O" and other[2:] == tag[2:]]
            allowed[:, column] = -np.inf
            allowed[before, column] = 0.0
    return allowed


@functools.lru_cache(maxsize=8)
def _arrays(crf: Crf) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.asarray(crf.transitions), np.asarray(crf.start), np.asarray(crf.end)


def _part(tag: str, scheme: Scheme) -> tuple[str, str]:
    """A tag as (O, B, I, E or S, type)."""
    if tag == "O":
        return "O", ""
    letter = LETTERS[scheme].get(tag[0]) if tag[1:2] == "-" else None
    return (letter, tag[2:]) if letter else ("I", tag)


def spans(tags: Sequence[str], scheme: Scheme = "IOB2") -> list[Span]:
    """Entities (start, end, type) of a tag sequence, strictly: what is not a whole entity of the scheme is none.

    This is seqeval's strict mode with the same scheme (BMES is its IOBES with another letter), so what is served is
    what was scored; IO, which seqeval lacks, makes an entity of every run of one type.
    """
    parts = [*(_part(tag, scheme) for tag in tags), ("O", "")]
    found: list[Span] = []
    before, i = ("O", ""), 0
    while i < len(parts) - 1:
        end = i + 1
        if _starts(before, parts[i], scheme):
            while parts[end][0] in "IE" and parts[end][1] == parts[end - 1][1] and parts[end - 1][0] in "BI":
                end += 1
            if _ends(parts[end - 1], parts[end], scheme):
                found.append((i, end, parts[i][1]))
        before, i = parts[end - 1], end
    return found


def _starts(before: tuple[str, str], now: tuple[str, str], scheme: Scheme) -> bool:
    if scheme == "IO":
        return now[0] == "I" and now != before
    if scheme == "IOB1":  # B- only parts neighbours of one type
        if now[0] == "B":
            return before[0] in "BI" and before[1] == now[1]
        return now[0] == "I" and not (before[0] == "I" and before[1] == now[1])
    return now[0] in "BS"


def _ends(last: tuple[str, str], after: tuple[str, str], scheme: Scheme) -> bool:
    if scheme in OPEN:
        return True
    if scheme == "IOB1":
        return not (last[0] == after[0] == "B" and last[1] != after[1])
    return last[0] in "ES"


def iob2(tags: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """The same entities in IOB2."""
    result = ["O"] * len(tags)
    for start, end, kind in spans(tags, scheme):
        result[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    return tuple(result)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result
