"""ONNX graphs of a checkpoint: optimized once, and run from weights that stay in the page cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..core.memory import bound_heap
from .exporting import GRAPH, OUTPUT
from .variant import Model

DATA = "model.onnx.data"

# Smaller tensors stay inside the graph, where shape inference may need their values.
EXTERNAL_FROM_BYTES = 1024


SHRINK = "memory.enable_memory_arena_shrinkage"

# Planned layouts are kept for every length that was seen, and the arena grows to the longest text and stays there: at
# BERT-base size, 80 MB a process. Without the one and shrunk after each window it is 4 MB.
SESSION = {
    "graph_optimization_level": "ORT_DISABLE_ALL",  # done when it was built
    "inter_op_num_threads": "1",
    "enable_mem_pattern": "False",
    SHRINK: "cpu:0",
}


def optimize(graph: Path, directory: Path) -> None:
    """Write the graph as onnxruntime optimizes it, weights beside it, so that loading neither optimizes nor copies.

    The level stops short of layouts that hold for one processor model only.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(directory / GRAPH)
    options.log_severity_level = 3
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", DATA)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(EXTERNAL_FROM_BYTES)
    )
    onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def load(directory: Path, threads: int) -> Model:
    """The model of an optimized graph."""
    import onnxruntime

    bound_heap()
    options = onnxruntime.SessionOptions()
    level = SESSION["graph_optimization_level"]
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.enable_mem_pattern = SESSION["enable_mem_pattern"] == "True"
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = int(SESSION["inter_op_num_threads"])
    options.log_severity_level = 3
    session: Any = onnxruntime.InferenceSession(str(directory / GRAPH), options, providers=["CPUExecutionProvider"])
    return runner(session)


def runner(session: Any) -> Model:
    """A session as a function from the ids of one window to its logits."""
    import onnxruntime

    each_run: Any = onnxruntime.RunOptions()
    each_run.add_run_config_entry(SHRINK, SESSION[SHRINK])
    takes = {given.name for given in session.get_inputs()}
    gives = [given.name for given in session.get_outputs()]
    output = OUTPUT if OUTPUT in gives else gives[0]

    def run(ids: np.ndarray) -> np.ndarray:
        tokens = ids[None, :]
        feed = {"input_ids": tokens}
        if "attention_mask" in takes:
            feed["attention_mask"] = np.ones_like(tokens)
        if "token_type_ids" in takes:
            feed["token_type_ids"] = np.zeros_like(tokens)
        logits: np.ndarray = session.run([output], feed, each_run)[0][0]
        return logits

    return run
