"""`slimner calibrate`: how often this machine's gate is wrong, and what it can see."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.records import Measuring
from ..jobs import calibrate as calibrate_job
from ..jobs.calibrating import PAIRS, path_of
from ..reports.calibration import section
from . import options
from .progress import Steps


@click.command(name="calibrate", short_help="A/A runs: this machine's false alarms and the smallest change it sees.")
@click.argument("artifact", required=False, type=click.Path(path_type=Path))
@click.option(
    "--pairs",
    type=click.IntRange(20),
    default=PAIRS,
    show_default=True,
    help="Pairs of the artifact with a copy of itself to measure.",
)
@options.workload
@options.pairing
@options.output
def calibrate(artifact: Path | None, pairs: int, workload: str | None, settings: Measuring, as_json: bool) -> None:
    """Measure ARTIFACT (the embedded model as onnx-int8 if left out) against a copy of itself, in pairs.

    Gates are resampled from the pairs: how many say "regression" though nothing changed, and how large a change has to
    be until nine in ten see it. That becomes the default margin of `compare` and `gate` on this machine. Takes some
    minutes; an interrupted calibration goes on where it stopped.

    \b
    slimner calibrate
    slimner calibrate my-artifact --workload texts.txt
    """
    with Steps() as progress:
        found = calibrate_job(artifact, pairs=pairs, workload=workload, settings=settings, progress=progress)
    if as_json:
        options.print_json(found)
        return
    options.print_sections([section(found)])
    options.say(f"  stored  {path_of(found.fingerprint)}, the default margins of compare and gate here")
