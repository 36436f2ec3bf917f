"""INT8 products whose activations are quantized row by row: what a token yields never depends on other rows.

onnxruntime's own dynamic quantization takes one range for a whole tensor, so that one text in a batch moves the answers
of the others. Here each row (a token) has a range of its own; products that share their input share its quantized form.
Weights have a scale for each column, tables of embeddings one for each of their rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

# Quantization in blocks, which is what a row is, came with this version of the operators.
OPSET = 21

# A row of zeros has no range; it is divided by this.
LEAST_SCALE = 1e-30

MIDDLE = 128
"""Zero of the activations' eight bits: the kernels are fastest with unsigned ones."""

GELUS = ("Gelu", "BiasGelu")
GELU_LOWEST, GELU_ZERO = 0.17, 32
"""Gelu yields nothing below -0.17, so most of the eight bits are for what is above zero."""


LAYER = re.compile(r"\b(?:\w*layers?|\w*groups?|blocks?|h)\.\d+\b")
TABLES = "embeddings"


def layer_of(node: Any) -> str:
    """Which layer a product or a look-up belongs to, from the name that the exporter gave its node."""
    if node.op_type == "Gather":
        return TABLES
    path = node.name.strip("/").replace("/", ".").removeprefix("module.").removesuffix(".MatMul")
    found = LAYER.search(path)
    return found.group() if found else path or node.output[0]


def layers_of(graph: Path) -> list[str]:
    """The layers of a graph in whose place `quantize_products` puts INT8, in their order."""
    import onnx

    content = onnx.load(graph).graph
    editing = _Editing(content, 1, packed=False)
    return list(dict.fromkeys(layer_of(node) for node in content.node if editing.quantizes(node)))


