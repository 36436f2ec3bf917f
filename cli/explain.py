"""`slimner explain`: where the time of an artifact goes, and what bounds it."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.records import Measuring
from ..jobs import explain as explain_job
from ..jobs.inputs import artifact_in
from ..reports.explain import parts
from . import options, printing
from .progress import Steps


@click.command(short_help="Show where an artifact's time goes, and why INT8 is or is not faster here.")
@click.argument("artifact", type=click.Path(path_type=Path))
@options.workload
@options.running
@options.output
def explain(artifact: Path, workload: str | None, settings: Measuring, as_json: bool) -> None:
    """Profile ARTIFACT (a directory made by `slimner build` or `slimner bundle`) and say what bounds its speed.

    Time is shown by groups of operators, and outside the model. For onnxruntime the products with weights are compared
    with one large product on this machine, and with the time it takes to read as many bytes. A last sentence says what
    that means, such as why INT8 is no faster than FP32 here.

    \b
    slimner explain my-artifact --workload texts.txt
    """
    opened = artifact_in(artifact)
    printing.warn_of_other_instructions(opened.manifest)
    with Steps() as progress:
        found = explain_job(opened, workload=workload, settings=settings, progress=progress)
    if as_json:
        printing.print_json(found)
        return
    printing.show(*parts(found))
