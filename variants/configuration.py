"""What slimner reads of a checkpoint's JSON files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..core.errors import CheckpointError
from ..core.outside import read_bytes
from .labels import Crf

EMBEDDED = "news-zh"
SYNTHETIC = "synthetic:"

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
TOKENIZER_CONFIG = "tokenizer_config.json"

# A window of a model that could take any: the scores of attention alone take 50 MB at it with twelve heads.
LONGEST_WINDOW = 1024

HOW_TO_NAME_TAGS = (
    "name the model's tags in their order with --labels O,B-PER,I-PER,... (or --labels FILE, one a line), and their "
    "scheme with --scheme where it cannot be told from them"
)

T = TypeVar("T")


class LoadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A user's options for a checkpoint: names of its tags in order, their scheme, and whether pickles may be read."""

    labels: tuple[str, ...] | None = None
    scheme: str | None = None
    allow_pickle: bool = False


class Config(msgspec.Struct):
    """A model's config.json; `ner_*` are slimner's own keys."""

    architectures: list[str] | None = None
    id2label: dict[str, str | int | float] | list[str | int | float] | None = None
    label2id: dict[str, Any] | list[Any] | None = None
    model_type: str | None = None
    max_position_embeddings: int | None = None
    ner_decoding: str = "argmax"
    ner_scheme: str | None = None
    ner_crf: Crf | None = None
    ner_random: bool = False

    @property
    def architecture(self) -> str:
        """Name of the class in transformers: one that classifies tokens, if any is named."""
        names = self.architectures or ["?"]
        return next((name for name in names if name.endswith("ForTokenClassification")), names[0])

    @property
    def names(self) -> dict[str, str]:
        """The tags by number, also where the numbers are written as text."""
        given = self.id2label or {}
        pairs = given.items() if isinstance(given, dict) else enumerate(given)
        return {str(number): str(name) for number, name in pairs}

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
    """A JSON file as a typed value; CheckpointError names the file and the place in it.

    Python wrote these files: NaN is in some, and numbers beyond 64 bits where a tokenizer has no limit.
    """
    again = "save the checkpoint again"
    content = read_bytes(path, error=CheckpointError, remedy=again)
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = error
    try:
        return msgspec.convert(json.loads(content), kind)
    except (ValueError, RecursionError):  # not JSON of Python either, or of other types
        raise CheckpointError(f"{path}: {reason}", again) from None


def window(directory: Path, config: Config) -> int:
    """Tokens, special ones included, that the model takes at once by its configuration; a build tries it."""
    limits = directory / TOKENIZER_CONFIG
    longest = read(limits, _TokenizerConfig).model_max_length if limits.is_file() else None
    positions = config.max_position_embeddings or 0
    return int(min(positions if positions > 0 else 512, longest or LONGEST_WINDOW, LONGEST_WINDOW))


def is_modelscope(directory: Path, config: Config) -> bool:
    """Whether a directory is laid out as ModelScope does: its own configuration, a backbone's config.json."""
    return (directory / "configuration.json").is_file() and not config.classifies_tokens


def id2label(directory: Path, config: Config) -> Mapping[str, str]:
    """The model's tags by number, where this kind of checkpoint keeps them."""
    own = config.names
    mapping = directory / "label_mapping.json"
    if mapping.is_file():  # ModelScope's, which may lie beside a configuration of transformers
        given = read(mapping, dict[str, int | str])
        names = {str(i): label for label, i in given.items()}
        if all(label.isdigit() for label in given):
            names = {i: str(label) for i, label in given.items()}
        named = config.classifies_tokens and not any(name.startswith("LABEL_") for name in own.values())
        if named and own and dict(own) != names:
            raise CheckpointError(
                f"{mapping} names {len(names)} tags ({', '.join(list(names.values())[:3])} ...) and {CONFIG} "
                f"{len(own)} others ({', '.join(list(own.values())[:3])} ...)",
                "remove the file that does not belong to this model, or give --labels",
            )
        return names
    if not is_modelscope(directory, config):
        _require_one_order(directory, own, config.label2id)
        return own
    configuration = read(directory / "configuration.json", _Configuration)
    for section in (configuration.model, configuration.preprocessor):
        if section and (section.label2id or section.id2label):
            turned = {str(i): label for label, i in (section.label2id or {}).items()}
            return turned or section.id2label or {}
    return own


def _require_one_order(directory: Path, names: Mapping[str, str], numbers: object) -> None:
    """CheckpointError if the two tables of a configuration number the same tags in different ways."""
    given = numbers if isinstance(numbers, dict) else {}
    for number, name in names.items():
        if str(given.get(name, number)) != number:
            raise CheckpointError(
                f"{directory / CONFIG}: {name} is {number} by id2label and {given[name]} by label2id", HOW_TO_NAME_TAGS
            )
