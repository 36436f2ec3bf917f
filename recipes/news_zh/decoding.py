"""Tags from scores, and strict F1: progress figures while training; `slimner eval` has the last word."""

from __future__ import annotations

import math
import random
from typing import Any

import torch

from . import encoder
from .batches import batches, pad
from .texts import LABELS, Sentence, spans
from .vocabulary import CLS, PAD, SEP, UNK, WINDOW


def allowed_transitions() -> torch.Tensor:
    """0 where a tag may follow another in IOB2, minus infinity where it may not; last row is the start."""
    allowed = torch.zeros(len(LABELS) + 1, len(LABELS))
    for to, name in enumerate(LABELS):
        if name.startswith("I-"):
            for origin in range(len(LABELS) + 1):
                if origin == len(LABELS) or LABELS[origin][2:] != name[2:]:
                    allowed[origin, to] = -math.inf
    return allowed


def viterbi(scores: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Best valid paths (batch, length) of log-probabilities (batch, length, labels)."""
    best = scores[:, 0] + allowed[-1]
    back: list[torch.Tensor] = []
    for step in range(1, scores.shape[1]):
        value, origin = (best[:, :, None] + allowed[:-1]).max(1)
        back.append(origin)
        best = value + scores[:, step]
    path = [best.argmax(-1)]
    for origin in reversed(back):
        path.append(origin.gather(1, path[-1][:, None])[:, 0])
    return torch.stack(path[::-1], 1)


@torch.inference_mode()
def predict(model: Any, texts: list[list[str]], ids: dict[str, int]) -> tuple[list[list[str]], list[float]]:
    """Tags of each text, cut at the window, and the lowest probability any of its tags has."""
    model.eval()
    allowed = allowed_transitions()
    tags: list[list[str]] = [[] for _ in texts]
    sure = [0.0] * len(texts)
    for group in batches([min(len(t), WINDOW - 2) for t in texts], 4096, random.Random(0)):
        rows = [[CLS, *(ids.get(c, UNK) for c in texts[i][: WINDOW - 2]), SEP] for i in group]
        inputs = pad(rows, PAD)
        with torch.autocast("cpu", torch.bfloat16):
            scores = encoder.logits(model, inputs)
        scores = scores.float().log_softmax(-1)
        scores[inputs == PAD] = torch.tensor([0.0] + [-1e4] * (len(LABELS) - 1))
        scores = scores[:, 1:-1]
        paths = viterbi(scores, allowed)
        chosen = scores.gather(2, paths[..., None])[..., 0].exp()
        for row, (i, path) in enumerate(zip(group, paths.tolist(), strict=True)):
            length = len(rows[row]) - 2
            tags[i] = [LABELS[t] for t in path[:length]]
            sure[i] = float(chosen[row, :length].min())
    model.train()
    return tags, sure


def score(model: Any, sentences: list[Sentence], ids: dict[str, int]) -> dict[str, float]:
    """Strict F1 in all and by type."""
    predicted, _ = predict(model, [c for c, _ in sentences], ids)
    counts: dict[str, list[int]] = {}
    for (_, gold), tags in zip(sentences, predicted, strict=True):
        a, b = set(spans(tags)), set(spans(gold))
        for kind in ("all", *LABELS[1::2]):
            of = [{s for s in side if kind == "all" or s[2] == kind[2:]} for side in (a, b)]
            found = counts.setdefault(kind.removeprefix("B-"), [0, 0])
            found[0] += 2 * len(of[0] & of[1])
            found[1] += len(of[0]) + len(of[1])
    return {kind: right / max(1, total) for kind, (right, total) in counts.items()}
