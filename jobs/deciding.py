"""Choosing among recorded variants."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..core.errors import UserError
from ..core.records import Results
from ..core.store import read_results
from ..reports import Decision, Policy, Row, decide, rows_of
from ..variants import VARIANTS
from .inputs import results_in


def pick(results: str | Path | Results, *, policy: Policy | None = None) -> Decision:
    """The variant of a run that fits a policy, with a reason for every other; nothing is measured.

    `results` is a record, its file, or the directory of a report. UserError if there is nothing to choose from.
    """
    return decide(*choices(results), policy)


def choices(results: str | Path | Results) -> tuple[list[Row], dict[str, int]]:
    """The rows of a run, and how simple each variant is."""
    record = results if isinstance(results, Results) else read_results(results_in(Path(results)))
    if not record.settings.variants:
        raise UserError(f"{results} has no variants", "slimner run measures some")
    return rows_of(record), complexity(record.settings.variants)


def complexity(variants: Iterable[str]) -> dict[str, int]:
    """How simple each variant is, 0 for those of plugins that are not installed here."""
    known = set(VARIANTS.names())
    found: dict[str, int] = {}
    for name in variants:
        try:
            found[name] = VARIANTS.get(name).complexity if name in known else 0
        except UserError:
            found[name] = 0
    return found
