"""Labelled sentences: files of many formats, read with every defect named, the text given being the text indexed."""

from .corpus import EMBEDDED, FORMATS, UNSAID, Corpus, CorpusSource, read_corpus
from .defects import RULES, Defect, counts, listing
from .rows import write
from .sentences import Sentence

__all__ = [
    "EMBEDDED",
    "FORMATS",
    "RULES",
    "UNSAID",
    "Corpus",
    "CorpusSource",
    "Defect",
    "Sentence",
    "counts",
    "listing",
    "read_corpus",
    "write",
]
