"""`fp32`: the checkpoint as it is, run by transformers. The baseline."""

from __future__ import annotations

import shutil
from pathlib import Path

from .configuration import CONFIG, WEIGHTS
from .torch_model import as_model, hold_threads, load_reference
from .variant import BuildContext, Model, Variant


class Fp32(Variant):
    """The unchanged checkpoint in torch."""

    name = "fp32"
    backend = "torch"
    precision = "fp32"
    summary = "the checkpoint as it is, in torch"
    run_needs = ("torch", "transformers")
    complexity = 0

    def build(self, context: BuildContext) -> None:
        for file in (CONFIG, WEIGHTS):
            shutil.copyfile(context.checkpoint.path / file, context.directory / file)

    def load(self, directory: Path, threads: int) -> Model:
        hold_threads(threads)
        return as_model(load_reference(directory))


VARIANT = Fp32()
