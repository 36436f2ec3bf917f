"""Checkpoints: what a model is built from, however it is named and stored.

Everything downstream reads one layout: a directory with `config.json` of a ...ForTokenClassification model, a fast
`tokenizer.json`, and `model.safetensors`. A checkpoint in another layout is prepared once into that one (preparing.py).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from .. import zoo
from ..core.errors import CheckpointError
from ..core.store import sha256_file
from .configuration import (
    CONFIG,
    EMBEDDED,
    HOW_TO_NAME_TAGS,
    SYNTHETIC,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    Config,
    LoadOptions,
    read,
    window,
)
from .labels import Labels
from .sources import GRAPH_SUFFIX, graphs_in, locate


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A readable checkpoint. `window` counts tokens, special ones too, as the configuration has it; a build asks the
    model itself. `trained` is False for random weights, `weights` is False if there are graphs only; `graphs` are
    the ONNX files beside it, or the one that was named."""

    name: str
    path: Path
    architecture: str
    labels: Labels
    window: int
    parameters: int
    sha256: str
    trained: bool = True
    weights: bool = True
    graphs: tuple[Path, ...] = ()

    @property
    def tokenizer(self) -> Path:
        """Path of its `tokenizer.json`."""
        return self.path / TOKENIZER


def resolve_checkpoint(name: str, options: LoadOptions | None = None) -> Checkpoint:
    """The checkpoint behind a directory, a hub id, `modelscope:ID`, `synthetic:NAME` or the embedded name.

    CheckpointError says what is missing or unreadable.
    """
    from .preparing import prepared  # a process that only runs artifacts needs none of these
    from .synthetic import synthesized

    options = options or LoadOptions()
    if name.startswith(SYNTHETIC):
        return _read(name, synthesized(name, options))
    graph = Path(name) if name.endswith(GRAPH_SUFFIX) and Path(name).is_file() else None
    if name == EMBEDDED:
        source = zoo.checkpoint()
    else:
        source = graph.parent if graph else locate(name, allow_pickle=options.allow_pickle)
    graphs = (graph,) if graph else graphs_in(source)
    named = source.resolve().name if graph or Path(name).is_dir() else name
    return _read(named, prepared(source, options), tuple(path.absolute() for path in graphs))


def _read(name: str, path: Path, graphs: tuple[Path, ...] = ()) -> Checkpoint:
    from .weights import outputs, parameters, require_plausible, shapes

    config = read(path / CONFIG, Config)
    try:
        labels = Labels.of(config.names, config.ner_decoding, config.ner_scheme, config.ner_crf)
    except ValueError as error:
        raise CheckpointError(f"{path / CONFIG}: {error}", HOW_TO_NAME_TAGS) from None
    weights = (path / WEIGHTS).is_file()
    tensors = shapes(path / WEIGHTS) if weights else {}
    if weights:
        require_plausible(path / CONFIG, read(path / CONFIG, dict[str, object]), tensors)
    if (rows := outputs(tensors)) not in (None, len(labels.tags)):
        raise CheckpointError(
            f"{path / CONFIG} names {len(labels.tags)} tags, the classifier has {rows} outputs", HOW_TO_NAME_TAGS
        )
    try:
        tokenizer = Tokenizer.from_file(str(path / TOKENIZER))
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise CheckpointError(f"{path / TOKENIZER}: {error}", "save the tokenizer again") from None
    longest, special = window(path, config), tokenizer.num_special_tokens_to_add(False)
    if longest <= special:
        raise CheckpointError(
            f"{path}: texts of at most {longest} tokens leave no room beside {special} special ones",
            f"correct model_max_length in {TOKENIZER_CONFIG} and max_position_embeddings in {CONFIG}",
        )
    return Checkpoint(
        name=name,
        path=path.resolve(),
        architecture=config.architecture.removesuffix("ForTokenClassification"),
        labels=labels,
        window=longest,
        parameters=parameters(tensors),
        sha256=content_hash(path) if weights else content_hash(path, *graphs),
        trained=not config.ner_random,
        weights=weights,
        graphs=graphs,
    )


def content_hash(path: Path, *graphs: Path) -> str:
    """One hash over the files of a checkpoint that decide what the model answers, and over graphs."""
    digest = hashlib.sha256()
    for file in (CONFIG, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS):
        if (path / file).is_file():
            digest.update(f"{file}:{sha256_file(path / file)}\n".encode())
    for graph in graphs:
        digest.update(f"{graph.name}:{sha256_file(graph)}\n".encode())
    return digest.hexdigest()
