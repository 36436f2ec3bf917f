"""The committed results that a gate compares candidates with."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.errors import UserError
from ..core.records import Record, Results
from ..core.store import read_results, write_json
from ..core.verdicts import Comparison, sides
from ..reports import Policy, Terms
from ..reports.gate import margins
from .comparing import compare_recorded
from .inputs import results_in


class BaselineUpdate(Record, frozen=True, kw_only=True):
    """What replacing a baseline changed: comparisons of what both have, and the variants that only one of them has."""

    variants: tuple[str, ...]
    comparisons: tuple[Comparison, ...] = ()
    come: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


def update_baseline(
    path: str | Path, results: str | Path, *, variant: str | None = None, policy: Policy | None = None
) -> BaselineUpdate:
    """Write to `path` what a gate needs of `results` (a file, or the directory of a report), of one variant or of all.

    Raises UserError when a variant of the results has failed or nothing was scored.
    """
    path, results = Path(path), results_in(Path(results))
    new = _only(read_results(results), variant, results)
    failed = [failure.variant for failure in new.failures]
    if failed or not new.evaluations:
        what = f"{', '.join(failed)} failed" if failed else "nothing was scored"
        raise UserError(f"{results}: {what}", "a baseline must be complete: run slimner run again")
    update = BaselineUpdate(variants=new.settings.variants)
    if path.exists():
        judged, _ = margins(policy or Policy())
        before, after = sides(read_results(path), str(path)), sides(new, str(results))
        update = BaselineUpdate(
            variants=new.settings.variants,
            comparisons=tuple(compare_recorded(before, after, Terms(margins=judged))),
            come=tuple(sorted(set(after) - set(before))),
            gone=tuple(sorted(set(before) - set(after))),
        )
    write_json(path, new, indent=0)
    return update


def _only(results: Results, variant: str | None, path: Path) -> Results:
    """One variant of a run, or all, without time lines."""
    names = (variant,) if variant else results.settings.variants
    if variant and variant not in results.settings.variants:
        raise UserError(f"{path} has no variant '{variant}'", f"it has {', '.join(results.settings.variants)}")
    return msgspec.structs.replace(
        results,
        settings=msgspec.structs.replace(results.settings, variants=names),
        builds=tuple(b for b in results.builds if b.variant in names),
        evaluations=tuple(e for e in results.evaluations if e.variant in names),
        measurements=tuple(m for m in results.measurements if m.variant in names and m.timed),
        failures=tuple(f for f in results.failures if f.variant in names),
    )
