"""Checkpoints: what a model is built from, however it is named and stored.

Everything downstream reads one layout: a directory with `config.json` of a ...ForTokenClassification model, a fast
`tokenizer.json`, and `model.safetensors`. A checkpoint in another layout is prepared once into that one (preparing.py).
"""

from __future__ import annotations

import hashlib
import math
import struct
from pathlib import Path
from typing import Annotated, Any

import msgspec
from tokenizers import Tokenizer

from .. import zoo
from ..core.errors import CheckpointError
from ..core.outside import decode
from ..core.store import sha256_file
from .configuration import (
    CONFIG,
    HOW_TO_NAME_TAGS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    Config,
    LoadOptions,
    read,
    window,
)
from .labels import Labels

EMBEDDED = "news-zh"
SYNTHETIC = "synthetic:"


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A readable checkpoint. `window` counts tokens, special ones too; `trained` is False for random weights."""

    name: str
    path: Path
    architecture: str
    labels: Labels
    window: int
    parameters: int
    sha256: str
    trained: bool = True

    @property
    def tokenizer(self) -> Path:
        """Path of its `tokenizer.json`."""
        return self.path / TOKENIZER


def resolve_checkpoint(name: str, options: LoadOptions | None = None) -> Checkpoint:
    """The checkpoint behind a directory, a hub id, `modelscope:ID`, `synthetic:NAME` or the embedded name.

    CheckpointError says what is missing or unreadable.
    """
    from .preparing import prepared  # a process that only runs artifacts needs none of these
    from .sources import locate
    from .synthetic import synthesized

    options = options or LoadOptions()
    if name.startswith(SYNTHETIC):
        return _read(name, synthesized(name, options))
    source = zoo.checkpoint() if name == EMBEDDED else locate(name, allow_pickle=options.allow_pickle)
    return _read(name if not Path(name).is_dir() else source.resolve().name, prepared(source, options))


def _read(name: str, path: Path) -> Checkpoint:
    config = read(path / CONFIG, Config)
    try:
        labels = Labels.of(config.id2label or {}, config.ner_decoding, config.ner_scheme, config.ner_crf)
    except ValueError as error:
        raise CheckpointError(f"{path / CONFIG}: {error}", HOW_TO_NAME_TAGS) from None
    try:
        Tokenizer.from_file(str(path / TOKENIZER))
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise CheckpointError(f"{path / TOKENIZER}: {error}", "save the tokenizer again") from None
    return Checkpoint(
        name=name,
        path=path.resolve(),
        architecture=config.architecture.removesuffix("ForTokenClassification"),
        labels=labels,
        window=window(path, config),
        parameters=_parameters(path / WEIGHTS),
        sha256=_content_hash(path),
        trained=not config.ner_random,
    )


class _Weight(msgspec.Struct):
    """What the header of a safetensors file says of one weight."""

    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    data_offsets: tuple[int, int]


def _parameters(path: Path) -> int:
    """Number of weights, from the header of a safetensors file: eight bytes of length, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 100_000_000:
                raise ValueError("header too long")
            where = f"{path} is not a safetensors file"
            header = decode(file.read(length), dict[str, Any], where, error=CheckpointError)
        header.pop("__metadata__", None)
        weights = msgspec.convert(header, dict[str, _Weight]).values()
        sizes = [math.prod(weight.shape) for weight in weights]
        end = max((weight.data_offsets[1] for weight in weights), default=0)
        if any(size > 8 * (8 + length + end) for size in sizes):
            raise ValueError("shapes larger than the file")
    except (OSError, ValueError, struct.error) as error:
        raise CheckpointError(f"{path} is not a safetensors file ({error})", "save the checkpoint again") from None
    if path.stat().st_size != 8 + length + end:
        raise CheckpointError(
            f"{path} is cut short: {path.stat().st_size:,} bytes of {8 + length + end:,}", "copy it again"
        )
    return sum(sizes)


def _content_hash(path: Path) -> str:
    """One hash over the files that decide what the model answers."""
    digest = hashlib.sha256()
    for file in (CONFIG, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS):
        if (path / file).is_file():
            digest.update(f"{file}:{sha256_file(path / file)}\n".encode())
    return digest.hexdigest()
