"""`onnx-fp32`: the checkpoint's graph in onnxruntime, nothing rounded."""

from __future__ import annotations

from pathlib import Path

from . import onnx_model
from .exporting import exported
from .variant import BuildContext, Model, Variant


class OnnxFp32(Variant):
    """The optimized FP32 graph in onnxruntime."""

    name = "onnx-fp32"
    backend = "onnxruntime"
    precision = "fp32"
    summary = "the checkpoint's graph, optimized, run by onnxruntime"
    run_needs = ("onnxruntime",)
    build_needs = ("torch", "transformers", "onnx")
    exports = True
    session = onnx_model.SESSION
    concurrent = True
    complexity = 1

    def build(self, context: BuildContext) -> None:
        with exported(context.checkpoint, context.directory, context.exporter) as (graph, _):
            onnx_model.optimize(graph, context.directory)

    def load(self, directory: Path, threads: int) -> Model:
        return onnx_model.load(directory, threads)


VARIANT = OnnxFp32()
