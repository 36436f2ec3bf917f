"""Labelled corpora, scores with seqeval, and intervals on F1."""

from .corpora import Corpus, CorpusSource, Sentence, read_corpus
from .intervals import F1Change, Interval, f1_change, f1_interval

__all__ = ["Corpus", "CorpusSource", "F1Change", "Interval", "Sentence", "f1_change", "f1_interval", "read_corpus"]
