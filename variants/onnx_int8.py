"""`onnx-int8`: the graph with INT8 weights by channel, activations quantized as they come, in onnxruntime."""

from __future__ import annotations

import logging
from pathlib import Path

from . import onnx_model
from .exporting import exported
from .variant import BuildContext, Model, Variant

# Depthwise convolutions (ConvBERT) only get slower; matrix products and embedding look-ups hold the weights.
OPERATORS = ["MatMul", "Gather"]


class OnnxInt8(Variant):
    """The dynamically quantized graph in onnxruntime."""

    name = "onnx-int8"
    backend = "onnxruntime"
    precision = "int8"
    summary = "onnx-fp32 with INT8 weights by channel, for the instruction set at hand"
    run_needs = ("onnxruntime",)
    build_needs = ("torch", "transformers", "onnx")
    exports = True
    session = onnx_model.SESSION
    complexity = 2

    def build(self, context: BuildContext) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        logging.getLogger().setLevel(logging.ERROR)  # it advises a preprocessing step that changes nothing here
        with exported(context.checkpoint, context.directory, context.exporter) as graph:
            quantized = graph.with_name("quantized.onnx")
            quantize_dynamic(
                graph,
                quantized,
                per_channel=True,
                weight_type=QuantType.QInt8,
                # Without wide dot products U8S8 saturates in 16 bits; seven-bit weights cannot.
                reduce_range=not context.wide_dot_products,
                op_types_to_quantize=OPERATORS,
            )
            onnx_model.optimize(quantized, context.directory)

    def load(self, directory: Path, threads: int) -> Model:
        return onnx_model.load(directory, threads)


VARIANT = OnnxInt8()
