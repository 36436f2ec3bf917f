"""`slimner baseline`: the committed results that a gate compares a candidate with."""

from __future__ import annotations

from pathlib import Path

import click

from ..jobs import update_baseline
from ..reports.gate_output import comparison_section
from . import options, printing


@click.group(short_help="Keep the results that a gate compares candidates with.")
def baseline() -> None:
    """Keep a baseline: a results file that is committed beside the code."""


@baseline.command(short_help="Replace a baseline by newer results, and show what changed.")
@click.argument("path", metavar="BASELINE", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("results", type=click.Path(path_type=Path))
@options.variant
@options.policy
@options.debug
def update(path: Path, results: Path, variant: str | None, policy_file: Path | None) -> None:
    """Write RESULTS (the report of `slimner run`) to BASELINE, reduced to what a gate needs.

    If BASELINE exists, the command first prints what changed in each metric that can be compared.

    \b
    slimner run --variants fp32,onnx-int8
    slimner baseline update baseline.json slimner-report --variant onnx-int8
    """
    changed = update_baseline(path, results, variant=variant, policy=options.policy_of(policy_file))
    for comparison in changed.comparisons:
        printing.print_sections([comparison_section(comparison, comparison.candidate.variant)])
        printing.say("")
    for names, word in ((changed.come, "new"), (changed.gone, "gone")):
        if names:
            printing.say(f"{word:<8} {', '.join(names)}")
    printing.say(
        f"wrote    {path} ({', '.join(changed.variants)}, {path.stat().st_size / 1e3:.0f} kB)",
        f"next     commit it; slimner gate --baseline {path} --candidate NEW/results.json",
    )
