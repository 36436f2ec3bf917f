"""Keys of a checkpoint's files with which it would choose code that a library then fetches or runs: refused by name.

Whatever is set in config.json becomes an attribute of the configuration, at any depth of it, and loaders look at some
of these. A key that chooses what transformers itself brings is harmless, and slimner chooses it anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.errors import CheckpointError
from .configuration import CONFIG, TOKENIZER, TOKENIZER_CONFIG, read

# What transformers brings with it; anything else may be the name of a repository with a kernel.
OWN = ("eager", "sdpa", "batched_mm", "grouped_mm")
IMPLEMENTATION = re.compile(r"_?(attn|attention|experts)_implementation(_internal)?")

# What each key says, and the next step where it is not to remove the key.
CODE: Mapping[str, tuple[str, str]] = {
    "auto_map": (
        "names code of its own (auto_map), which slimner never runs",
        "if a class of transformers loads these weights, remove auto_map from the file",
    ),
    "custom_pipelines": ("names code of its own (custom_pipelines), which slimner never runs", ""),
    "trust_remote_code": ("wants its own code to be run (trust_remote_code), which slimner never does", ""),
    "use_kernels": ("wants kernels to be fetched and run (use_kernels), which slimner never does", ""),
    "kernel_config": ("names kernels (kernel_config), which slimner never fetches or runs", ""),
    "use_pretrained_backbone": (
        "wants another model to be fetched (use_pretrained_backbone), which slimner never does",
        "give a checkpoint that holds all of its weights itself",
    ),
    "quantization_config": (
        "says that the weights were quantized before (quantization_config)",
        "give the checkpoint in full precision",
    ),
}


def require_own_code_only(source: Path) -> None:
    """CheckpointError if a file of the checkpoint chooses code."""
    files = [source / CONFIG]
    if (source / TOKENIZER_CONFIG).is_file() and not (source / TOKENIZER).is_file():
        files.append(source / TOKENIZER_CONFIG)  # a tokenizer.json holds no code
    for file in files:
        for key, value in _keys(read(file, dict[str, Any])):
            if IMPLEMENTATION.fullmatch(key):
                if strange := [name for name in _names(value) if name not in OWN]:
                    raise CheckpointError(
                        f"{file} chooses an implementation ({key}: {strange[0]}), which could be fetched and run",
                        f"remove {key} from the file; slimner chooses it itself",
                    )
            elif key in CODE and value:
                what, remedy = CODE[key]
                raise CheckpointError(f"{file} {what}", remedy or f"remove {key} from the file")


def _keys(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key at any depth, with its value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner)


def _names(value: Any) -> list[str]:
    """What is chosen: one name, or one for each part of the model."""
    chosen = value.values() if isinstance(value, dict) else (value,)
    return [str(name) for name in chosen if name is not None]
