"""Other layouts of a checkpoint, turned once into the one that everything downstream reads.

Pickled or split weights become one `model.safetensors`, a slow tokenizer becomes its fast twin, a ModelScope directory
(backbone under `encoder.`, head under `head.`, a CRF beside it) becomes the model of transformers it is, with the CRF's
scores in `config.json`. What needs no change is linked. The result is kept in the cache under a hash of its origins.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core import child
from ..core.cache import cache_directory
from ..core.errors import CheckpointError, MissingDependencyError
from ..core.install import install_hint
from ..core.store import directory_in_place, sha256_file, sha256_of, write_json
from .configuration import (
    CONFIG,
    HOW_TO_NAME_TAGS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    Config,
    LoadOptions,
    id2label,
    is_modelscope,
    read,
)
from .foreign_code import require_own_code_only
from .labels import Labels
from .layouts import require_checkpoint
from .sources import FROM_MODELSCOPE, TEXTS, graphs_in, has_weights
from .weights import outputs, shapes, weight_files

LAYOUT = 1
TIMEOUT_S = 1800.0


def prepared(source: Path, options: LoadOptions) -> Path:
    """A directory in slimner's layout with the checkpoint of `source`; `source` itself if it has that layout.

    CheckpointError says what is missing, and what is refused: running code of a checkpoint, reading a pickle unasked.
    """
    require_checkpoint(source)
    config = read(source / CONFIG, Config)
    require_own_code_only(source)
    if not is_modelscope(source, config) and not config.classifies_tokens:
        raise CheckpointError(
            f"{source / CONFIG}: architecture {config.architecture} does not classify tokens",
            "give a checkpoint of a ...ForTokenClassification model",
        )
    graph_only = bool(graphs_in(source)) and not has_weights(source)
    weights = [] if graph_only else weight_files(source, allow_pickle=options.allow_pickle)
    if not (source / TOKENIZER).is_file() and not any((source / name).is_file() for name in _VOCABULARIES):
        raise CheckpointError(
            f"{source} has no {TOKENIZER}",
            "save the tokenizer beside the model: AutoTokenizer.from_pretrained(...).save_pretrained(...)",
        )
    names = _names(source, config, options, weights)
    own = graph_only or [path.name for path in weights] == [WEIGHTS]
    whole = own and not is_modelscope(source, config)
    if whole and (source / TOKENIZER).is_file() and names == config.id2label and options.scheme is None:
        return source
    files = [source / name for name in (*TEXTS, *FROM_MODELSCOPE) if (source / name).is_file()] + weights
    key = sha256_of([LAYOUT, names, options.scheme, {path.name: sha256_file(path) for path in files}])
    target = cache_directory() / "checkpoints" / key[:16]
    if target.is_dir():
        if all(path.exists() for path in target.iterdir()):
            return target
        shutil.rmtree(target)  # what it links to was moved
    with directory_in_place(target) as directory:
        for name in (TOKENIZER, TOKENIZER_CONFIG, *((WEIGHTS,) if whole else ())):
            if (source / name).is_file():
                (directory / name).symlink_to((source / name).resolve())
        changes = {"id2label": names, "label2id": {tag: int(i) for i, tag in names.items()}}
        _configure(source / CONFIG, directory, changes | ({"ner_scheme": options.scheme} if options.scheme else {}))
        if not whole or not (source / TOKENIZER).is_file():
            require_transformers()
            child.call(convert_in_child, source, weights, directory).run(timeout_s=TIMEOUT_S)
    return target


def require_transformers() -> None:
    """Raise MissingDependencyError if this install cannot make a model."""
    if importlib.util.find_spec("transformers") is None or importlib.util.find_spec("torch") is None:
        raise MissingDependencyError("this checkpoint needs torch and transformers", install_hint("lab"))


_VOCABULARIES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model")


def _names(source: Path, config: Config, options: LoadOptions, weights: Sequence[Path]) -> Mapping[str, str]:
    """The tags by number; CheckpointError if they are none, or not as many as the classifier's outputs.

    How many those are is seen here in safetensors only; in a pickle it is seen when it has been converted.
    """
    given = {str(i): tag for i, tag in enumerate(options.labels or ())}
    names = given or id2label(source, config)
    safe = [path for path in weights if path.suffix == ".safetensors"]
    rows = next((found for path in safe if (found := outputs(shapes(path)))), None)
    try:
        if names or not rows:
            Labels.of(names, scheme=options.scheme or config.ner_scheme)
    except ValueError as error:
        raise CheckpointError(f"{source / CONFIG}: {error}", HOW_TO_NAME_TAGS) from None
    if rows and rows != len(names):
        raise CheckpointError(
            f"--labels names {len(names)} tags, {source} has {rows}"
            if options.labels
            else f"{source / CONFIG} names {len(names)} tags, the classifier has {rows} outputs",
            HOW_TO_NAME_TAGS,
        )
    return names


def _configure(config: Path, directory: Path, changes: Mapping[str, Any]) -> None:
    write_json(directory / CONFIG, {**read(config, dict[str, Any]), **changes})


def convert_in_child(source: Path, weights: list[Path], directory: Path) -> None:
    """The child's job: the weights in one safetensors file under the names of transformers, and a fast tokenizer."""
    if weights and not (directory / WEIGHTS).exists():
        _convert_weights(weights, directory)
    if not (directory / TOKENIZER).exists():
        _convert_tokenizer(source, directory)


