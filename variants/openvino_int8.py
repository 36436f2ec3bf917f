"""`openvino-int8`: INT8 weights by NNCF in OpenVINO, activations quantized as they come; no texts to calibrate on."""

from __future__ import annotations

from pathlib import Path

from . import openvino_model
from .variant import BuildContext, Model, Variant

SESSION = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "18446744073709551615"}


class OpenvinoInt8(Variant):
    """Weights in eight bits by channel."""

    name = "openvino-int8"
    backend = "openvino"
    precision = "int8"
    summary = "the checkpoint's graph in OpenVINO with INT8 weights by channel"
    run_needs = ("openvino",)
    build_needs = ("torch", "transformers", "onnx", "nncf")
    exports = True
    extra = "openvino"
    session = SESSION
    complexity = 2
    standard = False

    def build(self, context: BuildContext) -> None:
        import nncf

        compressed = nncf.compress_weights(openvino_model.converted(context), mode=nncf.CompressWeightsMode.INT8_SYM)
        openvino_model.save(compressed, context.directory)

    def load(self, directory: Path, threads: int) -> Model:
        return openvino_model.load(directory, threads, self.session)


VARIANT = OpenvinoInt8()
