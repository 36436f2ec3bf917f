"""`slimner ledger`: where the memory goes."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

import click
from rich.status import Status

from ..bench import ledger as accounts
from ..bench.dependencies import import_ledger, requirements_program
from ..core.errors import UserError
from ..core.ledger_records import ImportLedger, Ledger, Minimum, ServerPoint, Trial
from ..core.locks import measuring_alone
from ..core.machine import describe
from ..core.records import MeasurementRecord, Measuring, Note
from ..jobs.defaults import workload_for
from ..jobs.inputs import artifact_in, require
from ..reports.ledger import sections
from ..reports.notes import measurement_notes
from ..variants import Artifact
from . import options, printing
from .progress import Steps


@click.command(short_help="Show where memory goes: stages, dependencies, workers, and the least it runs in.")
@click.argument("artifact", required=False, type=click.Path(path_type=Path))
@click.option(
    "--imports",
    "command",
    default=None,
    metavar="COMMAND",
    help="Measure the imports of any Python program instead: 'python -c ...', 'gunicorn app:app'.",
)
@click.option(
    "--requirements",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Measure the installed distributions of a requirements list instead.",
)
@click.option(
    "--server",
    is_flag=True,
    help="Also measure slimner's server with 1 to --workers workers, with preload and without.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Most workers of --server and --minimum.",
)
@click.option(
    "--minimum", is_flag=True, help="Also find the least memory it runs in, under a real limit; takes minutes."
)
@click.option(
    "--limit",
    type=options.SIZE,
    default=None,
    metavar="SIZE",
    help="Also show how many workers fit into this memory (512MB, 2Gi).",
)
@options.workload
@options.measuring
@options.output
def ledger(
    artifact: Path | None,
    command: str | None,
    requirements: Path | None,
    server: bool,
    workers: int,
    minimum: bool,
    limit: int | None,
    workload: str | None,
    settings: Measuring,
    as_json: bool,
) -> None:
    """Show where the memory of ARTIFACT goes, by stage and by dependency, and whether it adds up.

    With --imports or --requirements it measures any Python program or environment, without an artifact.

    \b
    slimner ledger my-artifact
    slimner ledger my-artifact --server --workers 4 --limit 512MB
    slimner ledger --imports "python -c 'import torch, torchvision'"
    slimner ledger --requirements requirements.txt
    """
    if sum(given is not None for given in (artifact, command, requirements)) != 1:
        raise UserError("give one of ARTIFACT, --imports and --requirements", "slimner ledger --help shows each")
    require("psutil", extra="load")
    with measuring_alone(printing.remark), printing.err_console().status("looking") as status:
        if artifact is None:
            account = _of_program(command, requirements, settings.timeout_s, status)
        else:
            account = _of_artifact(
                artifact_in(artifact), workload, settings, server or limit is not None, workers, minimum, status
            )
    if as_json:
        printing.print_json(account)
    else:
        printing.print_sections(sections(account, limit), account.notes)


def _of_program(command: str | None, requirements: Path | None, timeout_s: float, status: Status) -> Ledger:
    notes: list[Note] = []
    if requirements is not None:
        words, skipped = requirements_program(requirements)
        if skipped:
            notes.append(
                Note(
                    code="not-installed",
                    message=f"left out, not installed here: {', '.join(skipped)}",
                    remedy="install them beside slimner",
                )
            )
    else:
        try:
            words = shlex.split(command or "")
        except ValueError as error:
            raise UserError(f"--imports: {error}", "close every quotation mark") from None
        if not words:
            raise UserError("--imports is empty", "give a command that starts Python")
    found = import_ledger(words, timeout_s=timeout_s, on_progress=status.update)
    return Ledger(machine=describe(), imports=found, notes=tuple(notes))


def _of_artifact(
    opened: Artifact, given: str | None, settings: Measuring, server: bool, workers: int, minimum: bool, status: Status
) -> Ledger:
    console = printing.err_console()
    chosen = workload_for(given, opened.manifest.checkpoint, progress=Steps())
    artifact, workload, texts = opened.path, chosen.source, chosen.texts

    def tell(trial: Trial) -> None:
        outcome = "runs" if trial.passed else trial.reason
        console.print(f"{trial.limit_bytes / 1e6:.0f} MB: {outcome}", markup=False, soft_wrap=True)

    status.update("stages")
    measured: MeasurementRecord = accounts.stages(artifact, workload, settings)
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        some = Path(directory) / "texts.txt"
        some.write_text("\n".join(texts[:20]) + "\n", encoding="utf-8")
        found: ImportLedger = accounts.dependencies(artifact, some, settings, status.update)
    points: list[ServerPoint] = []
    if server:
        points += accounts.server_points(
            artifact, workload, settings, most_workers=workers, seconds=5.0, on_progress=status.update
        )
    least: list[Minimum] = []
    if minimum:
        status.update("minimum memory of the artifact")
        least.append(accounts.artifact_minimum(artifact, workload, settings, measured=measured, on_trial=tell))
        if points:
            point = next(p for p in points if p.workers == workers)
            status.update("minimum memory of the server")
            if point.per_s:
                least.append(
                    accounts.server_minimum(artifact, workload, settings, workers=workers, point=point, on_trial=tell)
                )
    return Ledger(
        machine=measured.machine,
        artifact=measured.artifact,
        variant=measured.variant,
        measurement=measured,
        imports=found,
        server=tuple(points),
        minimums=tuple(least),
        notes=tuple(note for note in measurement_notes([measured]) if note.code != "no-timeline"),
    )
