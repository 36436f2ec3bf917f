"""`slimner export`: results in the format of another tool."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.errors import UserError
from ..core.records import Results
from ..core.store import read_results, write_text
from ..jobs import pick
from ..jobs.inputs import results_in
from ..jobs.tracking import track
from ..reports import Row, rows_of
from ..reports.export import FORMATS, to_bencher, to_github_benchmark, to_model_card, to_pytest_benchmark
from ..reports.tables import as_csv
from . import options, printing
from .streams import verbatim

NEXT = {
    "pytest-benchmark": "pytest-benchmark compare {out}",
    "bencher": "bencher run --adapter json --file {out}",
    "github-benchmark": "give {out} to benchmark-action/github-action-benchmark with tool: customSmallerIsBetter",
    "model-card": "put what stands between the lines of --- into the header of the card",
}


@click.command(name="export", short_help="Write results in the format of another tool.")
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    show_default=True,
    help="What to write; mlflow adds runs to a store.",
)
@click.option(
    "--out",
    default=None,
    metavar="FILE",
    help="File to write; for mlflow a store: http://HOST:PORT, sqlite:///FILE. [default: standard output; for mlflow "
    "MLFLOW_TRACKING_URI]",
)
@click.option("--variant", default=None, metavar="NAME", help="Variant of a model card. [default: the winner]")
@options.debug
def export(results: Path, format_name: str, out: str | None, variant: str | None) -> None:
    """Turn RESULTS (the report of `slimner run`, or its results.json) into what another tool reads.

    \b
    slimner export slimner-report --out now.json
    slimner export slimner-report --format bencher --out bmf.json
    slimner export slimner-report --format mlflow --out sqlite:///mlflow.db
    slimner export slimner-report --format model-card --variant onnx-int8
    """
    path = results_in(results)
    record = read_results(path)
    rows = rows_of(record)
    if format_name == "mlflow":
        tracked = track(record, rows, out)
        for names, word in ((tracked.made, "made"), (tracked.kept, "kept")):
            if names:
                printing.say(f"{word:<8} {', '.join(names)} in {tracked.experiment} of {tracked.uri}")
        return
    written = _written(format_name, record, rows, path, variant)
    for row in rows if format_name != "model-card" else ():
        if format_name == "pytest-benchmark" and not row.samples:
            printing.remark(f"note: {row.variant} has no timed samples and is left out")
        elif row.failed and format_name in ("bencher", "github-benchmark"):
            printing.remark(f"note: {row.variant} failed and is left out")
    if out is None:
        verbatim(written.rstrip("\n"))
        return
    if Path(out).is_dir():
        raise UserError(f"--out: '{out}' is a directory", "give the name of a file")
    write_text(Path(out), written)
    printing.say(f"wrote    {out}")
    if format_name in NEXT:
        printing.say(f"next     {NEXT[format_name].format(out=out)}")


def _written(format_name: str, record: Results, rows: list[Row], path: Path, variant: str | None) -> str:
    if format_name == "csv":
        return as_csv(rows, pick(record).winner)
    if format_name == "model-card":
        name = variant or pick(record).winner
        if name is None:
            raise UserError(f"{path}: no variant fits the policy", "name one with --variant")
        row = next((row for row in rows if row.variant == name), None)
        if row is None:
            raise UserError(f"{path} has no variant '{name}'", f"it has {', '.join(record.settings.variants)}")
        return to_model_card(record, row)
    if format_name == "pytest-benchmark":
        exported = to_pytest_benchmark(record)
        if not exported["benchmarks"]:
            raise UserError(f"{path}: no timed samples", "see report.md for what failed, then run slimner run again")
        return _json(exported)
    found = to_bencher(record, rows) if format_name == "bencher" else to_github_benchmark(record, rows)
    if not found:
        raise UserError(f"{path}: every variant failed", "see report.md for what failed, then run slimner run again")
    return _json(found)


def _json(value: object) -> str:
    return printing.json_text(value) + "\n"
