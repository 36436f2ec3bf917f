"""The best sequence of tags: Viterbi's algorithm in numpy.

A. Viterbi, Error bounds for convolutional codes and an asymptotically optimum decoding algorithm, IEEE Transactions on
Information Theory 13 (1967).
"""

from __future__ import annotations

import numpy as np


def viterbi(scores: np.ndarray, transitions: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Indices, shape (units,), of the tags whose scores, transitions, start and end sum highest.

    `scores` has the shape (units, tags), `transitions[from, to]` (tags, tags), `start` and `end` (tags,). Exact; sums
    are in double precision, and of equal ones the first tag is taken.
    """
    if not len(scores):
        return np.zeros(0, dtype=np.int64)
    best = start + scores[0].astype(np.float64)
    origins = np.zeros(scores.shape, dtype=np.int64)
    columns = np.arange(scores.shape[1])
    for i in range(1, len(scores)):
        reached = best[:, None] + transitions
        origins[i] = reached.argmax(axis=0)
        best = reached[origins[i], columns] + scores[i]
    path = np.zeros(len(scores), dtype=np.int64)
    path[-1] = (best + end).argmax()
    for i in range(len(scores) - 1, 0, -1):
        path[i - 1] = origins[i, path[i]]
    return path
