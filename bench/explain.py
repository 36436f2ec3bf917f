"""Where the time of an artifact goes, from the profiler of its back end. Runs in a child."""

from __future__ import annotations

import collections
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..core.errors import UserError
from ..core.explain_records import PRODUCTS, QUANTIZING, OperatorGroup, Products

# Groups by the names of operators in onnxruntime and torch; what no pattern matches is "other". Products are told apart
# by whether one side is a weight.
ATTENTION = "attention"
GROUPS: dict[str, tuple[str, ...]] = {
    ATTENTION: ("softmax", "attention", "bmm", "baddbmm"),
    "convolution": ("conv",),
    QUANTIZING: ("quantizelinear", "reducemax", "reducemin", "abs", "quantize_per"),
    "normalization": ("layernorm", "layer_norm", "normalization", "reducemean"),
    "activation": ("gelu", "erf", "tanh", "relu", "silu"),
    "embedding": ("gather", "embed", "index_select"),
    "moving data": (
        *("transpose", "reshape", "concat", "slice", "split", "squeeze", "expand", "cast", "shape", "copy", "scatter"),
        *("contiguous", "cat", "view", "permute", "clone", "pad"),
    ),
    "elementwise": ("add", "mul", "div", "sub", "sqrt", "where", "pow", "max", "min", "range", "cumsum", "equal"),
}
MATRIX = ("matmul", "gemm", "addmm", "linear", "aten::mm")

INT8_OPERATORS = ("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm")

PEAK_SHAPE = (256, 768, 3072)  # rows, inner, columns of the product that the peak is measured with
LEAST_READ = 32 << 20
PASSES = 3


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a child found: times a text in ms."""

    texts: int
    tokens: float
    ms: float
    outside_ms: float
    groups: tuple[OperatorGroup, ...]
    products: Products | None


class _Operator(msgspec.Struct, frozen=True, kw_only=True):
    """One run of an operator; `macs` and `bytes` are those of a product with a weight."""

    name: str
    ms: float
    calls: int = 1
    macs: float = 0.0
    bytes: int = 0
    precision: str = ""


def profile_in_child(artifact: Path, texts: tuple[str, ...], threads: int) -> Profile:
    """Answer the texts under the profiler, and again without it for their time."""
    from ..variants import VARIANTS, open_predictor, read_manifest

    manifest = read_manifest(artifact)
    backend = VARIANTS.get(manifest.variant).backend
    if backend not in PROFILERS:
        raise UserError(
            f"{manifest.variant} is run by {backend}, whose operators slimner cannot profile",
            f"explain an artifact that is run by {' or '.join(PROFILERS)}",
        )
    predictor = open_predictor(artifact, threads=threads)
    windows: list[np.ndarray] = []

    def kept(found: Sequence[np.ndarray]) -> list[np.ndarray]:
        windows.extend(found)
        return predictor.infer(found)

    for text in texts:
        predictor.many([text], infer=kept)
    whole = _mean_ms(predictor, texts)
    operators = list(PROFILERS[backend](artifact, manifest.variant, windows, threads))
    inside = _mean_ms(VARIANTS.get(manifest.variant).load(artifact, threads), windows) * len(windows) / len(texts)
    scale = inside / max(sum(operator.ms for operator in operators) / len(texts), 1e-9)
    outside = max(0.0, whole - inside)
    return Profile(
        texts=len(texts),
        tokens=sum(map(len, windows)) / len(texts),
        ms=whole,
        outside_ms=outside,
        groups=tuple(_grouped(operators, len(texts), scale)),
        products=_products(operators, len(texts), scale, threads) if backend == "onnxruntime" else None,
    )


def _mean_ms(function: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Mean time an item, the fastest of some passes, after one that is not counted."""
    spent: list[float] = []
    for _ in range(PASSES + 1):
        begun = time.perf_counter()
        for item in items:
            function(item)
        spent.append(time.perf_counter() - begun)
    return min(spent[1:]) / len(items) * 1e3


def _onnxruntime(artifact: Path, variant: str, windows: Sequence[np.ndarray], threads: int) -> Iterator[_Operator]:
    """Every operator that onnxruntime ran, with the size of its product from the shapes it reports."""
    from ..variants.onnx_model import load

    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        model = load(artifact, threads, profile=Path(directory) / "profile")
        for window in windows:
            model(window)
        events = json.loads(model.end_profile().read_text(encoding="utf-8"))
    for event in events:
        told = event.get("args") or {}
        if event.get("cat") != "Node" or not event["name"].endswith("_kernel_time"):
            continue
        name = told.get("op_name", "?")
        precision = "int8" if name in INT8_OPERATORS else "fp32"
        rows, inner, columns = _product(told) if any(part in name.lower() for part in MATRIX) else (0, 0, 0)
        yield _Operator(
            name=name,
            ms=event["dur"] / 1e3,
            macs=float(rows * inner * columns),
            bytes=inner * columns * WIDTHS[precision],
            precision=precision if rows else "",
        )


