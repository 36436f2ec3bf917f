"""What each layer of `onnx-int8` costs: the error that goes when it stays in FP32, and the time that comes."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.records import Record
from . import onnx_model
from .checkpoints import Checkpoint
from .exporting import exported
from .onnx_int8 import write_int8
from .row_quantizing import layers_of
from .variant import DEFAULT_EXPORTER, Model, Tuning

ROUNDS = 5


class Sensitivity(Record, frozen=True, kw_only=True):
    """One layer in FP32, all others in INT8.

    `error` is the mean difference of the logits from FP32, as a share of that with all layers in INT8; `time` is the
    time as a share of that, from a few passes in turn in one process: good for an order, not for a verdict.
    """

    layer: str
    error: float
    time: float


def sensitivities_in_child(checkpoint: Checkpoint, windows: list[list[int]], wide: bool) -> list[Sensitivity]:
    """The child's job: the sensitivity of each layer, from one export of the checkpoint."""
    texts = [np.asarray(window, dtype=np.int64) for window in windows]
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        root = Path(directory)
        with exported(checkpoint, root, DEFAULT_EXPORTER, packed=True) as (graph, packed):

            def model(name: str, tuning: Tuning) -> Model:
                place = root / name
                place.mkdir()
                write_int8(graph, place, tuning, packed=packed, wide=wide)
                return onnx_model.load(place, 1)

            (root / "fp32").mkdir()
            fused = graph.with_name("fused.onnx")
            onnx_model.fuse(graph, fused)
            onnx_model.optimize(fused, root / "fp32", "ORT_ENABLE_BASIC")
            expected = [onnx_model.load(root / "fp32", 1)(text) for text in texts]
            default = model("default", Tuning())
            whole = _error(default, texts, expected)
            found = []
            for number, layer in enumerate(layers_of(fused)):
                one = model(str(number), Tuning(fp32=(layer,)))
                share = _error(one, texts, expected) / max(whole, 1e-12)
                found.append(Sensitivity(layer=layer, error=share, time=_time(one, default, texts)))
                for file in (root / str(number)).iterdir():
                    file.unlink()
    return found


def _error(model: Model, texts: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    return float(np.mean([np.abs(model(text) - right).mean() for text, right in zip(texts, expected, strict=True)]))


def _time(one: Model, other: Model, texts: Sequence[np.ndarray]) -> float:
    def seconds(model: Model) -> float:
        begun = time.perf_counter()
        for text in texts:
            model(text)
        return time.perf_counter() - begun

    return statistics.median(seconds(one) / seconds(other) for _ in range(ROUNDS))