def quantize_products(
    graph: Path, target: Path, *, weight_range: int, packed: bool, fp32: Collection[str] = ()
) -> None:
    """Write a graph with each product by a constant matrix, and each table of embeddings, in INT8.

    Weights go from -`weight_range` to it. `packed` says that the graph packs its rows: they are the same from there on.
    The layers `fp32` stay as they are.
    """
    import onnx

    model = onnx.load(graph)
    _join_reshapes(model.graph)
    editing = _Editing(model.graph, weight_range, packed, fp32)
    nodes = [new for node in model.graph.node for new in editing.of(node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    editing.finish()
    others = [imported for imported in model.opset_import if imported.domain not in ("", "ai.onnx", "com.microsoft")]
    del model.opset_import[:]
    model.opset_import.extend(
        [*others, onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("com.microsoft", 1)]
    )
    onnx.save_model(model, target)


class _Editing:
    def __init__(self, graph: Any, weight_range: int, packed: bool, fp32: Collection[str] = ()) -> None:
        from onnx import helper, numpy_helper

        self._graph = graph
        self._make = helper.make_node
        self._to_tensor, self._to_array = numpy_helper.from_array, numpy_helper.to_array
        self._range, self._fp32 = weight_range, fp32
        self._packed = _behind_packing(graph) if packed else set()
        self._given = {tensor.name: tensor for tensor in graph.initializer}
        self._gelus = {node.output[0] for node in graph.node if node.op_type in GELUS}
        self._weights: dict[str, tuple[str, str]] = {}
        self._rows: dict[str, tuple[str, str]] = {}
        self._zeros: dict[int, str] = {}

    def of(self, node: Any) -> list[Any]:
        """The nodes that replace this one."""
        if not self.quantizes(node) or layer_of(node) in self._fp32:
            return [node]
        return self._product(node) if node.op_type == "MatMul" else self._look_up(node)

    def quantizes(self, node: Any) -> bool:
        """Whether it is a product by a constant matrix, or a look-up in one."""
        if node.op_type == "MatMul":
            return self._is_matrix(node.input[1])
        return node.op_type == "Gather" and self._is_matrix(node.input[0]) and not any(a.i for a in node.attribute)

    def _is_matrix(self, name: str) -> bool:
        float32 = 1
        tensor = self._given.get(name)
        return tensor is not None and len(tensor.dims) == 2 and tensor.data_type == float32

    def _product(self, node: Any) -> list[Any]:
        given, matrix, (output, *_) = node.input[0], node.input[1], node.output
        weight, columns = self._weight(matrix, axis=0)
        zero = GELU_ZERO if given in self._gelus else MIDDLE
        rows, quantized, scales = self._quantized(given, int(self._given[matrix].dims[0]), zero)
        one, middle = self._constant("one", np.float32(1)), self._constant(f"zero_{zero}", np.uint8(zero))
        product = f"{output}_by_columns"
        return [
            *rows,
            self._make(
                "MatMulIntegerToFloat",
                [quantized, weight, one, columns, middle],
                [product],
                f"{node.name}_int8",
                domain="com.microsoft",
            ),
            self._make("Mul", [product, scales], [output], f"{node.name}_scaled"),
        ]

    def _look_up(self, node: Any) -> list[Any]:
        table, scales = self._weight(node.input[0], axis=1)
        (output,) = node.output
        row, scale, wide = (f"{output}_{name}" for name in ("row", "scale", "wide"))
        return [
            self._make("Gather", [table, node.input[1]], [row]),
            self._make("Gather", [scales, node.input[1]], [scale]),
            self._make("Cast", [row], [wide], to=1),
            self._make("Mul", [wide, scale], [output]),
        ]

    def _weight(self, name: str, axis: int) -> tuple[str, str]:
        """Names of a matrix in INT8 and of its scales; each is for what lies along `axis`."""
        key = f"{name}_{axis}"
        if key not in self._weights:
            values = self._to_array(self._given[name])
            scales = np.abs(values).max(axis=axis, keepdims=True).astype(np.float32) / np.float32(self._range)
            scales = np.maximum(scales, np.float32(LEAST_SCALE))
            whole = np.clip(np.rint(values / scales), -self._range, self._range).astype(np.int8)
            self._weights[key] = (
                self._add(f"{key}_int8", whole),
                self._add(f"{key}_scales", scales if axis else scales[0]),
            )
        return self._weights[key]

    def _quantized(self, given: str, width: int, zero: int) -> tuple[list[Any], str, str]:
        """Nodes that quantize a tensor's rows, unless another product has done it; its name in INT8 and the scales'."""
        if given in self._rows:
            return [], *self._rows[given]
        quantized, scales = self._rows[given] = f"{given}_int8", f"{given}_scales"
        make, last = self._make, self._constant("last", np.asarray([-1]))
        high, low, below, most = (f"{given}_{name}" for name in ("high", "low", "below", "most"))
        nodes = [make("ReduceMax", [given, last], [high], keepdims=1)]
        if zero == MIDDLE:
            steps = 127
            least = self._constant("least", np.float32(127 * LEAST_SCALE))
            nodes += [
                make("ReduceMin", [given, last], [low], keepdims=1),
                make("Neg", [low], [below]),
                make("Max", [high, below, least], [most]),
            ]
        else:
            steps = 255 - zero
            least = self._constant("gelu_least", np.float32(GELU_LOWEST / zero * steps))
            nodes += [make("Max", [high, least], [most])]
        nodes += [make("Mul", [most, self._constant(f"share_{steps}", np.float32(1 / steps))], [scales])]
        zeros, shape = f"{given}_zeros", f"{given}_shape"
        if given in self._packed:
            zeros = self._zeros.setdefault(zero, zeros)
        if zeros == f"{given}_zeros":
            nodes += [
                make("Shape", [scales], [shape]),
                make("ConstantOfShape", [shape], [zeros], value=self._to_tensor(np.asarray([zero], np.uint8))),
            ]
        nodes += [make("QuantizeLinear", [given, scales, zeros], [quantized], axis=-1, block_size=width)]
        return nodes, quantized, scales

    def _constant(self, name: str, value: Any) -> str:
        name = f"slimner_{name}"
        return name if name in self._given else self._add(name, np.asarray(value))

    def _add(self, name: str, values: np.ndarray) -> str:
        self._given[name] = self._to_tensor(values, name)
        self._graph.initializer.append(self._given[name])
        return name

    def finish(self) -> None:
        """Remove nodes and weights that are no longer used."""
        read = {output.name for output in self._graph.output}
        nodes = []
        for node in reversed(self._graph.node):  # those that read come after what they read
            if read.intersection(node.output):
                nodes.append(node)
                read.update(_read(node))
        kept = [tensor for tensor in self._graph.initializer if tensor.name in read]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(reversed(nodes))
        self._graph.initializer.extend(kept)


def _behind_packing(graph: Any) -> set[str]:
    """Names of tensors that depend on the positions of tokens."""
    found: set[str] = set()
    for node in graph.node:
        if node.op_type == "NonZero" or found.intersection(node.input):
            found.update(node.output)
    return found


def _join_reshapes(graph: Any) -> None:
    """Reshape from what was there before another reshape; what was in between is then not needed."""
    from onnx import numpy_helper

    given = {tensor.name: tensor for tensor in graph.initializer}
    before: dict[str, str] = {}
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        shape = given.get(node.input[1])
        if shape is not None and (numpy_helper.to_array(shape) != 0).all():  # 0 asks for what was there in between
            node.input[0] = before.get(node.input[0], node.input[0])
        before[node.output[0]] = node.input[0]


def _read(node: Any) -> list[str]:
    """Names that a node reads, also inside of it."""
    names = list(node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            names += [output.name for output in attribute.g.output]
            for inner in attribute.g.node:
                names += _read(inner)
    return names
