"""Bundles: an artifact packed for deployment, with what proves it.

    bundle.json        what it is: hashes of everything else, scores, decision, session; written last
    golden.json        texts and what the artifact answered to them when the bundle was made
    requirements.txt   the versions that it was made with
    model/             the artifact as it was built and measured

No pickle, no code. `read_bundle` refuses a bundle whose file is changed, missing or added before it parses any of them.

History of the format:

1 (0.2.0)  first.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from ..core.errors import ArtifactError
from ..core.machine import describe
from ..core.outside import decode, read_bytes, read_json
from ..core.records import Record
from ..core.store import sha256_file, sha256_of, write_bytes, write_json
from ..variants import Artifact, Entity, Manifest, open_predictor, read_manifest, verify
from ..variants.artifacts import File, regular_files

BUNDLE, GOLDEN, REQUIREMENTS, MODEL = "bundle.json", "golden.json", "requirements.txt", "model"
BUNDLE_SCHEMA = 1
MOST_MANIFEST_BYTES = 4 << 20
MOST_GOLDEN = 64
MOST_THREADS = 1024
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+_-]*")

# Rounding differs a little between processors that carry the same instruction sets.
SCORE_TOLERANCE = 0.01
# On other instruction sets single entities may differ too; more than this share of texts means that it does not work.
OTHER_INSTRUCTIONS_TOLERANCE = 0.1

AGAIN = "make the bundle again with slimner bundle, or copy it again"

Predict = Callable[[str], Sequence[Entity]]


class Golden(Record, frozen=True, kw_only=True):
    """A text and what the artifact answered to it."""

    text: str
    entities: tuple[Entity, ...]


class Scores(Record, frozen=True, kw_only=True):
    """Strict F1 in 0..1 with its 95 % interval, on which corpus and instruction set."""

    corpus: str
    corpus_sha256: str
    sentences: int
    f1: float
    f1_low: float
    f1_high: float
    instructions: str


class Measured(Record, frozen=True, kw_only=True):
    """The costs of a process that answers one text at a time; `per_s` is answers a second; None if not measured."""

    p50_ms: float | None
    p95_ms: float | None
    pss_bytes: int | None
    per_s: float | None
    size_bytes: int
    cpu: str


class Session(Record, frozen=True, kw_only=True):
    """Inference threads and options of the back end's session, as benchmarked."""

    threads: int
    options: dict[str, str]


class Bundle(Record, frozen=True, kw_only=True):
    """The manifest of a bundle. `files` are all files except this one, by their path with `/`."""

    schema: int
    slimner: str
    artifact: str
    variant: str
    instructions: str
    session: Session
    scores: Scores | None
    measured: Measured | None
    decision: dict[str, Any] | None
    files: dict[str, File]
    seal: str = ""
    """Hash of everything above, so that a changed manifest is found like any other changed file."""

    def sealed(self) -> Bundle:
        """The same with its seal."""
        return msgspec.structs.replace(self, seal=sha256_of(msgspec.structs.replace(self, seal="")))

    def encode(self) -> bytes:
        """The one way to write it."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What can be served: an artifact, and the bundle around it if there is one."""

    model: Path
    manifest: Manifest
    bundle: Bundle | None
    golden: tuple[Golden, ...]
    source: Path
    """What was named: `model` may be in a private copy."""


def open_served(directory: Path) -> Served:
    """A verified bundle, or an artifact by itself; ArtifactError if it is neither or not whole."""
    if directory.is_dir() and not (directory / BUNDLE).exists() and (directory / "manifest.json").exists():
        return Served(model=directory, manifest=verify(directory).manifest, bundle=None, golden=(), source=directory)
    bundle = read_bundle(directory)
    return Served(
        model=directory / MODEL,
        manifest=read_manifest(directory / MODEL),
        bundle=bundle,
        golden=_read_golden(directory / GOLDEN),
        source=directory,
    )


