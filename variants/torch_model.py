"""The checkpoint as transformers runs it: the reference of every variant, and the body of the torch ones."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import CheckpointError
from .fitness import require_whole
from .variant import Model


def load_reference(directory: Path) -> Any:
    """The FP32 module of a checkpoint directory, in evaluation mode; CheckpointError if not all weights fit.

    Nothing is fetched and no code of the checkpoint is run.
    """
    import torch
    from transformers import AutoModelForTokenClassification

    try:
        module, info = AutoModelForTokenClassification.from_pretrained(
            directory,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # require_whole names them
        )
    except CheckpointError:
        raise
    except Exception as error:  # families check their configurations each in its own way
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"{directory}: transformers cannot load it: {reason}", "save the checkpoint again"
        ) from error
    require_whole(directory, module, info)
    return module.eval()


def hold_threads(threads: int) -> None:
    """Hold torch to that many threads in this process."""
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
            logits: np.ndarray = module(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits[0].numpy()
        return logits

    return run
