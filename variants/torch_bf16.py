"""`torch-bf16`: the checkpoint in bfloat16, in torch: half the memory, and faster where the processor multiplies it."""

from __future__ import annotations

import shutil
from pathlib import Path

from .configuration import CONFIG, WEIGHTS
from .torch_model import as_model, hold_threads, load_reference
from .variant import BuildContext, Model, Variant


class TorchBf16(Variant):
    """Weights and activations in bfloat16."""

    name = "torch-bf16"
    backend = "torch"
    precision = "bf16"
    summary = "the checkpoint in bfloat16, in torch"
    run_needs = ("torch", "transformers")
    build_needs = ("safetensors",)
    complexity = 1
    standard = False

    def build(self, context: BuildContext) -> None:
        import torch
        from safetensors.torch import save_file

        module = load_reference(context.checkpoint.path).to(torch.bfloat16)
        tensors = {name: tensor.clone().contiguous() for name, tensor in module.state_dict().items()}
        save_file(tensors, context.directory / WEIGHTS, metadata={"format": "pt"})
        shutil.copyfile(context.checkpoint.path / CONFIG, context.directory / CONFIG)

    def load(self, directory: Path, threads: int) -> Model:
        import torch

        hold_threads(threads)
        return as_model(load_reference(directory, dtype=torch.bfloat16))


VARIANT = TorchBf16()
