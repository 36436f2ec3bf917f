"""`slimner calibrate`: how often gates on this machine are wrong, and what they can detect."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.records import Measuring
from ..jobs import calibrate as calibrate_job
from ..jobs.calibrating import PAIRS, path_of
from ..reports.calibration import section
from . import options, printing
from .progress import Steps


@click.command(
    name="calibrate", short_help="Measure this machine's false alarms and the smallest change it can detect (A/A)."
)
@click.argument("artifact", required=False, type=click.Path(path_type=Path))
@click.option(
    "--pairs",
    type=click.IntRange(20),
    default=PAIRS,
    show_default=True,
    help="Pairs to measure, of the artifact with a copy of itself.",
)
@options.workload
@options.pairing
@options.output
def calibrate(artifact: Path | None, pairs: int, workload: str | None, settings: Measuring, as_json: bool) -> None:
    """Measure ARTIFACT (by default the embedded model as onnx-int8) against a copy of itself, in pairs.

    Gates are resampled from the pairs: how many say "regression" although nothing changed, and how large a change must
    be for nine in ten to detect it. The result is kept, and `compare` and `gate` on this machine report it; margins
    stay as they are. Takes some minutes; an interrupted calibration continues where it stopped.

    \b
    slimner calibrate
    slimner calibrate my-artifact --workload texts.txt
    """
    with Steps() as progress:
        found = calibrate_job(artifact, pairs=pairs, workload=workload, settings=settings, progress=progress)
    if as_json:
        printing.print_json(found)
        return
    printing.print_sections([section(found)])
    printing.say(f"  stored  {path_of(found.fingerprint)}, for compare and gate on this machine")
