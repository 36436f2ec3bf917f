"""The directory that holds the best artifact of a search so far."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..core.errors import ArtifactError
from ..core.journal import Journal
from ..variants import Artifact, Checkpoint, read_manifest
from ..variants.artifacts import MANIFEST
from ..variants.building import place


def require_place(out: Path, source: Checkpoint, journal: Journal) -> None:
    """ArtifactError if `out` holds anything but a default `onnx-int8` of the checkpoint or what this search found."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    what = "exists"
    if (out / MANIFEST).is_file():
        manifest = read_manifest(out)
        if manifest.variant == "onnx-int8" and manifest.checkpoint.sha256 == source.sha256:
            if "tuning" not in manifest.tools or journal.get(_step(manifest.name), bool):
                return
            what = "holds what a search with another policy, texts, options or versions, or before a restart, found"
    raise ArtifactError(f"{out} {what}", "choose another --out, or remove it")


def hold(artifact: Artifact, out: Path, journal: Journal) -> None:
    """Put a copy of an artifact in the place of what is there, unless it is there already."""
    name = artifact.manifest.name
    if (out / MANIFEST).is_file() and read_manifest(out).name == name:
        return
    journal.put(_step(name), True)
    new, old = (out.with_name(f".{out.name}.{which}") for which in ("new", "old"))
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    place(artifact.path, new)
    if out.exists():
        out.rename(old)
    new.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _step(name: str) -> str:
    return f"best {name}"
