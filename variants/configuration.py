"""What slimner reads of a checkpoint's JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..core.errors import CheckpointError
from ..core.outside import read_json
from .labels import Crf

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
TOKENIZER_CONFIG = "tokenizer_config.json"

# Position embeddings of these families start behind the padding index.
OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert"})

HOW_TO_NAME_TAGS = (
    "name the model's tags in their order with --labels O,B-PER,I-PER,... (or --labels FILE, one a line), and their "
    "scheme with --scheme where it cannot be told from them"
)

T = TypeVar("T")


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a user says of a checkpoint: names of its tags in order, their scheme, and whether pickles may be read."""

    labels: tuple[str, ...] | None = None
    scheme: str | None = None
    allow_pickle: bool = False


class Config(msgspec.Struct):
    """A model's config.json; `ner_*` are slimner's own keys."""

    architectures: list[str] | None = None
    id2label: dict[str, str] | None = None
    model_type: str | None = None
    max_position_embeddings: int | None = None
    pad_token_id: int | None = None
    auto_map: Any = None
    ner_decoding: str = "argmax"
    ner_scheme: str | None = None
    ner_crf: Crf | None = None
    ner_random: bool = False

    @property
    def architecture(self) -> str:
        """Name of the class in transformers."""
        return (self.architectures or ["?"])[0]

    @property
    def classifies_tokens(self) -> bool:
        """Whether its class says so."""
        return self.architecture.endswith("ForTokenClassification")


class _TokenizerConfig(msgspec.Struct):
    """A model without a limit has an absurdly large number there."""

    model_max_length: float | None = None


class _Section(msgspec.Struct):
    type: str | None = None
    label2id: dict[str, int] | None = None
    id2label: dict[str, str] | None = None


class _Configuration(msgspec.Struct):
    """ModelScope's configuration.json."""

    model: _Section | None = None
    preprocessor: _Section | None = None


def read(path: Path, kind: type[T]) -> T:
    """A JSON file as a typed value; CheckpointError names the file and the place in it."""
    return read_json(path, kind, error=CheckpointError, remedy="save the checkpoint again")


def window(directory: Path, config: Config) -> int:
    """Tokens, special ones included, that the model takes at once."""
    limits = directory / TOKENIZER_CONFIG
    longest = read(limits, _TokenizerConfig).model_max_length if limits.is_file() else None
    positions = config.max_position_embeddings or 512
    if config.model_type in OFFSET_POSITIONS:
        positions -= (1 if config.pad_token_id is None else config.pad_token_id) + 1
    return int(min(positions, longest or positions))


def is_modelscope(directory: Path, config: Config) -> bool:
    """Whether a directory is laid out as ModelScope does: its own configuration, a backbone's config.json."""
    return (directory / "configuration.json").is_file() and not config.classifies_tokens


def id2label(directory: Path, config: Config) -> Mapping[str, str]:
    """The model's tags by number, where this kind of checkpoint keeps them."""
    if (directory / "label_mapping.json").is_file():  # ModelScope's, whatever else the directory has
        return _turned(read(directory / "label_mapping.json", dict[str, int]))
    if not is_modelscope(directory, config):
        return config.id2label or {}
    own = read(directory / "configuration.json", _Configuration)
    for section in (own.model, own.preprocessor):
        if section and (section.label2id or section.id2label):
            return _turned(section.label2id) if section.label2id else section.id2label or {}
    return config.id2label or {}


def _turned(label2id: Mapping[str, int]) -> Mapping[str, str]:
    return {str(i): label for label, i in label2id.items()}
