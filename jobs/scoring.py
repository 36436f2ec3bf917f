"""Scoring artifacts, and what two of them find differently."""

from __future__ import annotations

from pathlib import Path

from ..core import child
from ..core.errors import UserError
from ..core.machine import thread_environment
from ..core.parallel import room
from ..core.records import EvaluationRecord
from ..eval import Corpus, CorpusSource, Differences
from ..eval import differences as differences_between
from ..eval.scoring import evaluate_in_child
from ..variants import Artifact
from .defaults import corpus_for
from .inputs import artifact_in, require, source_of
from .progress import SILENT, Progress
from .unknown import tell_unknown

# What a process that scores needs besides its model: torch, where the variant runs on it, and the corpus.
SCORING_BYTES = 500e6
SCORING_SHARE = 3.0


def scored_at_a_time(artifact: Artifact, threads: int) -> int:
    """How many processes that score this artifact fit side by side."""
    return room(SCORING_BYTES + SCORING_SHARE * artifact.manifest.size_bytes, threads)


def score(
    artifact: Artifact, corpus: Corpus, *, threads: int, timeout_s: float, processes: int | None = None
) -> EvaluationRecord:
    """Score an artifact in a process of its own; CorpusError if the corpus has types that the model does not know.

    A large corpus is divided over `processes`, by default as many as there is room for.
    """
    corpus.require_types(artifact.manifest.labels.types)
    processes = processes or scored_at_a_time(artifact, threads)
    scoring = child.call(evaluate_in_child, artifact.path, corpus.source, threads, processes)
    return scoring.run(timeout_s=timeout_s, environment=thread_environment(threads))


def evaluate(
    artifact: str | Path | Artifact,
    *,
    corpus: str | Path | CorpusSource | Corpus | None = None,
    threads: int = 1,
    timeout_s: float = 900.0,
    progress: Progress = SILENT,
) -> EvaluationRecord:
    """Score an artifact or a bundle on a labelled corpus with seqeval, in a process of its own.

    Without `corpus` it is the one of the embedded model, or of the last run of another.
    Raises ArtifactError, CorpusError, or ChildError when the process failed or ran out of time.
    """
    require("seqeval")
    opened = artifact if isinstance(artifact, Artifact) else artifact_in(Path(artifact))
    labelled = corpus_for(corpus, opened.manifest.checkpoint, progress=progress)
    labelled.require_types(opened.manifest.labels.types)
    tell_unknown(opened.tokenizer, labelled, None, progress)
    progress.phase("evaluate", 1)
    progress.now("evaluate", f"{opened.manifest.variant} on {len(labelled.sentences):,} sentences")
    record = score(opened, labelled, threads=threads, timeout_s=timeout_s)
    progress.done("evaluate", opened.manifest.variant)
    return record


def differences(
    baseline: str | Path,
    candidate: str | Path,
    *,
    variant: str | None = None,
    corpus: str | Path | CorpusSource | Corpus | None = None,
    threads: int = 1,
    timeout_s: float = 900.0,
    progress: Progress = SILENT,
) -> Differences:
    """Every entity of a corpus that two artifacts (or checkpoints, with `variant`) find differently."""
    require("seqeval")
    artifacts = []
    for name in (baseline, candidate):
        artifact = source_of(name, variant, timeout_s, progress).artifact
        if artifact is None:
            raise UserError(f"{name} is a results file", "give artifacts; a run's differences are in its report")
        artifacts.append(artifact)
    labelled = corpus_for(corpus, *(artifact.manifest.checkpoint for artifact in artifacts), progress=progress)
    records = [
        evaluate(artifact, corpus=labelled, threads=threads, timeout_s=timeout_s, progress=progress)
        for artifact in artifacts
    ]
    return differences_between(records[0], records[1], labelled)
