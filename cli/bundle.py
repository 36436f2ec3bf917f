"""`slimner bundle`: pack the winner for deployment."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import click
import msgspec

from ..bench.workload import read_workload
from ..core import child
from ..core.cache import cache_directory
from ..core.errors import ArtifactError, UserError
from ..core.machine import thread_environment
from ..core.records import Results
from ..core.store import directory_in_place, read_results
from ..reports import Policy, compare, decide, read_policy
from ..reports.report import RESULTS
from ..serve.bundle import Golden, Measured, Scores, Session, write_archive, write_bundle
from ..variants import VARIANTS, Manifest, verify
from . import options
from .pick import complexity

GOLDEN_TEXTS = 16
RUNTIME = ("flask", "gunicorn", "msgspec", "numpy", "prometheus-client", "tokenizers")


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What a run says of its winner."""

    artifact: Path
    threads: int
    scores: Scores | None
    measured: Measured | None
    decision: dict[str, Any] | None


@click.command(short_help="Pack the winner of a run, or an artifact, for deployment.")
@click.argument("source", metavar="RESULTS|ARTIFACT", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory to write; it must not exist.")
@click.option(
    "--archive",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE.tar.gz",
    help="Also pack it into one file, the same bytes for the same bundle.",
)
@click.option(
    "--workload",
    default="news-zh",
    show_default=True,
    metavar="FILE",
    help="Texts, one a line, of which some and their answers become the golden inputs.",
)
@options.policy
@options.timeout
@options.as_json
@options.debug
def bundle(
    source: Path,
    out: Path,
    archive: Path | None,
    workload: str,
    policy_file: Path | None,
    timeout: float,
    as_json: bool,
    debug: bool,
) -> None:
    """Pack the winner of RESULTS (the report of `slimner run`), or an ARTIFACT by itself, into a directory.

    It carries the model, its scores and measurements, the decision, hashes of every file, and golden inputs with their
    predictions: what `slimner verify` and `slimner serve` check before they answer anybody.

    \b
    slimner bundle slimner-report --out my-bundle --archive my-bundle.tar.gz
    slimner bundle my-artifact --out my-bundle
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArtifactError(f"{out} exists", "choose another --out, or remove it")
    proof = _proof(source, read_policy(policy_file) if policy_file else Policy())
    manifest = verify(proof.artifact)
    variant = VARIANTS.get(manifest.variant)
    texts = some(read_workload(workload).texts, GOLDEN_TEXTS)
    with options.err_console().status("golden predictions"):
        golden = child.run(
            "slimner.serve.bundle:golden_in_child",
            {"artifact": str(proof.artifact), "texts": list(texts), "threads": proof.threads},
            list[Golden],
            timeout_s=timeout,
            environment=thread_environment(proof.threads),
        )
    if out.exists():
        out.rmdir()
    with directory_in_place(out) as directory:
        made = write_bundle(
            directory,
            proof.artifact,
            slimner=importlib.metadata.version("slimner"),
            session=Session(threads=proof.threads, options=dict(variant.session)),
            golden=golden,
            requirements=_requirements(manifest, variant.run_needs),
            scores=proof.scores,
            measured=proof.measured,
            decision=proof.decision,
        )
    if archive is not None:
        write_archive(out, made, archive)
    if as_json:
        options.print_json(made)
        return
    size = sum(file.size_bytes for file in made.files.values())
    scores = made.scores
    console = options.out_console()
    console.print(
        f"bundled  {made.artifact} into {out} ({size / 1e6:.1f} MB, {len(golden)} golden texts)\n"
        + (f"F1       {scores.f1 * 100:.2f} on {scores.corpus}\n" if scores else "")
        + (f"archive  {archive} ({archive.stat().st_size / 1e6:.1f} MB)\n" if archive else "")
        + f"next     slimner verify {out}     slimner serve {out}",
        markup=False,
        soft_wrap=True,
    )


def some(texts: tuple[str, ...], count: int) -> tuple[str, ...]:
    """At most `count` texts, evenly over their lengths, the shortest and the longest among them."""
    ordered = sorted(dict.fromkeys(texts), key=lambda text: (len(text), text))
    if len(ordered) <= count:
        return tuple(ordered)
    return tuple(ordered[round(i * (len(ordered) - 1) / (count - 1))] for i in range(count))


def _proof(source: Path, policy: Policy) -> Proof:
    """Where the artifact is, and what is known of it."""
    results = source / RESULTS if source.is_dir() else source
    if results.is_file() and not (source / "manifest.json").is_file():
        return winner(read_results(results), policy)
    return Proof(artifact=source, threads=1, scores=None, measured=None, decision=None)


def winner(results: Results, policy: Policy) -> Proof:
    """The winner of a run under a policy; UserError if there is none, or its artifact is gone."""
    rows = compare(results)
    decision = decide(rows, complexity(results.settings.variants), policy)
    if decision.winner is None:
        raise UserError(f"the run has no winner: {decision.because}", "bundle one of its artifacts instead")
    row = next(row for row in rows if row.variant == decision.winner)
    built = next(build for build in results.builds if build.variant == decision.winner)
    artifact = cache_directory() / "artifacts" / built.artifact
    if not artifact.is_dir():
        raise UserError(
            f"the winner's artifact is no longer at {artifact}",
            f"set SLIMNER_CACHE to the cache of that run, or build it: slimner build --variant {decision.winner}",
        )
    return Proof(
        artifact=artifact,
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
            p50_ms=row.p50.value if row.p50 else None,
            p95_ms=row.p95.value if row.p95 else None,
            pss_bytes=round(row.steady.value) if row.steady else None,
            per_s=row.concurrent.value if row.concurrent else row.per_s,
            size_bytes=built.size_bytes,
            cpu=results.machine.cpu,
        ),
        decision=msgspec.to_builtins(decision),
    )


def _requirements(manifest: Manifest, modules: Any) -> dict[str, str]:
    """Distributions that serving the artifact needs, with the versions that are installed."""
    found = importlib.metadata.packages_distributions()
    names = {name for module in modules for name in found.get(module.partition(".")[0], ())}
    plugin, _ = VARIANTS.distribution(manifest.variant)
    return {name: importlib.metadata.version(name) for name in sorted({*RUNTIME, *names, plugin, "slimner"} - {""})}
