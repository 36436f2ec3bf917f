"""Labelled corpora, scores with seqeval, and intervals on F1."""

from .corpora import Corpus, CorpusSource, Sentence, read_corpus
from .differences import Difference, Differences, differences
from .intervals import F1Change, Interval, f1_change, f1_interval

__all__ = [
    "Corpus",
    "CorpusSource",
    "Difference",
    "Differences",
    "F1Change",
    "Interval",
    "Sentence",
    "differences",
    "f1_change",
    "f1_interval",
    "read_corpus",
]