def _convert_weights(files: list[Path], target: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    tensors: dict[str, Any] = {}
    for path in files:
        try:
            loaded = (
                load_file(path)
                if path.suffix == ".safetensors"
                else torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
            )
            found = {name: value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
        except Exception as error:  # a damaged or hostile file raises what it likes
            reason = str(error).strip().partition("\n")[0]
            raise CheckpointError(f"{path}: not read as weights: {reason}", "save it as safetensors") from None
        if not found:
            raise CheckpointError(
                f"{path} holds no weights at its top level, but {', '.join(map(str, list(loaded)[:3]))}",
                "load it into the model it was trained as, and save that with save_pretrained()",
            )
        tensors |= found
    config = read(target / CONFIG, Config)
    if any(name.startswith("head.") for name in tensors) or not config.classifies_tokens:
        tensors, changes = _from_modelscope(tensors, config, target)
        _configure(target / CONFIG, target, changes)
    # Tensors may share memory (tied embeddings) or be views of a larger one; safetensors wants each by itself.
    save_file(
        {name: t.detach().clone().contiguous() for name, t in tensors.items()}, target / WEIGHTS, {"format": "pt"}
    )


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


# Scores of a ModelScope CRF, and their names in config.json.
CRF = {
    "head.crf.start_transitions": "start",
    "head.crf.end_transitions": "end",
    "head.crf.transitions": "transitions",
}


def _from_modelscope(tensors: Mapping[str, Any], config: Config, target: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights under the names of transformers, and further keys for config.json."""
    from transformers import AutoConfig, AutoModelForTokenClassification
    from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES as CLASSES

    if (architecture := CLASSES.get(config.model_type or "")) is None:
        raise CheckpointError(
            f"ModelScope backbone '{config.model_type}' is not a model of transformers",
            "give a checkpoint with a backbone that transformers has, such as bert",
        )
    import torch

    with torch.device("meta"):
        prefix = AutoModelForTokenClassification.from_config(AutoConfig.from_pretrained(target)).base_model_prefix
    renamed: dict[str, Any] = {}
    crf: dict[str, Any] = {}
    for name, tensor in tensors.items():
        if name in CRF:
            crf[CRF[name]] = tensor.double().tolist()
        elif name.startswith("encoder.pooler."):
            continue  # for whole sentences; a token classifier has none
        elif name.startswith("encoder."):
            renamed[f"{prefix}.{name.removeprefix('encoder.')}"] = tensor
        elif name.startswith(("head.linear.", "head.classifier.")):
            renamed[f"classifier.{name.rpartition('.')[2]}"] = tensor
        else:
            renamed[name] = tensor  # what the class does not know is refused by name when it is loaded
    changes: dict[str, Any] = {"architectures": [architecture]}
    if crf:
        changes |= {"ner_decoding": "crf", "ner_crf": crf}
    return renamed, changes


def _convert_tokenizer(source: Path, target: Path) -> None:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # each family of tokenizers raises its own
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{source}: no fast tokenizer can be made of its vocabulary: {reason}",
            f"save one as {TOKENIZER}: AutoTokenizer.from_pretrained(...).save_pretrained(...)",
        ) from None
    if (fast := getattr(tokenizer, "backend_tokenizer", None)) is None or not hasattr(fast, "save"):
        raise CheckpointError(
            f"{source}: {type(tokenizer).__name__} has no fast form, which is the only one that slimner runs",
            f"make a {TOKENIZER} that splits as it does with the tokenizers library, or take a model that has one",
        )
    fast.save(str(target / TOKENIZER))
