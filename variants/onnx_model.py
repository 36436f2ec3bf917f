"""ONNX graphs of a checkpoint: optimized once, and run from weights that stay in the page cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.memory import bound_heap
from .exporting import GRAPH, OUTPUT

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


# At BERT-base size these fusions cost more than they save: layer norms with the sum before them take 118 in place of
# 30 us for 33 tokens, Gelu with its bias 94 in place of 75. The last two hide products from those who quantize them.
SLOW_FUSIONS = ("SkipLayerNormFusion", "BiasGeluFusion", "MatMulAddFusion", "AttentionFusion")


def fuse(graph: Path, target: Path, fused: Sequence[str] = ()) -> None:
    """Write the graph with those parts fused for which onnxruntime has one fast operator; SLOW_FUSIONS are left out.

    `fused` names those of SLOW_FUSIONS that are made nevertheless.
    """
    _write(graph, target, "ORT_ENABLE_EXTENDED", {}, [name for name in SLOW_FUSIONS if name not in fused])


def optimize(graph: Path, directory: Path, level: str = "ORT_ENABLE_EXTENDED") -> None:
    """Write the graph as onnxruntime optimizes it, weights beside it, so that loading neither optimizes nor copies.

    The level stops short of layouts that hold for one processor model only.
    """
    external = {
        "session.optimized_model_external_initializers_file_name": DATA,
        "session.optimized_model_external_initializers_min_size_in_bytes": str(EXTERNAL_FROM_BYTES),
    }
    _write(graph, directory / GRAPH, level, external)


def _write(graph: Path, target: Path, level: str, entries: Mapping[str, str], without: Sequence[str] = ()) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    onnxruntime.InferenceSession(
        str(graph), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(without)
    )


class OnnxModel:
    """A session as the model of its graph."""

    def __init__(self, session: Any) -> None:
        import onnxruntime

        self._session = session
        self._each_run: Any = onnxruntime.RunOptions()
        self._each_run.add_run_config_entry(SHRINK, SESSION[SHRINK])
        self._takes = {given.name for given in session.get_inputs()}
        gives = [given.name for given in session.get_outputs()]
        self._output = OUTPUT if OUTPUT in gives else gives[0]

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        """Logits of one window."""
        return self.together((ids,))[0]

    def end_profile(self) -> Path:
        """The file of what was noted so far."""
        return Path(self._session.end_profiling())

    def together(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Logits of each window, from one run; the shorter ones are padded."""
        lengths = [len(window) for window in windows]
        tokens = np.zeros((len(windows), max(lengths)), dtype=np.int64)
        feed = {"input_ids": tokens}
        if "attention_mask" in self._takes:
            feed["attention_mask"] = np.zeros_like(tokens)
        if "token_type_ids" in self._takes:
            feed["token_type_ids"] = np.zeros_like(tokens)
        for row, window in enumerate(windows):
            tokens[row, : len(window)] = window
            if "attention_mask" in feed:
                feed["attention_mask"][row, : len(window)] = 1
        logits: np.ndarray = self._session.run([self._output], feed, self._each_run)[0]
        return [logits[row, :length] for row, length in enumerate(lengths)]


def load(directory: Path, threads: int, *, profile: Path | None = None) -> OnnxModel:
    """The model of an optimized graph.

    With `profile`, the beginning of a file's name, onnxruntime notes every operator that it runs, for `end_profile`.
    """
    import onnxruntime

    bound_heap()
    options = onnxruntime.SessionOptions()
    level = SESSION["graph_optimization_level"]
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.enable_mem_pattern = SESSION["enable_mem_pattern"] == "True"
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = int(SESSION["inter_op_num_threads"])
    options.log_severity_level = 3
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    session: Any = onnxruntime.InferenceSession(str(directory / GRAPH), options, providers=["CPUExecutionProvider"])
    return OnnxModel(session)
