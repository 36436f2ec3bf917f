"""ONNX graphs of other tools: finding them in a directory, and checking that slimner can run them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tokenizers import Tokenizer

from ..core.errors import CheckpointError, MissingDependencyError
from ..core.install import install_hint
from .checkpoints import Checkpoint
from .configuration import HOW_TO_NAME_TAGS
from .fitness import ordinary, window_of
from .onnx_model import OnnxModel
from .torch_model import first_line
from .variant import Model

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
EXPORT_AGAIN = "export it for token classification: optimum-cli export onnx --task token-classification"


def the_graph(checkpoint: Checkpoint) -> Path:
    """The one graph of a checkpoint; CheckpointError if there is none or more than one."""
    graphs = list(checkpoint.graphs)
    if not graphs:
        raise CheckpointError(f"{checkpoint.path} has no graph (*.onnx) to import", "choose another --variant")
    if len(graphs) > 1:
        raise CheckpointError(
            f"{graphs[0].parent} has several graphs: {', '.join(path.name for path in graphs)}",
            f"name one: slimner build {graphs[0]} --variant imported",
        )
    return graphs[0]


def files_of(graph: Path) -> list[Path]:
    """The graph and the files of its weights; CheckpointError if it is not a graph, or names files elsewhere."""
    return [graph, *_data(graph, _tensors(_loaded(graph)))]


def _loaded(graph: Path) -> Any:
    if importlib.util.find_spec("onnx") is None:
        raise MissingDependencyError("importing a graph needs onnx, not installed here", install_hint("lab"))
    import onnx

    try:
        model = onnx.load(graph, load_external_data=False)
        if not model.graph.node:
            raise ValueError("it has no nodes")
    except Exception as error:  # what protobuf raises depends on its version
        raise CheckpointError(
            f"{graph} is not an ONNX graph: {first_line(error)}", "copy or download it again"
        ) from None
    return model


def _tensors(model: Any) -> list[Any]:
    """Every tensor that a model holds: weights, and constants of its nodes at any depth."""
    found, graphs = [], [model.graph]
    for function in model.functions:
        graphs.append(function)
    while graphs:
        graph = graphs.pop()
        found += list(getattr(graph, "initializer", ()))
        for sparse in getattr(graph, "sparse_initializer", ()):
            found += [sparse.values, sparse.indices]
        for node in graph.node:
            for attribute in node.attribute:
                found += [attribute.t, *attribute.tensors]
                graphs += [attribute.g, *attribute.graphs]
    return found


def _data(graph: Path, tensors: Sequence[Any]) -> list[Path]:
    """Files in which tensors lie, each inside the graph's directory."""
    names = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    own = graph.parent.resolve()
    blobs = own.parent.parent / "blobs"  # where the links of a hub's snapshot lead
    for name in sorted(names):
        path = graph.parent / name
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        if not inside or not any(path.resolve().is_relative_to(place) for place in (own, blobs)):
            raise CheckpointError(
                f"{graph} keeps weights outside its directory: {name}", "export it again, with its weights beside it"
            )
        if not path.is_file():
            raise CheckpointError(f"{graph} keeps weights in {name}, which is missing", "copy or download it too")
    return [graph.parent / name for name in sorted(names)]


def reference_model(graph: Path) -> Model:
    """The graph as it was given, run by onnxruntime without optimization; CheckpointError if it is of another kind."""
    import onnxruntime

    files_of(graph)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no base
        raise CheckpointError(
            f"onnxruntime does not load {graph}: {first_line(error)[:300]}", "export or quantize it again"
        ) from None
    _require_inputs(graph, session)
    run = OnnxModel(session)

    def answered(ids: np.ndarray) -> np.ndarray:
        try:
            return run(ids)
        except Exception as error:
            raise RuntimeError(first_line(error)) from None

    return answered


def _require_inputs(graph: Path, session: Any) -> None:
    takes = {given.name: given for given in session.get_inputs()}
    if strange := [name for name in takes if name not in INPUTS]:
        raise CheckpointError(
            f"{graph} takes {', '.join(strange)}, which slimner does not provide; it provides {', '.join(INPUTS)}",
            EXPORT_AGAIN,
        )
    if "input_ids" not in takes:
        raise CheckpointError(f"{graph} does not take input_ids, but {', '.join(takes) or 'nothing'}", EXPORT_AGAIN)
    for name, given in takes.items():
        if given.type != "tensor(int64)":
            raise CheckpointError(f"{graph} takes {name} as {given.type}, not as tensor(int64)", EXPORT_AGAIN)
        fixed = [
            size for size, most in zip(given.shape, (1, 0), strict=False) if isinstance(size, int) and size != most
        ]
        if fixed or len(given.shape) != 2:
            raise CheckpointError(
                f"{graph} takes {name} in the fixed shape {' x '.join(map(str, given.shape))}, not texts of any length",
                "export it with free axes for the batch and the tokens, as optimum-cli does",
            )
    gives = {given.name: given for given in session.get_outputs()}
    chosen = gives.get("logits") or (next(iter(gives.values())) if len(gives) == 1 else None)
    if chosen is None or len(chosen.shape) != 3:
        raise CheckpointError(
            f"{graph} gives {', '.join(f'{o.name} of {len(o.shape)} axes' for o in gives.values())}, not logits of the "
            "axes batch, tokens and tags",
            EXPORT_AGAIN,
        )


def fitted_to_graph(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with the window and the size of its graph; CheckpointError if the two do not fit together."""
    graph = the_graph(checkpoint)
    model = reference_model(graph)
    tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer))
    token = ordinary(tokenizer, None)
    window = window_of(model, token, checkpoint.window)
    if window <= tokenizer.num_special_tokens_to_add(False):
        try:
            reason = str(model(np.full(checkpoint.window, token, dtype=np.int64)).shape)
        except RuntimeError as error:
            reason = str(error)
        raise CheckpointError(f"{graph} cannot run on any text, not even on one token: {reason[:200]}", EXPORT_AGAIN)
    tags = model(np.full(1, token, dtype=np.int64)).shape[-1]
    if tags != len(checkpoint.labels.tags):
        raise CheckpointError(
            f"{graph} has {tags} outputs, {checkpoint.path} names {len(checkpoint.labels.tags)} tags", HOW_TO_NAME_TAGS
        )
    name, highest = max(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    try:
        model(np.full(1, highest, dtype=np.int64))
    except RuntimeError:
        raise CheckpointError(
            f"{graph} has no row for the token '{name}', the tokenizer's number {highest:,}",
            "put the tokenizer.json beside it that the model was trained with",
        ) from None
    weights = [tensor for tensor in _tensors(_loaded(graph)) if len(tensor.dims) > 0]
    parameters = checkpoint.parameters or int(sum(np.prod(tensor.dims) for tensor in weights))
    return msgspec.structs.replace(checkpoint, window=window, parameters=parameters)
