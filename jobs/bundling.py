"""Packing the winner of a run, or an artifact by itself, for deployment."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from tokenizers import Tokenizer

from ..bench import Workload
from ..core import child
from ..core.cache import cache_directory
from ..core.errors import ArtifactError, UserError
from ..core.machine import thread_environment
from ..core.records import Results
from ..core.store import directory_in_place, read_results
from ..eval import unknown_in_texts
from ..reports import Policy
from ..serve.bundle import Bundle, Measured, Scores, Session, golden_in_child, write_archive, write_bundle
from ..variants import VARIANTS, Artifact, Manifest, Reader, verify
from ..variants.artifacts import MANIFEST
from .deciding import choices, kept_policy, pick
from .defaults import workload_for, workload_of_run
from .inputs import results_in
from .progress import SILENT, Progress

GOLDEN_TEXTS = 16
MOST_UNKNOWN = 0.3  # of the tokens of a golden text
RUNTIME = ("flask", "gunicorn", "msgspec", "numpy", "prometheus-client", "tokenizers")


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about the winner of a run."""

    artifact: Artifact
    threads: int
    scores: Scores | None = None
    measured: Measured | None = None
    decision: dict[str, Any] | None = None
    workload: Workload | None = None


def bundle(
    source: str | Path,
    out: str | Path,
    *,
    policy: Policy | None = None,
    variant: str | None = None,
    workload: str | Path | Workload | None = None,
    archive: str | Path | None = None,
    timeout_s: float = 900.0,
    progress: Progress = SILENT,
) -> Bundle:
    """Pack the winner of a run (its results, or the directory of its report), or an artifact, into the directory `out`.

    The winner is the one under `policy`, or under the policy that the run or the last `pick` kept beside its results;
    `variant` packs that one, whoever wins. Some texts of the workload (without it, of the run's own) and their answers
    become the golden inputs; `archive` is one file to pack it into as well. Raises ArtifactError when `out` is not
    empty, UserError when the run has no winner.
    """
    source, out = Path(source), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArtifactError(f"{out} exists", "choose another --out, or remove it")
    proof = _proof(source, policy, variant)
    manifest = proof.artifact.manifest
    built = VARIANTS.get(manifest.variant)
    given = workload if workload is not None else proof.workload
    texts = golden_texts(workload_for(given, manifest.checkpoint, progress=progress), proof.artifact)
    progress.phase("golden", 1)
    progress.now("golden", f"predictions of {len(texts)} texts")
    answering = child.call(golden_in_child, proof.artifact.path, texts, proof.threads)
    golden = answering.run(timeout_s=timeout_s, environment=thread_environment(proof.threads))
    progress.done("golden", f"{len(golden)} texts")
    if out.exists():
        out.rmdir()
    with directory_in_place(out) as directory:
        made = write_bundle(
            directory,
            proof.artifact,
            slimner=importlib.metadata.version("slimner"),
            session=Session(threads=proof.threads, options=dict(built.session)),
            golden=golden,
            requirements=_requirements(manifest, built.run_needs),
            scores=proof.scores,
            measured=proof.measured,
            decision=proof.decision,
        )
    if archive is not None:
        write_archive(out, made, Path(archive))
    return made


def golden_texts(workload: Workload, artifact: Artifact) -> tuple[str, ...]:
    """Texts of a workload that can prove an artifact: it knows most tokens of each, and no two have the same tokens.

    UserError if there are none, for example because the workload is in another language than the model.
    """
    reader = Reader(Tokenizer.from_file(str(artifact.tokenizer)))
    different = {tuple(reader.encode(text).ids): text for text in workload.texts}
    known = [text for text in different.values() if unknown_in_texts((text,), reader).share <= MOST_UNKNOWN]
    if len(known) * 2 < len(different):
        raise UserError(
            f"{len(different) - len(known)} of {len(different)} texts of {workload.name} are mostly unknown to the "
            "tokenizer, so they prove nothing",
            "give texts in the model's language: --workload FILE",
        )
    return some(known, GOLDEN_TEXTS)


def some(texts: Sequence[str], count: int) -> tuple[str, ...]:
    """At most `count` texts, spread evenly over their lengths, including the shortest and the longest."""
    ordered = sorted(dict.fromkeys(texts), key=lambda text: (len(text), text))
    if len(ordered) <= count:
        return tuple(ordered)
    return tuple(ordered[round(i * (len(ordered) - 1) / (count - 1))] for i in range(count))


def _proof(source: Path, policy: Policy | None, variant: str | None) -> Proof:
    """The artifact, and the recorded facts about it."""
    results = results_in(source)
    if results.is_file() and not (source / MANIFEST).is_file():
        recorded = read_results(results)
        proof = chosen(recorded, policy or kept_policy(results), variant)
        return msgspec.structs.replace(proof, workload=workload_of_run(recorded, results.parent))
    if policy is not None or variant is not None:
        raise UserError(
            f"{source} is an artifact, so there is no variant to choose",
            "leave --policy and --variant out, or give the results of a run",
        )
    return Proof(artifact=verify(source), threads=1)


def chosen(results: Results, policy: Policy | None, variant: str | None = None) -> Proof:
    """The winner of a run under a policy, or the named variant; UserError if there is none, or its artifact is gone."""
    rows, _ = choices(results)
    decision = None if variant else pick(results, policy=policy)
    name = decision.winner if decision else variant
    if name is None:
        raise UserError(
            f"the run has no winner: {decision.because if decision else ''}", "choose one by name: --variant NAME"
        )
    row = next((row for row in rows if row.variant == name and not row.failed), None)
    built = next((build for build in results.builds if build.variant == name), None)
    if row is None or built is None:
        whole = ", ".join(row.variant for row in rows if not row.failed)
        raise UserError(f"the run has no working variant {name!r}", f"it has: {whole or 'none'}")
    artifact = cache_directory() / "artifacts" / built.artifact
    if not artifact.is_dir():
        raise UserError(
            f"the winner's artifact is no longer at {artifact}",
            f"set SLIMNER_CACHE to the cache of that run, or build it: slimner build --variant {name}",
        )
    memory, one_client = row.value("memory"), row.value("mean")
    return Proof(
        artifact=verify(artifact),
        threads=results.settings.threads,
        scores=Scores(
            corpus=results.corpus.name,
            corpus_sha256=results.corpus.sha256,
            sentences=results.corpus.sentences,
            f1=row.f1.value,
            f1_low=row.f1.low,
            f1_high=row.f1.high,
            instructions=results.machine.instructions,
        )
        if row.f1 and results.corpus
        else None,
        measured=Measured(
            p50_ms=row.value("p50"),
            p95_ms=row.value("p95"),
            pss_bytes=round(memory) if memory else None,
            per_s=row.value("qps") or (1000 / one_client if one_client else None),
            size_bytes=built.size_bytes,
            cpu=results.machine.cpu,
        ),
        decision=msgspec.to_builtins(decision) if decision else None,
    )


def _requirements(manifest: Manifest, modules: Sequence[str]) -> dict[str, str]:
    """Distributions that serving the artifact needs, with the versions that are installed."""
    found = importlib.metadata.packages_distributions()
    names = {name for module in modules for name in found.get(module.partition(".")[0], ())}
    plugin, _ = VARIANTS.distribution(manifest.variant)
    return {name: importlib.metadata.version(name) for name in sorted({*RUNTIME, *names, plugin, "slimner"} - {""})}
