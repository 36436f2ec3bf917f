"""Reporting how much of a corpus and a workload a model's tokenizer does not know."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from ..bench import Workload
from ..eval import UNKNOWN_WARNED, Corpus, Unknown, unknown_in_corpus, unknown_in_texts
from ..variants import Reader
from .progress import Progress


def tell_unknown(tokenizer: Path, corpus: Corpus | None, workload: Workload | None, progress: Progress) -> None:
    """Report the share of their tokens that a `tokenizer.json` does not know; above UNKNOWN_WARNED, warn."""
    reader = Reader(Tokenizer.from_file(str(tokenizer)))
    found: dict[str, Unknown] = {}
    if corpus is not None:
        found[f"corpus {corpus.source.name}"] = unknown_in_corpus(corpus.sentences, reader)
    if workload is not None:
        found[f"workload {workload.name}"] = unknown_in_texts(workload.texts, reader)
    shares = ", ".join(f"{one.share * 100:.1f} % of {what}" for what, one in found.items())
    progress.note(f"unknown to the tokenizer: {shares}")
    for what, one in found.items():
        if one.warned:
            progress.note(
                f"note: the model cannot read {one.share * 100:.0f} % of the tokens of {what} "
                f"({', '.join(one.examples)}), more than {UNKNOWN_WARNED * 100:.0f} %: its figures say little about "
                "texts in the model's language"
            )
