"""Directories that are not checkpoints but related to one: what they are, and which directory to give."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..core.errors import CheckpointError
from .configuration import CONFIG, read

ADAPTER = "adapter_config.json"
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin", "pytorch_adapter.bin")  # without that, of peft and others
POINTER = b"version https://git-lfs"
DEEPEST = 5
NAMED = 3


class _Adapter(msgspec.Struct):
    peft_type: str | None = None
    base_model_name_or_path: str | None = None


def require_checkpoint(source: Path) -> None:
    """CheckpointError if a directory is an adapter, was not fetched in full, or only has checkpoints below it."""
    if (source / ADAPTER).is_file():
        adapter = read(source / ADAPTER, _Adapter)
        base = adapter.base_model_name_or_path or "its base model"
        raise CheckpointError(
            f"{source} is an adapter ({adapter.peft_type or 'of peft'}) of {base}, not a whole model",
            "merge it first: AutoPeftModelForTokenClassification.from_pretrained(DIR, num_labels=N).merge_and_unload()"
            ".save_pretrained(OUT), and save the tokenizer there too",
        )
    if beside := next((name for name in ADAPTERS if (source / name).is_file()), None):
        raise CheckpointError(
            f"{source} holds an adapter ({beside}) that is not merged into the model",
            "merge it and save the whole, merge_and_unload().save_pretrained(OUT), or remove the file if it is unused",
        )
    for path in sorted(source.iterdir()):
        if path.is_symlink() and not path.exists():
            raise CheckpointError(f"{path} leads to {path.readlink()}, which is not there", "download it again")
        if path.is_file() and path.stat().st_size < 1024 and path.read_bytes().startswith(POINTER):
            raise CheckpointError(
                f"{path} is a Git LFS pointer, not the file itself", "fetch it: git lfs install, then git lfs pull"
            )
    if not (source / CONFIG).is_file():
        below = _below(source)
        if below:
            more = f" and {len(below) - NAMED} more" if len(below) > NAMED else ""
            raise CheckpointError(
                f"{source} is not a checkpoint, but contains some",
                f"give one of them: {', '.join(map(str, below[-NAMED:]))}{more}",
            )
        raise CheckpointError(f"{source} has no {CONFIG}", "save the model there with save_pretrained()")


def _below(source: Path) -> list[Path]:
    """Checkpoints below a directory, those of a trainer in the order of their steps."""
    depths = ("/".join(["*"] * depth) + f"/{CONFIG}" for depth in range(1, DEEPEST))
    found = {path.parent for pattern in depths for path in source.glob(pattern)}
    return sorted(found, key=lambda path: (path.parent, len(path.name), path.name))
