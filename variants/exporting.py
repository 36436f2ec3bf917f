"""Exporters: ways to write a checkpoint's FP32 graph as ONNX, chosen by name.

`torchscript` is the default: with eager attention its graphs are those that onnxruntime fuses (Gelu, layer norms), and
INT8 ran at 0.97 of the time of Optimum's. torch announces its end, so `dynamo`, the one that stays, is kept ready; it
leaves Gelu in parts, and INT8 takes 1.12 to 1.27 of the time. `optimum` is Hugging Face's own, which holds transformers
below 4.58. Which one made a graph, and in which version, is part of an artifact's identity.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..core.errors import CheckpointError, MissingDependencyError, UnknownNameError, UserError
from ..core.install import install_hint
from ..core.machine import version
from .checkpoints import Checkpoint
from .packing import ATTENTION, expand, pack
from .torch_model import first_line, load_reference

GRAPH = "model.onnx"
OPSET = 18
OUTPUT = "logits"

# A batch and a length that no size of a model has, so that what the graph leaves open is not taken for a constant.
DUMMY_SHAPE = (2, 11)


class Exporter(msgspec.Struct, frozen=True, kw_only=True):
    """`write(module, target)` writes the graph of a module, weights and all, with free batch and sequence axes.

    `revision` is raised when slimner's own part of it changes what it writes.
    """

    name: str
    write: Callable[[Any, Path], None]
    distribution: str
    revision: int = 2
    needs: tuple[str, ...] = ("torch", "transformers", "onnx")
    extra: str = "lab"

    @property
    def version(self) -> str:
        """Its entry in an artifact's manifest."""
        return f"{self.name} {self.revision} ({self.distribution} {version(self.distribution)})"

    def require(self) -> None:
        """Raise MissingDependencyError if this install cannot export with it."""
        if missing := [need for need in self.needs if importlib.util.find_spec(need.partition(".")[0]) is None]:
            raise MissingDependencyError(
                f"the exporter '{self.name}' needs {', '.join(missing)}, not installed here", install_hint(self.extra)
            )


def exporter(name: str) -> Exporter:
    """The exporter of that name; UnknownNameError suggests similar ones."""
    if name not in EXPORTERS:
        raise UnknownNameError("exporter", name, EXPORTERS)
    return EXPORTERS[name]


@contextlib.contextmanager
def exported(
    checkpoint: Checkpoint, directory: Path, name: str, *, packed: bool = False
) -> Iterator[tuple[Path, bool]]:
    """The checkpoint's FP32 graph, below `directory` while the block lasts, and whether its rows are packed.

    With `packed` they are, where the family and the exporter allow it (`packing.py`).
    """
    chosen = exporter(name)
    module = _traceable(checkpoint.path)
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        target = Path(temporary) / GRAPH
        with _quietly(), _unfolding_by_slices(), _repeating_by_views():
            packed = packed and pack(module)
            try:
                if packed:
                    packed = _written_packed(chosen, module, target)
                    module = module if packed else _traceable(checkpoint.path)
                if not packed:
                    chosen.write(module, target)
            except (CheckpointError, MemoryError):
                raise
            except Exception as error:  # a graph that cannot be traced fails as it likes
                raise UserError(  # of this variant only: those that run in torch may be built all the same
                    f"{checkpoint.architecture} cannot be exported to ONNX by '{name}': "
                    f"{type(error).__name__}: {first_line(error)[:200]}",
                    "take a variant that runs in torch (--variants fp32,dynamic-int8), or another --exporter",
                ) from error
        del module
        yield target, packed


def _traceable(directory: Path) -> Any:
    """The module with the implementations that every exporter can write: eager attention, experts by multiplication."""
    module = load_reference(directory, attention="eager")
    if getattr(module, "_can_set_experts_implementation", bool)():  # in transformers 5
        module.set_experts_implementation("batched_mm")  # the others count tokens by expert, or loop over experts
    return module


def _written_packed(chosen: Exporter, module: Any, target: Path) -> bool:
    """Write the graph of a packed module; False if it cannot be."""
    try:
        chosen.write(module, target)
        expand(target)
    except (CheckpointError, MemoryError):
        raise
    except Exception:  # it fails as it likes, and there is a graph without packing
        return False
    return True


