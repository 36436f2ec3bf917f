"""Which windows may share a run of a model, and the proof that this changes no answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .variant import Batching, BatchModel, Model

RUN_TOKENS = 256
"""Tokens in a run of several windows, at most: INT8 at BERT-base size took 442 us a token in a run of 32, 312 in one of
128, 287 in one of 256, and 356 in one of 512, whose activations no longer fit into the caches."""


def joins(batching: Batching, lengths: Sequence[int], more: int) -> bool:
    """Whether a window of `more` tokens may join a run of windows of these lengths."""
    if batching == "alone" or (batching == "equal_length" and more != lengths[0]):
        return False
    return sum(lengths) + more <= RUN_TOKENS


def runs(batching: Batching, lengths: Sequence[int]) -> list[list[int]]:
    """Indices of windows of these lengths, by runs: those of like lengths together."""
    found: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if found and joins(batching, [lengths[i] for i in found[-1]], lengths[index]):
            found[-1].append(index)
        else:
            found.append([index])
    return found


def proven(model: Model, claimed: Batching, windows: Sequence[np.ndarray]) -> Batching:
    """The claim, or the next lesser one that holds: each window has the logits that it has alone, bit for bit."""
    if claimed == "alone" or not isinstance(model, BatchModel):
        return "alone"
    if claimed == "packed" and all(_same(model, group) for group in _unlike(windows)):
        return "packed"
    return "equal_length" if all(_same(model, group) for group in _alike(windows)) else "alone"


def _same(model: BatchModel, windows: Sequence[np.ndarray]) -> bool:
    return all(
        np.array_equal(together, model(window))
        for window, together in zip(windows, model.together(windows), strict=True)
    )


def _unlike(windows: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Groups of 2, 3, 4 and more windows, of other lengths and in other orders, and one with the longest beside short
    ones."""
    short = sorted(windows, key=len)[:-2]
    longest = max(windows, key=len)
    mixed = [short[i] for i in np.random.default_rng(0).permutation(len(short))]
    groups = [mixed[0:2], mixed[2:5], mixed[5:9], mixed[9:17], [short[0], longest, short[1]], short[-2:]]
    return [*groups, *(group[::-1] for group in groups), *_alike(windows)]


def _alike(windows: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Groups of windows of one length: each a window, its reverse, and another rolled by one."""
    by_length = sorted(windows, key=len)
    chosen = [by_length[round(i * (len(by_length) - 1) / 5)] for i in range(6)]
    return [[window, window[::-1], np.roll(window, 1), window][: 2 + i % 3] for i, window in enumerate(chosen)]
