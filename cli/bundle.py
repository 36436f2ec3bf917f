"""`slimner bundle`: pack the winner for deployment."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from ..jobs import bundle as bundle_job
from ..reports import Policy
from . import options, printing
from .progress import Steps


@click.command(short_help="Pack the winner of a run, or an artifact, for deployment.")
@click.argument("source", metavar="RESULTS|ARTIFACT", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory to write; it must not exist.")
@click.option(
    "--archive",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE.tar.gz",
    help="Also write the bundle as one archive; the same bundle always gives the same bytes.",
)
@click.option(
    "--workload",
    default=None,
    metavar="FILE",
    help="Texts, one a line; some of them become the golden inputs. [default: those of the run]",
)
@click.option(
    "--variant",
    default=None,
    metavar="NAME",
    help="Variant of the run to pack. [default: the winner]",
)
@options.policy
@options.timeout
@options.output
def bundle(
    source: Path,
    out: Path,
    archive: Path | None,
    workload: str | None,
    variant: str | None,
    policy_file: Path | None,
    timeout: float,
    as_json: bool,
) -> None:
    """Pack the winner of RESULTS (the report of `slimner run`), or an ARTIFACT by itself, into a directory.

    --policy decides the winner; by default the policy of the run, or of the last `slimner pick` on it. The bundle has
    the model, its scores and measurements, the decision, hashes of every file, and golden inputs with their
    predictions. `slimner verify` and `slimner serve` check all of it.

    \b
    slimner bundle slimner-report --out my-bundle --archive my-bundle.tar.gz
    slimner bundle my-artifact --out my-bundle
    """
    with Steps() as progress:
        made = bundle_job(
            source,
            out,
            policy=options.policy_of(policy_file),
            variant=variant,
            workload=workload,
            archive=archive,
            timeout_s=timeout,
            progress=progress,
        )
    if as_json:
        printing.print_json(made)
        return
    size = sum(file.size_bytes for file in made.files.values())
    scores = made.scores
    printing.say(
        f"bundled  {made.artifact} into {out} ({size / 1e6:.1f} MB)",
        *((f"policy   {msgspec.convert(made.decision['policy'], Policy).describe()}",) if made.decision else ()),
        *((f"F1       {scores.f1 * 100:.2f} on {scores.corpus}",) if scores else ()),
        *((f"archive  {archive} ({archive.stat().st_size / 1e6:.1f} MB)",) if archive else ()),
        f"next     slimner verify {out}     slimner serve {out}",
    )
