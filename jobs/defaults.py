"""What an artifact is scored and measured on where the user does not say: never texts in another model's language.

The embedded model has an embedded corpus and workload. Any other artifact takes those of the last run of its
checkpoint, which are remembered in the cache; without a run, the user has to name them.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from .. import zoo
from ..bench import Workload, read_workload
from ..bench.workload import EMBEDDED
from ..core.cache import cache_directory
from ..core.errors import UserError
from ..core.outside import read_json
from ..core.records import CheckpointFacts, Results
from ..core.store import write_json
from ..eval import Corpus, CorpusSource
from ..eval.corpora import UNSAID
from ..variants import read_manifest
from ..variants.configuration import SYNTHETIC
from .inputs import corpus_of, workload_of
from .progress import SILENT, Progress

TEXTS = "slimner-workload.txt"  # beside the report of a run that took the texts of its corpus


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What the last run of a checkpoint was scored and measured on; the hashes tell whether it is still the same."""

    workload: str
    workload_sha256: str
    corpus: CorpusSource | None = None
    corpus_sha256: str | None = None


def remember(facts: CheckpointFacts, corpus: Corpus | None, workload: Workload) -> None:
    """Keep what a run of a checkpoint used, for later commands on its artifacts."""
    used = Used(
        workload=_absolute(workload.source),
        workload_sha256=workload.sha256,
        corpus=msgspec.structs.replace(corpus.source, name=_absolute(corpus.source.name)) if corpus else None,
        corpus_sha256=corpus.sha256 if corpus else None,
    )
    write_json(_place(facts), used)


def corpus_for(
    given: str | Path | CorpusSource | Corpus | None, *models: CheckpointFacts, progress: Progress = SILENT
) -> Corpus:
    """The named corpus, or that of the models; UserError if there is none."""
    if isinstance(given, Corpus) or not unsaid(given):
        assert given is not None
        return corpus_of(given, progress)
    if all(map(is_embedded, models)):
        return corpus_of(_named(given, CorpusSource(name=EMBEDDED)), progress)
    used = _used(models[0])
    if used and used.corpus:
        with contextlib.suppress(UserError):
            corpus = corpus_of(used.corpus, progress)
            if corpus.sha256 == used.corpus_sha256:
                progress.note(f"corpus: {corpus.source.name}, of the last run of {models[0].name}")
                return corpus_of(_named(given, used.corpus), progress)
    raise UserError(
        f"no --corpus to score {models[0].name} on, and no earlier run of it whose corpus still exists",
        "give labelled sentences in its language: --corpus FILE",
    )


def workload_for(
    given: str | Path | Workload | None, *models: CheckpointFacts, progress: Progress = SILENT
) -> Workload:
    """The named workload, or that of the models; UserError if there is none.

    Random weights take the embedded one: their answers mean nothing in any language.
    """
    if given is not None:
        return workload_of(given)
    if models and all(is_embedded(facts) or facts.name.startswith(SYNTHETIC) for facts in models):
        progress.note(f"workload: {EMBEDDED}, the embedded one")
        return read_workload(EMBEDDED)
    if models and (used := _used(models[0])):
        with contextlib.suppress(UserError):
            workload = read_workload(used.workload)
            if workload.sha256 == used.workload_sha256:
                progress.note(f"workload: {used.workload}, of the last run of {models[0].name}")
                return workload
    whose = f"measure {models[0].name} on, and no earlier run of it whose texts still exist" if models else "send"
    raise UserError(f"no --workload to {whose}", "give typical texts, one a line: --workload FILE")


def workload_of_run(results: Results, directory: Path) -> Workload | None:
    """The texts that a run was measured on, if they are still there; `directory` is that of its report."""
    used = _used(results.checkpoint)
    for name in (EMBEDDED, str(directory / TEXTS), used.workload if used else ""):
        with contextlib.suppress(UserError):
            if name and (workload := read_workload(name)).sha256 == results.workload.sha256:
                return workload
    return None


def is_embedded(facts: CheckpointFacts) -> bool:
    """Whether a model was built from the embedded checkpoint, unchanged; the embedded bundle states its hash."""
    return facts.sha256 == read_manifest(zoo.bundle() / "model").checkpoint.sha256


def unsaid(given: str | Path | CorpusSource | Corpus | None) -> bool:
    """Whether no corpus was named."""
    return given is None or (isinstance(given, CorpusSource) and given.name == UNSAID)


def _named(given: str | Path | CorpusSource | Corpus | None, default: CorpusSource) -> CorpusSource:
    """The default corpus with the user's options for reading it, if there are any."""
    if not isinstance(given, CorpusSource) or given == CorpusSource(name=UNSAID, seed=given.seed):
        return default
    return msgspec.structs.replace(given, name=default.name, format=given.format or default.format)


def _place(facts: CheckpointFacts) -> Path:
    return cache_directory() / "used" / f"{facts.sha256[:16]}.json"


def _used(facts: CheckpointFacts) -> Used | None:
    try:
        return read_json(_place(facts), Used)
    except UserError:
        return None


def _absolute(name: str) -> str:
    return str(Path(name).resolve()) if Path(name).exists() else name
