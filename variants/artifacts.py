"""Artifacts: a directory with the model's files, the tokenizer and a manifest that is written last.

No manifest, no artifact. The manifest carries the SHA-256 and size of every file, so a changed or truncated file is
found before anything of it is read. Nothing in an artifact is pickled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..core.errors import ArtifactError
from ..core.outside import read_json
from ..core.records import CheckpointFacts, Parity, Record
from ..core.store import sha256_file, sha256_of
from .configuration import TOKENIZER
from .labels import Labels
from .variant import Batching

MANIFEST = "manifest.json"
MANIFEST_SCHEMA = 1
MOST_DEPTH = 8
MOST_WINDOW = 1 << 16


class File(Record, frozen=True, kw_only=True):
    """One file of an artifact."""

    sha256: str
    size_bytes: int


class Manifest(Record, frozen=True, kw_only=True):
    """What an artifact is. `key` names its content: checkpoint, variant, tools and instruction set."""

    schema: int
    key: str
    variant: str
    checkpoint: CheckpointFacts
    labels: Labels
    window: int
    instructions: str
    tools: dict[str, str]
    parity: Parity
    build_s: float
    build_peak_bytes: int | None
    files: dict[str, File]
    batching: Batching = "alone"
    """Which windows may share a run: proven when it was built, on its instruction set."""
    seal: str = ""
    """Hash of everything above, so that a changed manifest is found like any other changed file."""

    def sealed(self) -> Manifest:
        """The same with its seal."""
        content = msgspec.to_builtins(msgspec.structs.replace(self, seal=""))
        if self.batching == "alone":
            del content["batching"]  # manifests from before there was anything else are sealed without it
        return msgspec.structs.replace(self, seal=sha256_of(content))

    @property
    def name(self) -> str:
        """Short name of the artifact, variant and content."""
        return artifact_name(self.variant, self.key)

    @property
    def size_bytes(self) -> int:
        """Size of everything that has to be deployed, without the manifest."""
        return sum(file.size_bytes for file in self.files.values())


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A directory whose every file was checked against its hash when this was made, by `verify` or by the build."""

    path: Path
    manifest: Manifest

    @property
    def tokenizer(self) -> Path:
        """Path of its `tokenizer.json`."""
        return self.path / TOKENIZER


def artifact_name(variant: str, key: str) -> str:
    """Directory name of an artifact in the cache."""
    return f"{variant}-{key[:12]}"


def artifact_key(checkpoint_sha256: str, variant: str, instructions: str, tools: dict[str, str]) -> str:
    """Identity of an artifact: the same key means a second build would give the same thing."""
    return sha256_of([MANIFEST_SCHEMA, checkpoint_sha256, variant, instructions, tools])


def describe_files(directory: Path) -> dict[str, File]:
    """Hash and size of every file below a directory, except the manifest."""
    return {
        str(path.relative_to(directory)): File(sha256=sha256_file(path), size_bytes=path.stat().st_size)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / MANIFEST
    }


def regular_files(directory: Path) -> Iterator[str]:
    """Paths of all files below a directory, with `/`; ArtifactError if one is a link, a pipe or the like."""
    waiting = [directory]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise ArtifactError(f"{folder}: {error.strerror}", "make it readable") from None
        for entry in entries:
            path = Path(entry.path)
            below = path.relative_to(directory)
            if entry.is_file(follow_symlinks=False):
                yield below.as_posix()
            elif not entry.is_dir(follow_symlinks=False):
                raise ArtifactError(f"{path} is neither a file nor a directory", "replace links by their files")
            elif len(below.parts) > MOST_DEPTH:
                raise ArtifactError(f"{directory} has folders below more than {MOST_DEPTH} others", "remove them")
            else:
                waiting.append(path)


def read_manifest(directory: Path) -> Manifest:
    """The manifest of an artifact; ArtifactError if there is none, or a file is missing or has the wrong size."""
    path = directory / MANIFEST
    if not directory.is_dir():
        raise ArtifactError(
            f"no artifact at {directory}", "build one: slimner build CHECKPOINT --variant NAME --out DIR"
        )
    if not path.is_file():
        raise ArtifactError(
            f"{directory} has no {MANIFEST}, so it is not a finished artifact",
            "build one: slimner build CHECKPOINT --variant NAME --out DIR",
        )
    manifest = read_json(path, Manifest, error=ArtifactError, remedy="build the artifact again")
    if manifest.schema != MANIFEST_SCHEMA:
        raise ArtifactError(f"{path}: schema {manifest.schema}, this slimner reads {MANIFEST_SCHEMA}", "build it again")
    if manifest.seal != manifest.sealed().seal:
        raise ArtifactError(f"{path} was changed after it was written", "build the artifact again")
    if not 3 <= manifest.window <= MOST_WINDOW:
        raise ArtifactError(f"{path}: a window of {manifest.window} tokens, not 3 to {MOST_WINDOW:,}", "build it again")
    for name, file in manifest.files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ArtifactError(f"{path} names a file outside the artifact: {name}", "build the artifact again")
        target = directory / name
        if target.is_symlink() or not target.is_file():
            raise ArtifactError(f"{directory} lacks {name}", "build the artifact again")
        if target.stat().st_size != file.size_bytes:
            raise ArtifactError(
                f"{target} has {target.stat().st_size:,} bytes, not {file.size_bytes:,}", "build the artifact again"
            )
    return manifest


def verify(directory: Path) -> Artifact:
    """The artifact, after every file's content was checked against its hash; ArtifactError names the changed file."""
    manifest = read_manifest(directory)
    there = set(regular_files(directory))
    if strange := sorted(there - {MANIFEST, *manifest.files}):
        raise ArtifactError(f"{directory} has a file that its manifest does not name: {strange[0]}", "remove it")
    for name, file in manifest.files.items():
        if sha256_file(directory / name) != file.sha256:
            raise ArtifactError(f"{directory / name} was changed after it was built", "build the artifact again")
    return Artifact(path=directory, manifest=manifest)
