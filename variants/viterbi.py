"""The best sequences of tags: Viterbi's algorithm in numpy, over several sequences at once.

A. Viterbi, Error bounds for convolutional codes and an asymptotically optimum decoding algorithm, IEEE Transactions on
Information Theory 13 (1967).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def viterbi(
    batch: Sequence[np.ndarray], transitions: np.ndarray, start: np.ndarray, end: np.ndarray
) -> list[np.ndarray]:
    """For each sequence of scores, indices, shape (units,), of the tags that sum highest with transitions and ends.

    The scores of a sequence have the shape (units, tags), `transitions[from, to]` (tags, tags), `start` and `end`
    (tags,); the lengths may differ, and nothing is padded: a sequence takes part in as many steps as it has units. So
    each yields what it would alone. Exact; sums are in double precision, and of equal ones the first tag is taken.
    """
    lengths = np.array([len(scores) for scores in batch], dtype=np.int64)
    if not lengths.any():
        return [np.zeros(0, dtype=np.int64) for _ in batch]
    ranked = np.argsort(-lengths, kind="stable")  # the longest first, so those that have a unit i are the first ones
    active = (len(batch) - np.cumsum(np.bincount(lengths))[:-1]).tolist()
    begins = np.cumsum(lengths[ranked]) - lengths[ranked]
    rank = np.repeat(np.arange(len(batch)), lengths[ranked])
    by_unit = np.lexsort((rank, np.arange(len(rank)) - begins[rank]))  # all first units, then all second ones, ...
    scores = np.concatenate([batch[i] for i in ranked])[by_unit].astype(np.float64)

    count = len(start)
    rows = np.arange(active[0] * count) * count
    into = np.ascontiguousarray(transitions.T)
    tags = np.zeros(len(batch), dtype=np.int64)
    origins: list[np.ndarray] = []
    best, at = start + scores[: active[0]], active[0]
    reached = np.empty((active[0], count, count))  # sequences, tags, tags that lead to them
    for n in active[1:]:
        if n < len(best):  # some end here
            tags[n : len(best)] = (best[n:] + end).argmax(axis=1)
            rows, reached, best = rows[: n * count], reached[:n], best[:n]
        np.add(best[:, None], into, out=reached)
        origin = reached.argmax(axis=2).ravel()
        best = reached.take(rows + origin).reshape(n, count)
        best += scores[at : at + n]
        origins.append(origin)
        at += n
    tags[: len(best)] = (best + end).argmax(axis=1)

    chosen = np.zeros(len(scores), dtype=np.int64)
    firsts = np.arange(len(batch)) * count
    for n, origin in zip(reversed(active), (*reversed(origins), None), strict=True):
        at -= n
        chosen[at : at + n] = tags[:n]
        if origin is not None:
            tags[:n] = origin.take(firsts[:n] + tags[:n])
    paths = np.zeros_like(chosen)
    paths[by_unit] = chosen
    found = dict(zip(ranked.tolist(), np.split(paths, begins[1:]), strict=True))
    return [found[i] for i in range(len(batch))]
