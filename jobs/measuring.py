"""Measuring one artifact by itself."""

from __future__ import annotations

from pathlib import Path

from ..bench import Workload, measure, steps
from ..core.locks import measuring_alone
from ..core.machine import describe
from ..core.records import BenchReport, Measuring
from ..reports.notes import measurement_notes
from ..variants import Artifact
from . import between_runs
from .defaults import workload_for
from .inputs import artifact_in, require, require_measuring
from .progress import SILENT, Progress
from .unknown import tell_unknown


def bench(
    artifact: str | Path | Artifact,
    *,
    workload: str | Path | Workload | None = None,
    settings: Measuring | None = None,
    repetitions: int = 3,
    progress: Progress = SILENT,
) -> BenchReport:
    """Measure memory by stage and latency of an artifact or a bundle, each repetition in a fresh process.

    The first process is sampled from outside for its memory over time, `repetitions` more are timed.
    Without `workload` it is the one of the embedded model, or of the last run of another. Raises
    ArtifactError, UserError for a workload without texts, or ChildError when a process failed.
    """
    require("memory_profiler")
    require_measuring()
    settings = settings or Measuring()
    opened = artifact if isinstance(artifact, Artifact) else artifact_in(Path(artifact))
    texts = workload_for(workload, opened.manifest.checkpoint, progress=progress)
    tell_unknown(opened.tokenizer, None, texts, progress)
    todo = list(steps([opened.path], repetitions))
    progress.phase("measure", len(todo))
    records = []
    for step in todo:
        progress.now("measure", f"{opened.manifest.variant} on {len(texts.texts)} texts")
        with measuring_alone(progress.note):
            records.append(measure(step, texts.source, settings))
        progress.done("measure", f"{opened.manifest.variant}, process {step.repetition}")
    machine = describe()
    known = between_runs.deviations(machine)
    between_runs.remember(records, texts.sha256, settings)
    return BenchReport(
        machine=machine,
        workload=texts.facts,
        settings=settings,
        measurements=tuple(records),
        notes=tuple(measurement_notes(records)),
        deviations=known,
    )
