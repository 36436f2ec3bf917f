"""`slimner plan`: how many machines a rate takes."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import EXIT_PASS, EXIT_REGRESSION
from ..core.units import MILLISECONDS
from ..jobs import plan as plan_job
from ..reports.planning import sections
from . import options, printing

LIMIT = options.Quantity("time", MILLISECONDS, "120ms")


@click.command(short_help="Compute how many machines a rate of texts needs, and their cost.")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    metavar="PER_S",
    help="Texts a second to be answered.",
)
@click.option("--p95", type=LIMIT, required=True, metavar="TIME", help="Limit on p95, such as 120ms.")
@click.option(
    "--price",
    "prices",
    type=click.FloatRange(min=0),
    multiple=True,
    metavar="PER_HOUR",
    help="Price of an hour of one machine, in any currency: once for all sources, or once for each, in order.",
)
@click.option(
    "--variant", default=None, metavar="NAME", help="Variant to plan with. [default: the winner of each results file]"
)
@options.output
def plan(
    sources: tuple[Path, ...],
    rate: float,
    p95: float,
    prices: tuple[float, ...],
    variant: str | None,
    as_json: bool,
) -> int:
    """Say how many machines of each measured kind take so many texts a second within a p95, and how many workers and
    how much memory each has.

    SOURCES are what `slimner load --json` printed of a server on one such machine, reports of `slimner run`, or the
    directory of a sweep. Nothing is measured. The interval in brackets is what the measurements support. The exit code
    is 1 if no kind of machine can stay within the limit.

    \b
    slimner load http://127.0.0.1:7860/v1/ner --until-p95 120 --json > load.json
    slimner plan load.json --rate 200 --p95 120ms --price 0.2
    slimner plan slimner-sweep --rate 200 --p95 120ms
    """
    found = plan_job(sources, rate=rate, p95_ms=p95, prices=prices, variant=variant)
    if as_json:
        printing.print_json(found)
    else:
        printing.print_sections(list(sections(found)), found.notes)
    return EXIT_PASS if any(one.machines is not None for one in found.machines) else EXIT_REGRESSION