def _product(told: dict[str, Any]) -> tuple[int, int, int]:
    """Rows, inner dimension and columns of a product with a weight; zeros for one of two activations.

    A weight that onnxruntime has packed is not among the shapes that it reports.
    """
    given, made = ([shape for entry in told.get(key) or () for shape in entry.values()] for key in SHAPES)
    matrices = [shape for shape in given if len(shape) >= 2]
    weight = (
        len(matrices) == 1 or int(told.get("parameter_size") or 0) >= math.prod(matrices[-1]) if matrices else False
    )
    if not weight or not made:
        return 0, 0, 0
    return math.prod(made[0][:-1]), matrices[0][-1], made[0][-1]


SHAPES = ("input_type_shape", "output_type_shape")
WIDTHS = {"int8": 1, "fp32": 4}


def _torch(artifact: Path, variant: str, windows: Sequence[np.ndarray], threads: int) -> Iterator[_Operator]:
    """Every operator that torch ran, with the time that is its own."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from ..variants import VARIANTS

    model = VARIANTS.get(variant).load(artifact, threads)
    model(windows[0])
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as found:
        for window in windows:
            model(window)
    for entry in found.key_averages():
        if entry.self_cpu_time_total:
            name = "aten::mm" if entry.key == "aten::addmm" else entry.key
            weights = 1 if any(part in name for part in ("aten::mm", "quantized::linear", "mkldnn_linear")) else 0
            yield _Operator(name=name, ms=entry.self_cpu_time_total / 1e3, calls=entry.count, bytes=weights)


PROFILERS = {"onnxruntime": _onnxruntime, "torch": _torch}


def _group_of(operator: _Operator) -> str:
    name = operator.name.lower()
    if any(part in name for part in MATRIX):
        return PRODUCTS if operator.bytes else ATTENTION
    return next((group for group, parts in GROUPS.items() if any(part in name for part in parts)), "other")


def _grouped(operators: Sequence[_Operator], texts: int, scale: float) -> Iterator[OperatorGroup]:
    """The longest first. `scale` takes out what profiling itself costs."""
    found: dict[str, list[_Operator]] = collections.defaultdict(list)
    for operator in operators:
        found[_group_of(operator)].append(operator)
    spent = {group: sum(operator.ms for operator in members) for group, members in found.items()}
    for group in sorted(spent, key=lambda group: -spent[group]):
        names = collections.Counter[str]()
        for operator in found[group]:
            names[operator.name] += round(operator.ms * 1e6)
        yield OperatorGroup(
            name=group,
            ms=spent[group] * scale / texts,
            calls=sum(operator.calls for operator in found[group]) / texts,
            operators=tuple(name for name, _ in names.most_common()),
        )


def _products(operators: Sequence[_Operator], texts: int, scale: float, threads: int) -> Products | None:
    """The products of the precision that takes most of their time."""
    spent = collections.Counter[str]()
    for operator in operators:
        if operator.precision:
            spent[operator.precision] += round(operator.ms * 1e6)
    if not spent:
        return None
    precision = spent.most_common(1)[0][0]
    chosen = [operator for operator in operators if operator.precision == precision]
    streamed = round(sum(operator.bytes for operator in chosen) / texts)
    return Products(
        precision=precision,
        ms=sum(operator.ms for operator in chosen) * scale / texts,
        macs=sum(operator.macs for operator in chosen) / texts,
        bytes=streamed,
        peak_macs_per_s=_peak(precision, threads),
        bytes_per_s=_reading(max(streamed, LEAST_READ)),
    )


def _peak(precision: str, threads: int) -> float:
    """Multiplications a second of one large product in onnxruntime."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    rows, inner, columns = PEAK_SHAPE
    draw = np.random.default_rng(1)
    integers = precision == "int8"
    left = draw.integers(0, 255, (rows, inner), dtype=np.uint8) if integers else draw.random((rows, inner), np.float32)
    right = (
        draw.integers(-127, 127, (inner, columns), dtype=np.int8)
        if integers
        else draw.random((inner, columns), np.float32)
    )
    kind, result = (TensorProto.UINT8, TensorProto.INT32) if integers else (TensorProto.FLOAT, TensorProto.FLOAT)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger" if integers else "MatMul", ["left", "right"], ["out"])],
        "peak",
        [helper.make_tensor_value_info("left", kind, [rows, inner])],
        [helper.make_tensor_value_info("out", result, [rows, columns])],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    milliseconds = _mean_ms(lambda fed: session.run(None, {"left": fed}), [left] * 4)
    return rows * inner * columns / milliseconds * 1e3


def _reading(size: int) -> float:
    """Bytes a second that one pass over as many bytes reads."""
    array = np.ones(size // 4, dtype=np.float32)
    return size / (_mean_ms(lambda a: np.dot(a, a), [array] * 2) / 1e3)
