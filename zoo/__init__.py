"""The embedded default, data only: the checkpoint `news-zh`, its corpus, its workload and a bundle to serve."""

from __future__ import annotations

from pathlib import Path

_HOME = Path(__file__).parent / "news_zh"


def checkpoint() -> Path:
    """Directory of the embedded checkpoint."""
    return _HOME / "checkpoint"


def corpus() -> Path:
    """The embedded labelled corpus, JSON lines with character spans."""
    return _HOME / "corpus.jsonl"


def workload() -> Path:
    """The embedded workload, a text a line."""
    return _HOME / "workload.txt"


def bundle() -> Path:
    """The bundle of the embedded checkpoint that `slimner serve` serves by default."""
    return _HOME / "bundle"
