"""`slimner pick`: the variant that fits a policy, from recorded results."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import EXIT_PASS, EXIT_REGRESSION, UserError
from ..core.store import read_results
from ..reports import Decision, Policy, compare, decide, read_policy
from ..reports.tables import terminal
from ..variants import VARIANTS
from . import options


@click.command(short_help="Choose the variant that fits a policy, from the results of a run.")
@click.argument("results", type=click.Path(path_type=Path))
@options.policy
@options.as_json
@options.debug
def pick(results: Path, policy_file: Path | None, as_json: bool, debug: bool) -> int:
    """Choose among the variants in RESULTS (results.json of `slimner run`) and say why; nothing is measured.

    Exit code 1 if no variant fits the policy; the closest one is named.

    \b
    slimner pick slimner-report/results.json --policy policy.toml
    """
    record = read_results(results)
    if not record.settings.variants:
        raise UserError(f"{results} has no variants", "slimner run measures some")
    policy = read_policy(policy_file) if policy_file else Policy()
    rows = compare(record)
    decision = decide(rows, complexity(record.settings.variants), policy)
    if as_json:
        options.print_json(decision)
    else:
        console = options.out_console()
        console.print(terminal(rows, decision.winner))
        console.print()
        print_decision(decision)
    return EXIT_PASS if decision.winner else EXIT_REGRESSION


def complexity(variants: tuple[str, ...]) -> dict[str, int]:
    """How simple each variant is, 0 for those of plugins that are not installed here."""
    known = set(VARIANTS.names())
    found: dict[str, int] = {}
    for name in variants:
        try:
            found[name] = VARIANTS.get(name).complexity if name in known else 0
        except UserError:
            found[name] = 0
    return found


def print_decision(decision: Decision) -> None:
    """The decision in words, a line each."""
    console = options.out_console()
    console.print(f"  policy  {decision.policy.describe()}", markup=False, soft_wrap=True)
    if decision.winner:
        text, style = f"{decision.winner} because {decision.because}", "bold"
    else:
        text, style = f"none: {decision.because}", "bold red"
        text += f"; closest is {decision.closest}" if decision.closest else ""
    console.print(f"  winner  {text}", style=style, markup=False, soft_wrap=True)
    for variant, reason in decision.losers.items():
        console.print(f"  not     {variant}: {reason}", markup=False, soft_wrap=True)
    for miss in decision.near_misses:
        console.print(f"  near    {miss}", markup=False, soft_wrap=True)
    for objective, variant in decision.alternatives.items():
        console.print(f"  instead {variant}, if the objective were {objective}", markup=False, soft_wrap=True)
    if len(decision.front) > 1:
        console.print(
            f"  front   {', '.join(decision.front)}: no other is as good in F1, memory, p95 and artifact",
            markup=False,
            soft_wrap=True,
        )