@contextlib.contextmanager
def _unfolding_by_slices() -> Iterator[None]:
    """With `unfold` along a text (ConvBERT) written as slices: its own export looks up every element by an index.

    Of the embedded model's INT8 graph at 256 tokens that was half of the time: 19.3 ms, 11.7 ms with slices.
    """
    import torch

    original = torch.nn.functional.unfold

    def unfold(given: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
        size, before = list(kernel_size), list(padding) if isinstance(padding, (list, tuple)) else [padding, padding]
        if size[1:] != [1] or before[1] or dilation != 1 or stride != 1 or given.shape[3] != 1:
            return original(given, kernel_size, dilation=dilation, padding=padding, stride=stride)
        texts, channels, places, _ = given.shape
        padded = torch.nn.functional.pad(given.squeeze(-1), (before[0], before[0]))
        slices = [padded[:, :, start : start + places] for start in range(size[0])]
        return torch.stack(slices, 2).reshape(texts, channels * size[0], places)

    torch.nn.functional.unfold = unfold
    try:
        yield
    finally:
        torch.nn.functional.unfold = original


@contextlib.contextmanager
def _repeating_by_views() -> Iterator[None]:
    """With `repeat_interleave` along the last axis (rotary positions) as views: its own export loses the rank."""
    import torch

    original = torch.Tensor.repeat_interleave

    def repeat(given: Any, repeats: Any, dim: Any = None, **named: Any) -> Any:
        if not isinstance(repeats, int) or dim != -1 or named:
            return original(given, repeats, dim=dim, **named)
        return given.unsqueeze(-1).expand(*given.shape, repeats).flatten(-2)

    torch.Tensor.repeat_interleave = repeat
    try:
        yield
    finally:
        torch.Tensor.repeat_interleave = original


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporters' own remarks on constants, deprecations and progress."""
    loggers = [logging.getLogger(name) for name in ("optimum", "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _inputs(module: Any) -> dict[str, Any]:
    """Dummy tensors by the names that the graph will take."""
    import torch

    ids = torch.full(DUMMY_SHAPE, 5)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if getattr(module.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = torch.zeros_like(ids)
    return inputs


def _logits_only(module: Any) -> Any:
    import torch

    class Logits(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
        """The module with its inputs by position and its logits alone."""

        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            return self.module(input_ids=input_ids, attention_mask=attention_mask, return_dict=True, **types).logits

    return Logits().eval()


def _torchscript(module: Any, target: Path) -> None:
    import torch

    def expm1(graph: Any, given: Any) -> Any:  # Apertus' activation, which torch leaves out
        return graph.op("Sub", graph.op("Exp", given), graph.op("Constant", value_t=torch.ones(())))

    torch.onnx.register_custom_op_symbolic("aten::expm1", expm1, OPSET)
    inputs = _inputs(module)
    with torch.inference_mode():
        torch.onnx.export(
            _logits_only(module),
            tuple(inputs.values()),
            str(target),
            input_names=list(inputs),
            output_names=[OUTPUT],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in (*inputs, OUTPUT)},
            opset_version=OPSET,
            dynamo=False,
            autograd_inlining=module.config._attn_implementation != ATTENTION,  # ours is written by its name
        )


def _dynamo(module: Any, target: Path) -> None:
    import torch

    inputs = _inputs(module)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    with torch.inference_mode():
        torch.onnx.export(
            _logits_only(module),
            tuple(inputs.values()),
            str(target),
            input_names=list(inputs),
            output_names=[OUTPUT],
            dynamic_shapes=dict.fromkeys(inputs, axes),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _optimum(module: Any, target: Path) -> None:
    from optimum.exporters.onnx import onnx_export_from_model

    onnx_export_from_model(
        module,
        output=target.parent,
        task="token-classification",
        opset=OPSET,
        do_validation=False,  # slimner compares logits itself, on real token ids
    )


EXPORTERS: Mapping[str, Exporter] = {
    entry.name: entry
    for entry in (
        Exporter(name="torchscript", write=_torchscript, distribution="torch"),
        Exporter(
            name="dynamo",
            write=_dynamo,
            distribution="onnxscript",
            needs=("torch", "transformers", "onnx", "onnxscript"),
        ),
        Exporter(
            name="optimum",
            write=_optimum,
            distribution="optimum-onnx",
            needs=("torch", "transformers", "onnx", "optimum"),
            extra="optimum",
        ),
    )
}
