"""The checkpoint as transformers runs it: the reference of every variant, and the body of the torch ones."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import CheckpointError
from .configuration import CONFIG, read
from .fitness import require_whole
from .variant import Model


def load_reference(directory: Path, *, attention: str | None = None, dtype: Any = None) -> Any:
    """The module of a checkpoint directory, in evaluation mode; CheckpointError if not all weights fit.

    It is in FP32, or in another `dtype` of torch. Nothing is fetched and no code of the checkpoint is run. `attention`
    names one of transformers' own implementations; without it transformers takes the one it has for this class.
    """
    import torch
    from transformers import AutoModelForTokenClassification
    from transformers.utils import logging

    logging.disable_progress_bar()

    try:
        module, info = AutoModelForTokenClassification.from_pretrained(
            directory,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype or torch.float32,
            output_loading_info=True,
            attn_implementation=attention,
            ignore_mismatched_sizes=True,  # require_whole names them
        )
    except CheckpointError:
        raise
    except ImportError as error:  # a family that transformers builds on a library of its own
        raise CheckpointError(
            f"{directory}: transformers needs a package that is not installed: {first_line(error)}",
            "install it, or give a checkpoint of another family",
        ) from error
    except Exception as error:  # families check their configurations each in its own way
        raise CheckpointError(
            f"{directory}: transformers cannot load it: {_unknown(directory, error) or first_line(error)}",
            "save the checkpoint again",
        ) from error
    require_whole(directory, module, info)
    return module.eval()


def _unknown(directory: Path, error: Exception) -> str:
    """The key of config.json whose value a KeyError is about, in words; empty if there is none."""
    if isinstance(error, KeyError):
        for key, value in read(directory / CONFIG, dict[str, Any]).items():
            if error.args == (value,):
                return f"it does not know the '{value}' that {CONFIG} has for '{key}'"
    return ""


def first_line(error: BaseException) -> str:
    """The first line of another library's message that is not empty, with the next one where it only announces it."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # without colours for a terminal
    lines = [line.strip() for line in plain.splitlines() if line.strip()] or [type(error).__name__]
    line = re.sub(r" This is step \d.*Next steps:$", "", lines[0])
    if line.endswith(":") and len(lines) > 1:
        line = f"{line} {lines[1]}"
    return f"no {line}" if isinstance(error, KeyError) else line


def hold_threads(threads: int) -> None:
    """Limit torch to that many threads in this process."""
    import torch

    torch.set_num_threads(threads)
    with contextlib.suppress(RuntimeError):  # may be set once in a process, before any parallel work
        torch.set_num_interop_threads(threads)


def as_model(module: Any) -> Model:
    """A module as a function from the ids of one window to its logits."""
    import torch

    def run(ids: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            tokens = torch.from_numpy(ids)[None, :]
            logits: np.ndarray = (
                module(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0].float().numpy()
            )
        return logits

    return run
