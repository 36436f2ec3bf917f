"""Calibrating a machine by measuring an artifact against a copy of itself, in pairs."""

from __future__ import annotations

import datetime
import shutil
import tempfile
from pathlib import Path

import msgspec

from ..bench import Workload
from ..bench.pairs import Tally, measure_pairs
from ..core.cache import cache_directory
from ..core.checking import WrongError, check_calibration
from ..core.errors import SlimnerError, UserError
from ..core.gate_records import Calibration
from ..core.journal import Journal
from ..core.machine import boot_id, describe, fingerprint
from ..core.outside import read_json
from ..core.records import Measuring
from ..core.store import write_json
from ..reports.calibration import SCHEMA, summarize
from ..variants import VARIANTS, Artifact, resolve_checkpoint
from ..variants.building import build
from . import between_runs, lasting
from .defaults import workload_for
from .inputs import artifact_in
from .progress import SILENT, Progress, tell

# Pairs that a calibration measures, unless told otherwise.
PAIRS = 40

# Longest time for a calibration: on a machine that is never quiet it ends.
BUDGET_S = 3600.0


def path_of(machine: str) -> Path:
    """Where the calibration of a machine is kept."""
    return cache_directory() / "calibration" / f"{machine}.json"


class _Version(msgspec.Struct):
    schema: int


def stored() -> Calibration | None:
    """This machine's calibration, None if it has none of this version; UserError if the file is damaged."""
    path = path_of(fingerprint(describe()))
    if not path.is_file() or read_json(path, _Version).schema != SCHEMA:
        return None
    remedy = "delete it, or slimner calibrate again"
    found = read_json(path, Calibration, remedy=remedy)
    try:
        check_calibration(found)
    except WrongError as error:
        raise UserError(f"{path}: {error}", remedy) from None
    return found


def calibrate(
    artifact: str | Path | Artifact | None = None,
    *,
    pairs: int = PAIRS,
    workload: str | Path | Workload | None = None,
    settings: Measuring | None = None,
    progress: Progress = SILENT,
) -> Calibration:
    """Measure an artifact (the embedded model as onnx-int8 if left out) against a copy of itself, and keep the result.

    It becomes the source of default margins of `compare` and `gate` on this machine. An interrupted calibration goes
    on where it stopped. Raises SlimnerError when too many pairs were disturbed.
    """
    settings = settings or Measuring(samples=100)
    opened = _opened(artifact, settings.timeout_s, progress)
    texts = workload_for(workload, opened.manifest.checkpoint, progress=progress)
    identity = (opened.manifest.seal, texts.sha256, settings, pairs, describe(), boot_id())
    journal = Journal(cache_directory() / "unfinished-calibration", identity)
    tally = Tally(looks=(pairs,), budget_s=BUDGET_S)
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        copy = Path(directory) / opened.path.name  # its own files: how the kernel lays out their pages is noise, too
        shutil.copytree(opened.path, copy)
        progress.phase("measure", pairs)
        for pair in measure_pairs(opened.path, copy, texts.source, settings, journal=journal, tell=progress.note):
            tally.take(pair)
            tell(pair, progress)
            if tally.ended:
                break
    if tally.undisturbed < pairs:
        raise SlimnerError(
            f"{tally.undisturbed} of {pairs} pairs: {tally.ended}", "calibrate when the machine is quiet"
        )
    progress.note("resampling gates")
    found = summarize(
        [pair.baseline for pair in tally.pairs],
        [pair.candidate for pair in tally.pairs],
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        disturbed=len(tally.pairs) - tally.undisturbed,
        workload=texts.facts,
        settings=settings,
    )
    write_json(path_of(found.fingerprint), found)
    lasting.remember(tally.pairs)
    between_runs.remember([pair.baseline for pair in tally.pairs], texts.sha256, settings)
    journal.finish()
    return found


def _opened(artifact: str | Path | Artifact | None, timeout_s: float, progress: Progress) -> Artifact:
    if isinstance(artifact, Artifact):
        return artifact
    if artifact is not None:
        return artifact_in(Path(artifact))
    progress.note("building onnx-int8 of news-zh")
    checkpoint = resolve_checkpoint("news-zh")
    return build(checkpoint, VARIANTS.get("onnx-int8"), cache=cache_directory(), timeout_s=timeout_s)[0]
