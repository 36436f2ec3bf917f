"""Labelled corpora, scores with seqeval, and intervals on F1."""

from .corpora import Corpus, CorpusSource, Sentence, read_corpus
from .differences import Difference, Differences, differences
from .intervals import F1Change, Interval, f1_change, f1_interval
from .planning import Plan, plan_from_corpus, plan_from_pair, plans_from_results
from .unknown import UNKNOWN_WARNED, Unknown, unknown_in_corpus, unknown_in_texts

__all__ = [
    "UNKNOWN_WARNED",
    "Corpus",
    "CorpusSource",
    "Difference",
    "Differences",
    "F1Change",
    "Interval",
    "Plan",
    "Sentence",
    "Unknown",
    "differences",
    "f1_change",
    "f1_interval",
    "plan_from_corpus",
    "plan_from_pair",
    "plans_from_results",
    "read_corpus",
    "unknown_in_corpus",
    "unknown_in_texts",
]
