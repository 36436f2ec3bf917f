"""Variants with a planted change, to see whether a gate finds it: a plugin that is never installed, only put on a path.

Each runs onnx-int8 and spoils one thing: 10 % more time, 20 MB that are never given back, one percentage point of F1.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
from slimner.variants.onnx_int8 import OnnxInt8
from slimner.variants.variant import Model

SLOWER = 0.10
LEAK_BYTES = 20_000_000
CALLS_TO_LEAK = 50

# Share of the texts (those with the lowest `draw` under the seed in $PLANTED_SEED) of which one entity is not found.
LOST = float(os.environ.get("PLANTED_LOST", "0.05"))


def draw(seed: int, ids: np.ndarray) -> float:
    """A number from 0 to 1 for a text, the same each time under one seed."""
    return int.from_bytes(hashlib.sha256(str(seed).encode() + ids.tobytes()).digest()[:8], "big") / 2**64


class Slow(OnnxInt8):
    """Takes a tenth longer."""

    name = "planted-slow"

    def load(self, directory: Path, threads: int) -> Model:
        """The model, and a busy wait behind it."""
        model = super().load(directory, threads)

        def run(ids: np.ndarray) -> np.ndarray:
            begun = time.perf_counter()
            logits = model(ids)
            end = time.perf_counter() + SLOWER * (time.perf_counter() - begun)
            while time.perf_counter() < end:
                pass
            return logits

        return run


class Leaking(OnnxInt8):
    """Keeps a little more with each of its first answers."""

    name = "planted-leak"

    def load(self, directory: Path, threads: int) -> Model:
        """The model, and a list that grows."""
        model = super().load(directory, threads)
        kept: list[bytes] = []

        def run(ids: np.ndarray) -> np.ndarray:
            if len(kept) < CALLS_TO_LEAK:
                kept.append(os.urandom(LEAK_BYTES // CALLS_TO_LEAK))
            return model(ids)

        return run


class Forgetful(OnnxInt8):
    """Misses the first entity of some texts."""

    name = "planted-f1"

    def load(self, directory: Path, threads: int) -> Model:
        """The model, whose first entity of a text in twenty is made an O."""
        model = super().load(directory, threads)
        seed = int(os.environ.get("PLANTED_SEED", "0"))

        def run(ids: np.ndarray) -> np.ndarray:
            logits = model(ids)
            if draw(seed, ids) < LOST:
                outside = int(logits[0].argmax())  # the tag of [CLS] and of most tokens is O
                found = np.flatnonzero(logits.argmax(1) != outside)
                if len(found):
                    end = int(found[0])
                    while end < len(logits) and logits[end].argmax() != outside:
                        end += 1
                    logits[found[0] : end, outside] = logits[found[0] : end].max(1) + 5
            return logits

        return run


SLOW, LEAKING, FORGETFUL = Slow(), Leaking(), Forgetful()
