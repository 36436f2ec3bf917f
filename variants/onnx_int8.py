"""`onnx-int8`: the graph with INT8 weights by channel, activations quantized by row as they come, in onnxruntime."""

from __future__ import annotations

from pathlib import Path

from . import onnx_model
from .exporting import exported
from .row_quantizing import quantize_products
from .variant import Batching, BatchModel, BuildContext, Tuning, Variant

WIDE_RANGE, NARROW_RANGE = 127, 63
"""Without wide dot products U8S8 saturates in 16 bits; seven-bit weights cannot."""


def write_int8(graph: Path, directory: Path, tuning: Tuning, *, packed: bool, wide: bool) -> None:
    """Write an exported FP32 graph, quantized and optimized, into a directory; `wide` as in BuildContext."""
    fused, quantized = graph.with_name("fused.onnx"), graph.with_name("quantized.onnx")
    onnx_model.fuse(graph, fused, tuning.fused)
    weight_range = WIDE_RANGE if wide else NARROW_RANGE
    quantize_products(fused, quantized, weight_range=weight_range, packed=packed, fp32=tuning.fp32)
    onnx_model.optimize(quantized, directory, "ORT_ENABLE_BASIC")


class OnnxInt8(Variant):
    """The quantized graph in onnxruntime, its rows packed where the family allows it."""

    name = "onnx-int8"
    backend = "onnxruntime"
    precision = "int8"
    summary = "onnx-fp32 with INT8 weights by channel, for the instruction set at hand"
    run_needs = ("onnxruntime",)
    build_needs = ("torch", "transformers", "onnx")
    exports = True
    session = onnx_model.SESSION
    concurrent = True
    complexity = 2

    def build(self, context: BuildContext) -> Batching:
        with exported(context.checkpoint, context.directory, context.exporter, packed=True) as (graph, packed):
            write_int8(graph, context.directory, context.tuning, packed=packed, wide=context.wide_dot_products)
        return "packed" if packed else "equal_length"

    def load(self, directory: Path, threads: int) -> BatchModel:
        return onnx_model.load(directory, threads)


VARIANT = OnnxInt8()
