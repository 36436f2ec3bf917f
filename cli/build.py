"""`slimner build`: one variant of one checkpoint, into a directory."""

from __future__ import annotations

from pathlib import Path

import click

from ..core.cache import cache_directory
from ..core.errors import ArtifactError
from ..jobs.defaults import is_embedded
from ..variants import VARIANTS, LoadOptions, Manifest, resolve_checkpoint
from ..variants.building import build as build_artifact
from ..variants.building import place
from . import options, printing
from .progress import Steps


@click.command(short_help="Build one variant of a checkpoint into a directory.")
@options.checkpoint
@click.option("--variant", required=True, metavar="NAME", help="What to build; `slimner variants` lists them.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory to write; it must not exist.")
@options.exporter
@options.timeout
@options.output
def build(
    checkpoint: str, load: LoadOptions, variant: str, out: Path, exporter: str, timeout: float, as_json: bool
) -> None:
    """Build CHECKPOINT (a directory, a hub id, modelscope:ID, synthetic:NAME, or news-zh) as one variant.

    `--variant imported` takes your own ONNX graph: a directory with model.onnx, config.json and tokenizer.json, or the
    file in it.

    The build runs in its own process, is compared with the checkpoint, and appears in --out whole or not at all. A copy
    stays in the cache ($SLIMNER_CACHE, or .slimner in the working directory), so nothing is built twice.

    \b
    slimner build --variant onnx-int8 --out my-artifact
    slimner build path/to/checkpoint --variant fp32 --out baseline
    slimner build organization/name@revision --variant onnx-int8 --out my-artifact
    slimner build exported/model_quantized.onnx --variant imported --out my-graph
    """
    chosen = VARIANTS.get(variant)
    source = resolve_checkpoint(checkpoint, load)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArtifactError(f"{out} exists", "choose another --out, or remove it")
    with Steps() as progress:
        progress.phase("build", 1)
        progress.now("build", f"{variant} of {source.name}")
        artifact, cached = build_artifact(
            source, chosen, cache=cache_directory(), timeout_s=timeout, exporter_name=exporter
        )
        place(artifact.path, out)
        progress.done("build", variant)
    manifest = artifact.manifest
    if as_json:
        printing.print_json(manifest)
        return
    parity, whose = manifest.parity, "checkpoint" if source.weights else "graph"
    printing.say(
        f"built    {out} ({manifest.size_bytes / 1e6:.1f} MB, {'cached' if cached else _cost(manifest)})",
        f"parity   largest logit difference {parity.max_abs_logit_difference:.2g} over {parity.tokens} tokens, "
        f"{parity.tag_agreement * 100:.2f} % of tags the same as the {whose}'s",
        f"next     {_next(manifest, out)}",
    )


def _next(manifest: Manifest, out: Path) -> str:
    """Commands to continue with, ready to copy: the embedded model has its own texts, others need the user's."""
    if is_embedded(manifest.checkpoint):
        return f"slimner eval {out}     slimner bench {out}"
    return f"slimner eval {out} --corpus FILE     slimner bench {out} --workload FILE"


def _cost(manifest: Manifest) -> str:
    peak = f", peak {manifest.build_peak_bytes / 1e9:.2f} GB" if manifest.build_peak_bytes else ""
    return f"{manifest.build_s:.1f} s{peak}"