def _read_golden(path: Path) -> tuple[Golden, ...]:
    golden = read_json(path, tuple[Golden, ...], error=ArtifactError, remedy=AGAIN, most_bytes=MOST_MANIFEST_BYTES)
    if not 1 <= len(golden) <= MOST_GOLDEN:
        raise ArtifactError(f"{path} has {len(golden)} texts, not 1 to {MOST_GOLDEN}", AGAIN)
    return golden


def glance(directory: Path) -> tuple[Manifest, int]:
    """What a bundle or an artifact says it is, and its threads of inference, with no file hashed yet."""
    if directory.is_dir() and not (directory / BUNDLE).exists() and (directory / "manifest.json").exists():
        return read_manifest(directory), 1
    bundle = read_bundle(directory, hashed=False)
    return read_manifest(directory / MODEL), bundle.session.threads


def read_bundle(directory: Path, *, hashed: bool = True) -> Bundle:
    """The manifest of a bundle, after every file's hash was checked; ArtifactError names what is wrong."""
    path = directory / BUNDLE
    if not path.is_file() or path.is_symlink():
        raise ArtifactError(
            f"no bundle at {directory}: it has no {BUNDLE}", "make one: slimner bundle ARTIFACT --out DIR"
        )
    content = read_bytes(path, error=ArtifactError, remedy=AGAIN, most_bytes=MOST_MANIFEST_BYTES)
    bundle = decode(content, Bundle, path, error=ArtifactError, remedy=AGAIN)
    if bundle.schema != BUNDLE_SCHEMA:
        raise ArtifactError(
            f"{path}: schema {bundle.schema}, this slimner reads {BUNDLE_SCHEMA}", "use the slimner that made it"
        )
    if bundle.seal != bundle.sealed().seal or content != bundle.encode():
        raise ArtifactError(f"{path} was changed after it was written", AGAIN)
    for name in bundle.files:
        if not _inside(name):
            raise ArtifactError(f"{path} names a file outside the bundle: {name}", "do not use this bundle")
    there = set(regular_files(directory)) - {BUNDLE}
    if missing := sorted({GOLDEN, REQUIREMENTS, f"{MODEL}/manifest.json", *bundle.files} - there):
        raise ArtifactError(f"{directory} lacks {missing[0]}", AGAIN)
    if strange := sorted(there - set(bundle.files)):
        raise ArtifactError(f"{directory} has a file that its manifest does not name: {strange[0]}", "remove it")
    for name, file in bundle.files.items():
        size = (directory / name).stat().st_size
        if size != file.size_bytes:
            raise ArtifactError(f"{directory / name} has {size:,} bytes, not {file.size_bytes:,}", AGAIN)
    for name, file in bundle.files.items() if hashed else ():
        if sha256_file(directory / name) != file.sha256:
            raise ArtifactError(f"{directory / name} was changed after the bundle was made", AGAIN)
    if not 1 <= bundle.session.threads <= MOST_THREADS:
        raise ArtifactError(f"{path}: {bundle.session.threads} threads, not 1 to {MOST_THREADS}", AGAIN)
    _check_requirements(directory / REQUIREMENTS)
    return bundle


def _check_requirements(path: Path) -> None:
    """ArtifactError unless every line is `name==version`: pip also takes options there, such as another index."""
    content = read_bytes(path, error=ArtifactError, remedy=AGAIN, most_bytes=MOST_MANIFEST_BYTES)
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not REQUIREMENT.fullmatch(line):
            raise ArtifactError(f"{path}, line {number}: not name==version: {line[:80]!r}", "do not use this bundle")


def _inside(name: str) -> bool:
    """Whether a name of the manifest is a plain path below the bundle."""
    path = PurePosixPath(name)
    return (
        bool(path.parts)
        and str(path) == name
        and not path.is_absolute()
        and ".." not in path.parts
        and "\\" not in name
        and "\0" not in name
        and name != BUNDLE
    )


