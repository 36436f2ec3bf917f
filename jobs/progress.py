"""How a job reports its progress."""

from __future__ import annotations

from typing import Protocol

from ..bench.pairs import Pair
from ..core.records import BuildRecord, EvaluationRecord, MeasurementRecord


class Progress(Protocol):
    """Receives the progress of a job: named phases, each with a known number of steps, and remarks."""

    def phase(self, name: str, total: int) -> None:
        """A phase of `total` steps begins."""

    def now(self, phase: str, what: str) -> None:
        """A step of the phase has begun."""

    def done(self, phase: str, what: str) -> None:
        """A step of the phase has ended."""

    def failed(self, phase: str, what: str, *, counts: bool = True) -> None:
        """Something failed; with `counts` it was a step of the phase."""

    def found(self, record: BuildRecord | EvaluationRecord | MeasurementRecord) -> None:
        """A step gave a record of a variant."""

    def note(self, message: str) -> None:
        """A remark for the reader."""


class Silent:
    """Default progress: do nothing."""

    def phase(self, name: str, total: int) -> None:
        """Do nothing."""

    def now(self, phase: str, what: str) -> None:
        """Do nothing."""

    def done(self, phase: str, what: str) -> None:
        """Do nothing."""

    def failed(self, phase: str, what: str, *, counts: bool = True) -> None:
        """Do nothing."""

    def found(self, record: BuildRecord | EvaluationRecord | MeasurementRecord) -> None:
        """Do nothing."""

    def note(self, message: str) -> None:
        """Do nothing."""


SILENT = Silent()


def tell(pair: Pair, progress: Progress) -> None:
    """Report a pair that has been measured, in the phase "measure"."""
    if pair.disturbed:
        progress.failed("measure", f"pair {pair.number} was disturbed: only its memory counts", counts=False)
    else:
        progress.done("measure", f"pair {pair.number}")
