"""Graphs in OpenVINO: converted from the exported ONNX graph, and run on a number of threads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .exporting import exported
from .variant import BuildContext, Model

FILE = "model.xml"


def converted(context: BuildContext) -> Any:
    """The checkpoint's graph as OpenVINO's model."""
    import openvino

    with exported(context.checkpoint, context.directory, context.exporter) as (graph, _):
        return openvino.convert_model(graph)


def save(model: Any, directory: Path) -> None:
    """Graph and weights as two files, weights as they are."""
    import openvino

    openvino.save_model(model, directory / FILE, compress_to_fp16=False)


def load(directory: Path, threads: int, properties: Mapping[str, str]) -> Model:
    """The model of a saved graph in one stream of `threads` threads."""
    import openvino

    core = openvino.Core()
    settings = {"NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": str(threads), "PERFORMANCE_HINT": "LATENCY", **properties}
    compiled = core.compile_model(directory / FILE, "CPU", settings)
    takes = [given.get_any_name() for given in compiled.inputs]
    request = compiled.create_infer_request()

    def run(ids: np.ndarray) -> np.ndarray:
        tokens = ids[None, :]
        every = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        logits: np.ndarray = request.infer({name: every[name] for name in takes})[0][0]
        return np.array(logits, dtype=np.float32)  # the request writes over its own memory

    return run
