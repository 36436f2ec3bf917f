"""Labelled corpora, scores with seqeval, and intervals on F1."""

from .corpora import Corpus, Sentence, read_corpus
from .intervals import F1Change, Interval, f1_change, f1_interval

__all__ = ["Corpus", "F1Change", "Interval", "Sentence", "f1_change", "f1_interval", "read_corpus"]
