"""Variants with a planted change, to see whether a gate finds it: a plugin that is never installed, only put on a path.

Each runs onnx-int8 and spoils one thing; `EFFECTS` lists those of time and memory, `Forgetful` is about F1.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from slimner.variants.onnx_int8 import OnnxInt8
from slimner.variants.variant import Model

LEAK_BYTES = 20_000_000
CALLS_TO_LEAK = 50
LONG_TOKENS = 60

# What is done behind each call: given the ids of the window, the number of calls before, and the seconds it took.
Effect = Callable[[np.ndarray, int, float], None]

# Share of the texts (those with the lowest `draw` under the seed in $PLANTED_SEED) of which one entity is not found.
LOST = float(os.environ.get("PLANTED_LOST", "0.05"))

# Tags of the entities that may be missed; all if empty.
TAGS = [int(tag) for tag in os.environ.get("PLANTED_TAGS", "").split(",") if tag]


def draw(seed: int, ids: np.ndarray) -> float:
    """A number from 0 to 1 for a text, the same each time under one seed."""
    return int.from_bytes(hashlib.sha256(str(seed).encode() + ids.tobytes()).digest()[:8], "big") / 2**64


def busy(seconds: float) -> None:
    """Wait without giving the core away."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def stall(seconds: float, share: float) -> Effect:
    """Stop for some time in a share of the calls."""

    def effect(ids: np.ndarray, call: int, spent: float) -> None:
        if random.random() < share:
            time.sleep(seconds)

    return effect


KEPT: list[bytes] = []


def leak(ids: np.ndarray, call: int, spent: float) -> None:
    """Keep a little more with each of the first answers."""
    if call < CALLS_TO_LEAK:
        KEPT.append(os.urandom(LEAK_BYTES // CALLS_TO_LEAK))


EFFECTS: dict[str, Effect] = {
    "slow": lambda ids, call, spent: busy(0.1 * spent),
    "leak": leak,
    "drip": lambda ids, call, spent: KEPT.append(os.urandom(10_000)),  # a megabyte in a hundred calls
    "stall-500ms-1": stall(0.5, 0.01),
    "stall-30ms-5": stall(0.03, 0.05),
    "stall-30ms-2": stall(0.03, 0.02),
    "long": lambda ids, call, spent: busy(0.3 * spent) if len(ids) > LONG_TOKENS else None,
}


class Spoilt(OnnxInt8):
    """onnx-int8 with an effect behind each call."""

    def __init__(self, kind: str) -> None:
        self.name, self.effect = f"planted-{kind}", EFFECTS[kind]

    def load(self, directory: Path, threads: int) -> Model:
        """The model, and the effect."""
        model, calls = super().load(directory, threads), 0

        def run(ids: np.ndarray) -> np.ndarray:
            nonlocal calls
            begun = time.perf_counter()
            logits = model(ids)
            self.effect(ids, calls, time.perf_counter() - begun)
            calls += 1
            return logits

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
                tags = logits.argmax(1)
                missed = np.isin(tags, TAGS) if TAGS else tags != outside
                found = np.flatnonzero(missed)
                if len(found):
                    end = int(found[0])
                    while end < len(logits) and missed[end]:
                        end += 1
                    logits[found[0] : end, outside] = logits[found[0] : end].max(1) + 5
            return logits

        return run


FORGETFUL = Forgetful()
SPOILT = {kind: Spoilt(kind) for kind in EFFECTS}
globals().update({f"SPOILT_{number}": variant for number, variant in enumerate(SPOILT.values())})  # for entry points
