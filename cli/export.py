"""`slimner export`: results in the format of another tool."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import UserError
from ..core.store import read_results, write_json
from ..jobs.inputs import results_in
from ..reports.export import FORMATS, to_pytest_benchmark
from . import options


@click.command(name="export", short_help="Write results in the format of another tool.")
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="What to write: the JSON that pytest-benchmark writes and compares.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="File to write. [default: standard output]",
)
@options.debug
def export(results: Path, format_name: str, out: Path | None) -> None:
    """Turn RESULTS (the results.json of `slimner run`) into one benchmark a variant, with every timed sample.

    \b
    slimner export slimner-report/results.json --out now.json
    pytest-benchmark compare now.json
    """
    record = read_results(results_in(results))
    exported = to_pytest_benchmark(record)
    names = [benchmark["param"] for benchmark in exported["benchmarks"]]
    if not names:
        raise UserError(f"{results}: no timed samples", "read in report.md what failed, then slimner run again")
    for variant in record.settings.variants:
        if variant not in names:
            options.remark(f"note: {variant} has no timed samples and is left out")
    if out is None:
        options.print_json(exported)
        return
    write_json(out, exported)
    options.say(f"wrote    {out}", f"next     {format_name} compare {out}")
