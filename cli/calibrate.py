"""`slimner calibrate`: how often this machine's gate is wrong, and what it can see."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from pathlib import Path

import click
import msgspec

from ..bench import read_workload
from ..bench.pairs import measure_pairs
from ..core.cache import cache_directory
from ..core.errors import SlimnerError, UserError
from ..core.gate_records import Calibration
from ..core.journal import Journal
from ..core.machine import boot_id, describe, fingerprint
from ..core.store import read_json, write_json
from ..reports.calibration import RUNS, SCHEMA, section, summarize
from ..variants import VARIANTS, resolve_checkpoint, verify
from ..variants.building import build
from . import options
from .progress import Steps
from .sides import pair_settings


def path_of(machine: str) -> Path:
    """Where the calibration of a machine is kept."""
    return cache_directory() / "calibration" / f"{machine}.json"


def stored() -> Calibration | None:
    """This machine's calibration, None if it has none (or one that this version cannot read)."""
    path = path_of(fingerprint(describe()))
    try:
        found = read_json(path, Calibration) if path.is_file() else None
    except (UserError, msgspec.MsgspecError):
        return None
    return found if found and found.schema == SCHEMA else None


@click.command(name="calibrate", short_help="A/A runs: this machine's false alarms and the smallest change it sees.")
@click.argument("artifact", required=False, type=click.Path(path_type=Path))
@click.option(
    "--pairs",
    type=click.IntRange(20),
    default=40,
    show_default=True,
    help="Pairs of the artifact with a copy of itself to measure.",
)
@options.workload
@options.threads
@options.pair_samples
@options.warmup
@options.seed
@options.timeout
@options.as_json
@options.debug
def calibrate(
    artifact: Path | None,
    pairs: int,
    workload: str,
    threads: int,
    samples: int,
    warmup: int,
    seed: int,
    timeout: float,
    as_json: bool,
    debug: bool,
) -> None:
    """Measure ARTIFACT (the embedded model as onnx-int8 if left out) against a copy of itself, in pairs.

    Gates are resampled from the pairs: how many say "regression" though nothing changed, and how large a change has to
    be until nine in ten see it. That becomes the default margin of `compare` and `gate` on this machine. Takes some
    minutes; an interrupted calibration goes on where it stopped.

    \b
    slimner calibrate
    slimner calibrate my-artifact --workload texts.txt
    """
    if artifact is None:
        with options.err_console().status("building onnx-int8 of news-zh"):
            artifact, _ = build(
                resolve_checkpoint("news-zh"), VARIANTS.get("onnx-int8"), cache=cache_directory(), timeout_s=timeout
            )
    manifest = verify(artifact)
    settings = pair_settings(threads=threads, samples=samples, warmup=warmup, seed=seed, timeout=timeout)
    texts = read_workload(workload)
    machine = describe()
    journal = Journal(
        cache_directory() / "unfinished-calibration", (manifest.seal, texts.sha256, settings, pairs, machine, boot_id())
    )
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory, Steps(options.err_console()) as progress:
        copy = Path(directory) / artifact.name  # its own files: how the kernel lays out their pages is noise, too
        shutil.copytree(artifact, copy)
        progress.phase("measure", pairs)
        run = measure_pairs(
            artifact,
            copy,
            workload,
            settings,
            settled=lambda measured: False,
            looks=(pairs,),
            budget_s=float("inf"),
            journal=journal,
            on_pair=lambda pair, rejected: (
                progress.failed("measure", f"pair {pair.number} was disturbed, it is measured again", counts=False)
                if pair.disturbed
                else progress.done("measure", f"pair {pair.number}")
            ),
        )
    if len(run.pairs) < pairs:
        raise SlimnerError(f"{len(run.pairs)} of {pairs} pairs: {run.ended}", "calibrate when the machine is quiet")
    with options.err_console().status(f"resampling {RUNS} gates"):
        found = summarize(
            run.baseline,
            run.candidate,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            rejected=run.rejected,
            workload=texts.facts,
            settings=settings,
        )
    write_json(path_of(found.fingerprint), found)
    journal.finish()
    if as_json:
        options.print_json(found)
        return
    options.print_sections([section(found)], ())
    options.out_console().print(
        f"  stored  {path_of(found.fingerprint)}, the default margins of compare and gate here",
        markup=False,
        soft_wrap=True,
    )
