"""The two sides of a comparison, from what a user names: a results file, an artifact, or a checkpoint to build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from ..bench import Workload, read_workload
from ..bench.session import Step, measure_timed
from ..core import child
from ..core.cache import cache_directory
from ..core.errors import CheckpointError, UserError
from ..core.machine import describe, thread_environment
from ..core.records import EvaluationRecord, Results, Settings
from ..core.store import read_results
from ..core.verdicts import Side, sides
from ..eval import Corpus, CorpusSource
from ..variants import VARIANTS, resolve_checkpoint, verify
from ..variants.artifacts import MANIFEST
from ..variants.building import build
from . import options
from .progress import Steps


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """What artifacts are scored and measured on; the workload's name is what a child reads."""

    corpus: Corpus
    workload: Workload
    workload_name: str
    settings: Settings


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a user named: recorded results, or an artifact directory."""

    label: str
    results: Results | None = None
    artifact: Path | None = None

    @property
    def recorded(self) -> dict[str, Side]:
        """Sides by variant of recorded results."""
        return sides(self.results, self.label) if self.results else {}


def given(name: str, variant: str | None, timeout_s: float, on_build: Callable[[str], None]) -> Given:
    """What a name stands for: results (a .json file), an artifact, or a checkpoint, of which `variant` is built."""
    path = Path(name)
    if path.suffix == ".json" and not path.is_dir():
        results = read_results(path)
        if variant and variant not in results.settings.variants:
            raise UserError(f"{path} has no variant '{variant}'", f"it has {', '.join(results.settings.variants)}")
        if variant:
            results = msgspec.structs.replace(
                results, settings=msgspec.structs.replace(results.settings, variants=(variant,))
            )
        return Given(label=name, results=results)
    if (path / MANIFEST).is_file():
        verify(path)
        return Given(label=name, artifact=path)
    try:
        checkpoint = resolve_checkpoint(name)
    except CheckpointError as error:
        if path.exists():
            raise
        raise UserError(
            f"'{name}' is no results file, no artifact and no checkpoint ({error.message})",
            "give results.json of slimner run, a directory made by slimner build, or a checkpoint",
        ) from None
    if variant is None:
        raise UserError(f"'{name}' is a checkpoint", "say with --variant what to build of it")
    on_build(f"building {variant} of {name}")
    artifact, _ = build(checkpoint, VARIANTS.get(variant), cache=cache_directory(), timeout_s=timeout_s)
    return Given(label=name, artifact=artifact)


def evaluate(artifact: Path, inputs: Inputs) -> EvaluationRecord:
    """Score an artifact in a process of its own."""
    inputs.corpus.require_types(verify(artifact).labels.types)
    return child.run(
        "slimner.eval.scoring:evaluate_in_child",
        {"directory": str(artifact), "corpus": inputs.corpus.source, "threads": inputs.settings.threads},
        EvaluationRecord,
        timeout_s=inputs.settings.timeout_s,
        environment=thread_environment(inputs.settings.threads),
    )


def unmeasured(artifact: Path, label: str, inputs: Inputs, evaluation: EvaluationRecord | None) -> Side:
    """A side of which nothing has been measured yet."""
    manifest = verify(artifact)
    return Side(
        label=label,
        variant=manifest.variant,
        artifact=manifest.name,
        size_bytes=manifest.size_bytes,
        corpus=inputs.corpus.facts,
        workload=inputs.workload.facts,
        settings=inputs.settings,
        machine=describe(),
        evaluation=evaluation,
    )


def recorded_side(artifact: Path, label: str, inputs: Inputs, progress: Steps) -> Side:
    """Score and measure an artifact as a run would have, to be compared with recorded results."""
    progress.phase("evaluate", 1)
    side = unmeasured(artifact, label, inputs, evaluate(artifact, inputs))
    progress.done("evaluate", label)
    progress.phase("measure", inputs.settings.repetitions)
    measured = []
    for repetition in range(1, inputs.settings.repetitions + 1):
        measured.append(
            measure_timed(Step(artifact=artifact, repetition=repetition), inputs.workload_name, inputs.settings)
        )
        progress.done("measure", f"{label}, process {repetition}")
    return msgspec.structs.replace(side, measurements=tuple(measured))


def inputs_of(corpus: CorpusSource, workload: str, settings: Settings) -> Inputs:
    """Read what artifacts are scored and measured on."""
    return Inputs(
        corpus=options.read_corpus(corpus),
        workload=read_workload(workload),
        workload_name=workload,
        settings=settings,
    )


def pair_settings(*, threads: int, samples: int, warmup: int, seed: int, timeout: float) -> Settings:
    """Settings of processes that are measured in pairs."""
    return Settings(
        variants=(),
        baseline="",
        threads=threads,
        repetitions=3,
        samples=samples,
        warmup=warmup,
        timeout_s=timeout,
        seed=seed,
    )
