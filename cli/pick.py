"""`slimner pick`: the variant that fits a policy, from recorded results."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import EXIT_PASS, EXIT_REGRESSION
from ..jobs.deciding import pick_and_keep
from ..reports import Decision
from ..reports.tables import terminal
from . import options


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
        options.print_json(decision)
    else:
        options.out_console().print(terminal(rows, decision.winner))
        options.say("")
        print_decision(decision)
        if kept:
            options.say(
                f"  kept    {kept}",
                *((f"  next    slimner bundle {results} --out my-bundle",) if decision.winner else ()),
            )
    return EXIT_PASS if decision.winner else EXIT_REGRESSION


def print_decision(decision: Decision) -> None:
    """The decision in words, a line each."""
    options.say(f"  policy  {decision.policy.describe()}")
    if decision.winner:
        text, style = f"{decision.winner} because {decision.because}", "bold"
    else:
        text, style = f"none: {decision.because}", "bold red"
        text += f"; closest is {decision.closest}" if decision.closest else ""
    options.say(f"  winner  {text}", style=style)
    for variant, reason in decision.losers.items():
        options.say(f"  not     {variant}: {reason}")
    if decision.undecided:
        options.say(f"  open    whether {', '.join(decision.undecided)} should have won; more --repetitions tell")
    for miss in decision.near_misses:
        options.say(f"  near    {miss}")
    for objective, variant in decision.alternatives.items():
        options.say(f"  instead {variant}, if the objective were {objective}")
    if len(decision.front) > 1:
        names = ", ".join(decision.front)
        options.say(f"  front   {names}: none is shown to be better in F1, memory, p95 or size and worse in nothing")
