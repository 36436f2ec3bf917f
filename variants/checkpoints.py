"""Checkpoints: a Hugging Face directory of a token-classification model, or the embedded `news-zh`."""

from __future__ import annotations

import hashlib
import math
import struct
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from tokenizers import Tokenizer

from .. import zoo
from ..core.errors import CheckpointError
from ..core.store import sha256_file
from .labels import Labels

EMBEDDED = "news-zh"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
CONFIG = "config.json"

# Position embeddings of these families start behind the padding index.
OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert"})


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A readable checkpoint. `window` counts tokens including the special ones."""

    name: str
    path: Path
    architecture: str
    labels: Labels
    window: int
    parameters: int
    sha256: str

    @property
    def tokenizer(self) -> Path:
        """Path of its `tokenizer.json`."""
        return self.path / TOKENIZER


def resolve_checkpoint(name: str) -> Checkpoint:
    """The checkpoint behind a directory or an embedded name; CheckpointError says what is missing or unreadable."""
    path = zoo.checkpoint() if name == EMBEDDED else Path(name)
    if not path.exists():
        raise CheckpointError(
            f"no checkpoint '{name}'",
            f"give a directory with {CONFIG}, {TOKENIZER} and {WEIGHTS}, or '{EMBEDDED}' for the embedded one",
        )
    if not path.is_dir():
        raise CheckpointError(
            f"{path} is a file", f"a checkpoint is a directory with {CONFIG}, {TOKENIZER} and {WEIGHTS}"
        )
    for file, remedy in (
        (CONFIG, "save it with save_pretrained()"),
        (TOKENIZER, "save a fast tokenizer beside the model: AutoTokenizer.from_pretrained(...).save_pretrained(...)"),
        (WEIGHTS, "save it with save_pretrained(..., safe_serialization=True); pickled weights are not loaded"),
    ):
        if not (path / file).is_file():
            raise CheckpointError(f"{path} has no {file}", remedy)
    config = _read(path / CONFIG, _Config)
    limits = path / "tokenizer_config.json"
    tokenizer_config = _read(limits, _TokenizerConfig) if limits.is_file() else _TokenizerConfig()
    architecture = (config.architectures or ["?"])[0]
    if not architecture.endswith("ForTokenClassification"):
        raise CheckpointError(
            f"{path / CONFIG}: architecture {architecture} does not classify tokens",
            "give a checkpoint of a ...ForTokenClassification model",
        )
    try:
        labels = Labels.of(config.id2label or {}, decoding=config.ner_decoding)
    except ValueError as error:
        raise CheckpointError(
            f"{path / CONFIG}: {error}", "set id2label to the tags the model was trained on"
        ) from None
    try:
        Tokenizer.from_file(str(path / TOKENIZER))
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise CheckpointError(f"{path / TOKENIZER}: {error}", "save the tokenizer again") from None
    return Checkpoint(
        name=EMBEDDED if name == EMBEDDED else path.resolve().name,
        path=path.resolve(),
        architecture=architecture.removesuffix("ForTokenClassification"),
        labels=labels,
        window=_window(config, tokenizer_config),
        parameters=_parameters(path / WEIGHTS),
        sha256=_content_hash(path),
    )


class _Config(msgspec.Struct):
    """What slimner reads of a model's config.json."""

    architectures: list[str] | None = None
    id2label: dict[str, str] | None = None
    model_type: str | None = None
    max_position_embeddings: int | None = None
    pad_token_id: int | None = None
    ner_decoding: str = "argmax"


class _TokenizerConfig(msgspec.Struct):
    """What slimner reads of a tokenizer_config.json; a model without a limit has an absurdly large number there."""

    model_max_length: float | None = None


T = TypeVar("T")


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError) as error:
        raise CheckpointError(f"{path}: {error}", "save the checkpoint again") from None


def _window(config: _Config, tokenizer_config: _TokenizerConfig) -> int:
    positions = config.max_position_embeddings or 512
    if config.model_type in OFFSET_POSITIONS:
        positions -= (1 if config.pad_token_id is None else config.pad_token_id) + 1
    return int(min(positions, tokenizer_config.model_max_length or positions))


def _parameters(path: Path) -> int:
    """Number of weights, from the header of a safetensors file: eight bytes of length, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > 100_000_000:
                raise ValueError("header too long")
            header = msgspec.json.decode(file.read(length), type=dict[str, Any])
            sizes = [math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"]
            end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
    except (OSError, ValueError, KeyError, TypeError, struct.error, msgspec.MsgspecError) as error:
        raise CheckpointError(f"{path} is not a safetensors file ({error})", "save the checkpoint again") from None
    if path.stat().st_size != 8 + length + end:
        raise CheckpointError(
            f"{path} is cut short: {path.stat().st_size:,} bytes of {8 + length + end:,}", "copy it again"
        )
    return sum(sizes)


def _content_hash(path: Path) -> str:
    """One hash over the files that decide what the model answers."""
    digest = hashlib.sha256()
    for file in (CONFIG, TOKENIZER, "tokenizer_config.json", WEIGHTS):
        if (path / file).is_file():
            digest.update(f"{file}:{sha256_file(path / file)}\n".encode())
    return digest.hexdigest()
