"""`openvino-bf16`: the checkpoint's graph in OpenVINO, multiplied in bfloat16 where the processor can."""

from __future__ import annotations

from pathlib import Path

from . import openvino_model
from .variant import BuildContext, Model, Variant

SESSION = {"INFERENCE_PRECISION_HINT": "bf16"}


class OpenvinoBf16(Variant):
    """Weights are stored in FP32; where the processor has no bfloat16, that is also what is computed."""

    name = "openvino-bf16"
    backend = "openvino"
    precision = "bf16"
    summary = "the checkpoint's graph in OpenVINO, bfloat16 where the processor multiplies it"
    run_needs = ("openvino",)
    build_needs = ("torch", "transformers", "onnx")
    exports = True
    extra = "openvino"
    session = SESSION
    complexity = 2
    standard = False

    def build(self, context: BuildContext) -> None:
        openvino_model.save(openvino_model.converted(context), context.directory)

    def load(self, directory: Path, threads: int) -> Model:
        return openvino_model.load(directory, threads, self.session)


VARIANT = OpenvinoBf16()
