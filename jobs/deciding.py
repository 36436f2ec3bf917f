"""Choosing among recorded variants."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..core.errors import UserError
from ..core.outside import read_json
from ..core.records import Results
from ..core.store import read_results, write_json
from ..reports import Decision, Policy, Row, decide, rows_of
from ..reports.notes import notes
from ..reports.report import DECISION
from ..variants import VARIANTS
from .inputs import results_in


def pick(results: str | Path | Results, *, policy: Policy | None = None) -> Decision:
    """The variant of a run that fits a policy, with a reason for every other; nothing is measured.

    `results` is a record, its file, or the directory of a report. UserError if there is nothing to choose from.
    """
    return decide(*choices(results), policy)


def pick_and_keep(results: str | Path, *, policy: Policy | None = None) -> tuple[list[Row], Decision, Path | None]:
    """Pick as `pick` does, give the rows as well, and keep the decision beside the results, where `bundle` finds it.

    The path is that of the kept decision; None if it could not be written.
    """
    path = results_in(Path(results))
    record = read_results(path)
    rows, complexity = choices(record)
    decision = msgspec.structs.replace(decide(rows, complexity, policy), notes=tuple(notes(record)))
    kept = path.parent / DECISION
    try:
        write_json(kept, decision)
    except OSError:
        return rows, decision, None
    return rows, decision, kept


def kept_policy(results: Path) -> Policy | None:
    """The policy of `slimner run` or of the last `slimner pick` on these results; None if it is not on record."""
    path = results.parent / DECISION
    return read_json(path, Decision).policy if path.is_file() else None


def choices(results: str | Path | Results) -> tuple[list[Row], dict[str, int]]:
    """The rows of a run, and how simple each variant is."""
    record = results if isinstance(results, Results) else read_results(results_in(Path(results)))
    if not record.settings.variants:
        raise UserError("the results have no variants", "record some with slimner run")
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
