"""`imported`: an ONNX graph that another tool exported or quantized, used as it is."""

from __future__ import annotations

from pathlib import Path

from . import onnx_model
from .variant import BuildContext, Model, Variant


class Imported(Variant):
    """The user's own graph in onnxruntime, which optimizes it once."""

    name = "imported"
    backend = "onnxruntime"
    precision = "its own"
    summary = "an ONNX graph of the checkpoint's directory, as Optimum or another tool wrote it"
    run_needs = ("onnxruntime",)
    build_needs = ("onnx",)
    imports = True
    session = onnx_model.SESSION
    concurrent = True
    complexity = 2

    def build(self, context: BuildContext) -> None:
        from .graphs import fitted_to_graph, the_graph

        if context.checkpoint.weights:  # else it was looked at already
            fitted_to_graph(context.checkpoint)
        onnx_model.optimize(the_graph(context.checkpoint), context.directory)

    def load(self, directory: Path, threads: int) -> Model:
        return onnx_model.load(directory, threads)


VARIANT = Imported()
