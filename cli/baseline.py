"""`slimner baseline`: the committed results that a gate holds a candidate against."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from ..core.errors import UserError
from ..core.records import Results
from ..core.store import read_results, write_json
from ..core.verdicts import sides
from ..reports import Policy, Question, read_policy
from ..reports.gate import margins
from ..reports.gate_output import comparison_section
from . import options
from .judging import compare_recorded


@click.group(short_help="Keep the results that a gate holds candidates against.")
def baseline() -> None:
    """Keep a baseline: a results file that is committed beside the code."""


@baseline.command(short_help="Replace a baseline by newer results, and say what changed.")
@click.argument("path", metavar="BASELINE", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("results", type=click.Path(path_type=Path, dir_okay=False))
@options.variant
@options.policy
@options.debug
def update(path: Path, results: Path, variant: str | None, policy_file: Path | None, debug: bool) -> None:
    """Write RESULTS (results.json of `slimner run`) to BASELINE, with nothing but what a gate needs of it.

    Where there is a BASELINE already, what changed is printed first: metric by metric, where it is comparable.

    \b
    slimner run --variants fp32,onnx-int8
    slimner baseline update baseline.json slimner-report/results.json --variant onnx-int8
    """
    new = _only(read_results(results), variant, results)
    failed = [failure.variant for failure in new.failures]
    if failed or not new.evaluations:
        what = f"{', '.join(failed)} failed" if failed else "nothing was scored"
        raise UserError(f"{results}: {what}", "a baseline has to be whole: slimner run again")
    console = options.out_console()
    if path.exists():
        old = read_results(path)
        judged, _ = margins(read_policy(policy_file) if policy_file else Policy(), None)
        before, after = sides(old, str(path)), sides(new, str(results))
        for comparison in compare_recorded(before, after, Question(margins=judged)):
            options.print_sections([comparison_section(comparison, comparison.candidate.variant)], ())
            console.print()
        gone, come = sorted(set(before) - set(after)), sorted(set(after) - set(before))
        for names, word in ((come, "new"), (gone, "gone")):
            if names:
                console.print(f"{word:<8} {', '.join(names)}", markup=False)
    write_json(path, new, indent=0)
    console.print(
        f"wrote    {path} ({', '.join(new.settings.variants)}, {path.stat().st_size / 1e3:.0f} kB)\n"
        f"next     commit it; slimner gate --baseline {path} --candidate NEW/results.json",
        markup=False,
        soft_wrap=True,
    )


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
