"""Immutable entries of a history: what a run found, without its samples, and how that compares with the run before."""

from __future__ import annotations

from .records import CheckpointFacts, Commit, Machine, Record
from .statistics import Spread
from .verdicts import MetricVerdict

HISTORY_SCHEMA = 1


class VariantEntry(Record, frozen=True, kw_only=True):
    """A variant of a run: its figures by metric, and a verdict on each against the same variant of the run before.

    `failed` says why it has no figures; the first run of a series has no verdicts.
    """

    variant: str
    figures: dict[str, Spread]
    verdicts: tuple[MetricVerdict, ...] = ()
    failed: str = ""


class HistoryEntry(Record, frozen=True, kw_only=True):
    """One run of a history. `previous` is the start of the run that its verdicts compare it with."""

    schema: int
    slimner: str
    source: str
    """Hash of the results."""
    started: str
    commit: Commit | None
    machine: Machine
    checkpoint: CheckpointFacts
    corpus_sha256: str | None
    workload_sha256: str
    baseline: str
    winner: str | None
    previous: str | None
    variants: tuple[VariantEntry, ...]

    @property
    def place(self) -> tuple[str, str, str, int]:
        """What a series of runs has in common: the checkpoint's name, processor, instruction sets and cores."""
        return self.checkpoint.name, self.machine.cpu, self.machine.instructions, self.machine.cores

    @property
    def label(self) -> str:
        """The commit in short, else the time of the run."""
        return self.commit.sha[:10] if self.commit else self.started[:16].replace("T", " ")

    def of(self, variant: str) -> VariantEntry | None:
        """A variant of the run, None if it has none of that name."""
        return next((entry for entry in self.variants if entry.variant == variant), None)
