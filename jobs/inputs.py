"""The inputs of jobs: corpora, workloads, and the sides of a comparison by the names that users give."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import msgspec

from ..bench import Workload, read_workload
from ..core.cache import cache_directory
from ..core.errors import CheckpointError, MissingDependencyError, UserError
from ..core.install import install_hint
from ..core.memory import can_measure
from ..core.records import Results
from ..core.store import RESULTS, SWEEP, read_results
from ..core.verdicts import Side, sides
from ..eval import Corpus, CorpusSource
from ..eval import read_corpus as read_labelled
from ..eval.corpora import counts, listing
from ..serve.bundle import BUNDLE, open_served
from ..variants import VARIANTS, Artifact, resolve_checkpoint, verify
from ..variants.artifacts import MANIFEST
from ..variants.building import build
from .progress import SILENT, Progress


def require(*modules: str, extra: str = "lab") -> None:
    """Raise MissingDependencyError if this install lacks one of the modules, which the extra installs."""
    if missing := [module for module in modules if importlib.util.find_spec(module) is None]:
        raise MissingDependencyError(
            f"this command needs {', '.join(missing)}, not installed here", install_hint(extra)
        )


def require_measuring() -> None:
    """Raise UserError if this system does not provide the memory of processes."""
    if not can_measure():
        raise UserError(
            "memory is measured with Linux's /proc, which this system does not have",
            "build, eval, diff and bundle work here; measure on Linux, or in a container",
        )


def corpus_of(given: str | Path | CorpusSource | Corpus, progress: Progress = SILENT) -> Corpus:
    """A labelled corpus, with a note about what was repaired in it; CorpusError if it cannot be read."""
    if isinstance(given, Corpus):
        return given
    corpus = read_labelled(given if isinstance(given, CorpusSource) else CorpusSource(name=str(given)))
    if corpus.defects:
        first = corpus.defects[0]
        progress.note(
            f"note: {corpus.name}: repaired {listing(counts(corpus.defects))}; first in line {first.line}: "
            f"{first.detail}; slimner corpus {corpus.source.name} shows more, --strict refuses it"
        )
    return corpus


def workload_of(given: str | Path | Workload) -> Workload:
    """The texts to measure on; UserError if there are none."""
    return given if isinstance(given, Workload) else read_workload(str(given))


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison as it was named: recorded results, or a verified artifact."""

    label: str
    results: Results | None = None
    artifact: Artifact | None = None

    @property
    def recorded(self) -> dict[str, Side]:
        """Sides by variant of recorded results."""
        return sides(self.results, self.label) if self.results else {}


def results_in(path: Path) -> Path:
    """The results file of a path: the file itself, or the one in a report's directory.

    UserError if the path is a sweep's directory with several; the message lists them.
    """
    if (path / SWEEP).is_file():
        inside = sorted(path.glob(f"*/{RESULTS}"))
        if len(inside) == 1:
            return inside[0]
        names = ", ".join(str(file.parent) for file in inside) or "none"
        raise UserError(f"{path} is a sweep with {len(inside)} results", f"name one of them: {names}")
    return path / RESULTS if path.is_dir() and (path / RESULTS).is_file() else path


def artifact_in(path: Path) -> Artifact:
    """The verified artifact of an artifact's or a bundle's directory; ArtifactError if it is neither."""
    if (path / BUNDLE).is_file():
        served = open_served(path)
        return Artifact(path=served.model, manifest=served.manifest)
    return verify(path)


def source_of(name: str | Path, variant: str | None, timeout_s: float, progress: Progress = SILENT) -> Source:
    """The source that a name refers to: results, an artifact, a bundle, or a checkpoint, of which `variant` is built.

    Results are a file or the directory of a report. UserError if it is none of these.
    """
    path, label = Path(name), str(name)
    if (path.suffix == ".json" and not path.is_dir()) or results_in(path) != path:
        results = read_results(results_in(path))
        if variant and variant not in results.settings.variants:
            raise UserError(f"{path} has no variant '{variant}'", f"it has {', '.join(results.settings.variants)}")
        if variant:
            settings = msgspec.structs.replace(results.settings, variants=(variant,))
            results = msgspec.structs.replace(results, settings=settings)
        return Source(label=label, results=results)
    if (path / MANIFEST).is_file() or (path / BUNDLE).is_file():
        return Source(label=label, artifact=artifact_in(path))
    try:
        checkpoint = resolve_checkpoint(label)
    except CheckpointError as error:
        if path.exists():
            raise
        raise UserError(
            f"'{name}' is not a results file, an artifact, a bundle or a checkpoint ({error.message})",
            "give the report of slimner run, a directory made by slimner build or bundle, or a checkpoint",
        ) from None
    if variant is None:
        raise UserError(f"'{name}' is a checkpoint", "name the variant to build with --variant")
    progress.note(f"building {variant} of {name}")
    artifact, _ = build(checkpoint, VARIANTS.get(variant), cache=cache_directory(), timeout_s=timeout_s)
    return Source(label=label, artifact=artifact)