def write_bundle(
    directory: Path,
    artifact: Artifact,
    *,
    slimner: str,
    session: Session,
    golden: Sequence[Golden],
    requirements: Mapping[str, str],
    scores: Scores | None,
    measured: Measured | None,
    decision: dict[str, Any] | None,
) -> Bundle:
    """Fill an empty directory with the bundle of a verified artifact; the same artifact gives the same bytes."""
    manifest = artifact.manifest
    for name in ("manifest.json", *manifest.files):
        target = directory / MODEL / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.path / name, target)
    write_json(directory / GOLDEN, golden)
    write_bytes(
        directory / REQUIREMENTS,
        "".join(f"{name}=={version}\n" for name, version in sorted(requirements.items())).encode(),
    )
    bundle = Bundle(
        schema=BUNDLE_SCHEMA,
        slimner=slimner,
        artifact=manifest.name,
        variant=manifest.variant,
        instructions=manifest.instructions,
        session=session,
        scores=scores,
        measured=measured,
        decision=decision,
        files={
            name: File(sha256=sha256_file(directory / name), size_bytes=(directory / name).stat().st_size)
            for name in sorted(regular_files(directory))
        },
    ).sealed()
    write_bytes(directory / BUNDLE, bundle.encode())
    return bundle


def write_archive(directory: Path, bundle: Bundle, target: Path) -> None:
    """Pack a bundle as `.tar.gz` below a folder named after its artifact; the same bundle gives the same bytes."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in (BUNDLE, *sorted(bundle.files)):
            entry = tarfile.TarInfo(f"{bundle.artifact}/{name}")
            entry.size = (directory / name).stat().st_size
            with (directory / name).open("rb") as file:
                archive.addfile(entry, file)
    write_bytes(target, packed.getvalue())


def differing(golden: Sequence[Golden], predict: Predict) -> list[int]:
    """Indices of the golden texts that are answered otherwise now: another entity, or a score off by more than 0.01.

    ArtifactError if the model cannot answer one at all.
    """
    wrong: list[int] = []
    for i, one in enumerate(golden):
        try:
            answered = predict(one.text)
        except MemoryError:
            raise
        except Exception as error:  # whatever a back end says to a model that it cannot run
            reason = str(error).partition("\n")[0][:300]
            raise ArtifactError(
                f"golden text {i + 1} cannot be answered: {type(error).__name__}: {reason}", AGAIN
            ) from error
        if not _same(one.entities, answered):
            wrong.append(i)
    return wrong


def _same(stored: Sequence[Entity], answered: Sequence[Entity]) -> bool:
    return len(stored) == len(answered) and all(
        (a.start, a.end, a.type, a.text) == (b.start, b.end, b.type, b.text)
        and abs(a.score - b.score) <= SCORE_TOLERANCE
        for a, b in zip(stored, answered, strict=True)
    )


def check_golden(served: Served, wrong: Sequence[int]) -> str:
    """A note about golden texts that were answered otherwise, "" if none; ArtifactError if that must not be served."""
    if not wrong:
        return ""
    told = f"{len(wrong)} of {len(served.golden)} golden texts are answered otherwise than when the bundle was made"
    here = describe().instructions
    if served.manifest.instructions == here or len(wrong) > OTHER_INSTRUCTIONS_TOLERANCE * len(served.golden):
        raise ArtifactError(
            f"{served.source}: {told} (the first: number {wrong[0] + 1})",
            "install the versions in requirements.txt, or build and bundle it again on this machine",
        )
    return f"{told}, on another instruction set"


def golden_in_child(artifact: Path, texts: tuple[str, ...], threads: int) -> list[Golden]:
    """The child's job: what an artifact answers to texts."""
    predict = open_predictor(artifact, threads=threads)
    return [Golden(text=text, entities=tuple(predict(text))) for text in texts]


def replay_in_child(model: Path, golden: tuple[Golden, ...], threads: int) -> list[int]:
    """The child's job: open a verified model and tell which golden texts it answers otherwise."""
    return differing(golden, open_predictor(model, threads=threads))
