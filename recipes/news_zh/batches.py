"""Endless training data: a chunk at a time, the same for the same seed, made of several sources by weight."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from .names import Substitution
from .texts import LABELS, Sentence, Traditional, spans
from .vocabulary import CLS, PAD, SEP, UNK, WINDOW

LABEL = {name: n for n, name in enumerate(LABELS)} | {"?": -100}  # "?" is a tag that nothing is learnt from
Rows = tuple[torch.Tensor, torch.Tensor]  # token ids and targets, both (batch, length)


def batches(lengths: list[int], tokens: int, rng: random.Random) -> list[list[int]]:
    """Indices grouped by similar length into batches of about `tokens` padded tokens, shuffled."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] + rng.random() * 8)
    grouped: list[list[int]] = []
    current: list[int] = []
    for i in order:
        if current and (len(current) + 1) * (lengths[i] + 2) > tokens:
            grouped.append(current)
            current = []
        current.append(i)
    if current:
        grouped.append(current)
    rng.shuffle(grouped)
    return grouped


def pad(rows: list[list[int]], value: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


@dataclass(frozen=True, kw_only=True)
class Source:
    """Sentences, how many of them a chunk takes, and the share of their names that is replaced."""

    sentences: list[Sentence]
    share: int
    substitution: float = 0.0

    def take(self, chunk: int, seed: str) -> list[Sentence]:
        """The sentences of a chunk: every sentence comes once before any comes twice."""
        chosen: list[Sentence] = []
        order: list[int] = []
        made = -1
        size = len(self.sentences)
        for n in range(chunk * self.share, (chunk + 1) * self.share):
            if made != n // size:
                made = n // size
                order = list(range(size))
                random.Random(f"{seed}/{made}").shuffle(order)
            chosen.append(self.sentences[order[n % size]])
        return chosen


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """What a chunk is made of. `made` writes new sentences, `templated` of them a chunk."""

    sources: list[Source]
    ids: dict[str, int]
    substitution: Substitution
    tokens: int
    seed: str
    made: Callable[[random.Random], Sentence] | None = None
    templated: int = 0
    joined: float = 0.25
    unknown: float = 0.04
    traditional: float = 0.06

    def chunk(self, number: int) -> Iterator[Rows]:
        """The batches of chunk `number`."""
        rng = random.Random(f"{self.seed}/{number}")
        rewrite = Traditional()
        sentences: list[Sentence] = []
        for n, source in enumerate(self.sources):
            for sentence in source.take(number, f"{self.seed}/{n}"):
                sentences.append(self.substitution(sentence, source.substitution, rng))
        if self.made:
            sentences += [self.made(rng) for _ in range(self.templated)]
        rng.shuffle(sentences)
        ready: list[Sentence] = []
        for characters, tags in sentences:
            if rng.random() < self.traditional:
                characters = rewrite(characters)
            if ready and rng.random() < self.joined and len(ready[-1][0]) + len(characters) <= WINDOW - 2:
                ready[-1] = (ready[-1][0] + characters, ready[-1][1] + tags)
            else:
                ready.append((characters[: WINDOW - 2], tags[: WINDOW - 2]))
        for group in batches([len(c) for c, _ in ready], self.tokens, rng):
            inputs: list[list[int]] = []
            for i in group:
                ids = (self.ids.get(c, UNK) for c in ready[i][0])
                inputs.append([CLS, *(UNK if rng.random() < self.unknown else t for t in ids), SEP])
            targets = [[-100, *(LABEL[t] for t in ready[i][1]), -100] for i in group]
            yield pad(inputs, PAD), pad(targets, -100)


def without_conflicts(
    sentences: list[Sentence], predicted: list[list[str]], kept: float, rng: random.Random
) -> list[Sentence]:
    """Sentences in which a name that only the prediction has is not learnt from, except for a share `kept` of them.

    Corpora differ in what they mark (one leaves out countries); where they disagree about a name, neither is taught.
    """
    result: list[Sentence] = []
    for (characters, tags), other in zip(sentences, predicted, strict=True):
        changed = list(tags)
        for start, end, _ in spans(other):
            if all(tag == "O" for tag in tags[start:end]) and rng.random() >= kept:
                changed[start:end] = ["?"] * (end - start)
        result.append((characters, changed))
    return result
