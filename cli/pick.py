"""`slimner pick`: the variant that fits a policy, from recorded results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..core.errors import EXIT_PASS, EXIT_REGRESSION
from ..jobs.deciding import pick_and_keep
from ..reports import Decision, Row
from ..reports.document import comparison, reasons
from . import options, printing


@click.command(short_help="Choose the variant that fits a policy, from the results of a run.")
@click.argument("results", type=click.Path(path_type=Path))
@options.policy
@options.output
def pick(results: Path, policy_file: Path | None, as_json: bool) -> int:
    """Choose among the variants in RESULTS (the report of `slimner run`, or its results.json) and say why; nothing is
    measured. The decision is kept as decision.json beside the results, where `slimner bundle` follows it.

    Exit code 1 if no variant fits the policy; the closest one is named.

    \b
    slimner pick slimner-report --policy policy.toml
    """
    rows, decision, kept = pick_and_keep(results, policy=options.policy_of(policy_file))
    if as_json:
        printing.print_json(decision)
    else:
        print_decision(rows, decision)
        if kept:
            printing.tell("kept", str(kept))
            if decision.winner:
                printing.tell("next", f"slimner bundle {results} --out my-bundle")
    return EXIT_PASS if decision.winner else EXIT_REGRESSION


def print_decision(rows: Sequence[Row], decision: Decision) -> None:
    """The table, then the decision in words."""
    printing.show(comparison(rows, decision))
    printing.say("")
    for label, said in reasons(decision).items:
        bold = "bold" if decision.winner else "bold red"
        printing.tell(label, said, bold if label == "winner" else "")
