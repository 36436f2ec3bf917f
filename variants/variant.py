"""The plugin interface: what a variant is, and the registry of all installed ones."""

from __future__ import annotations

import abc
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable

import msgspec
import numpy as np

from ..core.install import install_hint
from ..core.registry import Registry
from .checkpoints import Checkpoint

# Token ids of one window, shape (tokens,), to logits, shape (tokens, labels), float32.
Model = Callable[[np.ndarray], np.ndarray]


@runtime_checkable
class BatchModel(Protocol):
    """A model that also takes several windows in one run."""

    def __call__(self, ids: np.ndarray, /) -> np.ndarray:
        """Logits of one window."""
        ...

    def together(self, windows: Sequence[np.ndarray], /) -> list[np.ndarray]:
        """Logits of each window, from one run."""
        ...


Batching = Literal["packed", "equal_length", "alone"]
"""Which windows may share a run without any bit of an answer changing: any, those of one length, or none."""

# Exporters are in exporting.py.
DEFAULT_EXPORTER = "torchscript"


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What a build does otherwise than by default: layers that stay in FP32, and fusions of onnxruntime that are made
    though they are slow at most sizes."""

    fp32: tuple[str, ...] = ()
    fused: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What differs, in words; empty for the default."""
        parts = [f"{', '.join(self.fp32)} in FP32"] if self.fp32 else []
        return "; ".join([*parts, *self.fused])

    def joined(self, other: Tuning) -> Tuning:
        """Both changes in one."""
        fp32, fused = dict.fromkeys((*self.fp32, *other.fp32)), dict.fromkeys((*self.fused, *other.fused))
        return Tuning(fp32=tuple(fp32), fused=tuple(fused))


class BuildContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a build gets: the checkpoint, a directory to fill, whether this processor's integer dot products take
    eight-bit weights without saturating (VNNI and the like; plain AVX2 does not), the name of the exporter that
    writes ONNX graphs, and what `slimner tune` tries."""

    checkpoint: Checkpoint
    directory: Path
    wide_dot_products: bool
    exporter: str = DEFAULT_EXPORTER
    tuning: Tuning = Tuning()


class Variant(abc.ABC):
    """A named way to build and run a checkpoint. Subclass it, and register one instance under `slimner.variants`.

    A module that defines a variant is imported when variants are listed: keep heavy imports inside the methods.
    """

    name: ClassVar[str]
    backend: ClassVar[str]
    precision: ClassVar[str]
    summary: ClassVar[str]
    build_needs: ClassVar[Sequence[str]] = ()
    """Modules that building imports besides those that running imports."""
    run_needs: ClassVar[Sequence[str]] = ()
    """Modules that running imports, in order; each is a stage of its own in the memory ledger."""
    exports: ClassVar[bool] = False
    """Whether it is built from a graph that `exporting.exported` writes; the exporter is then part of its identity."""
    imports: ClassVar[bool] = False
    """Whether it takes in a graph of the checkpoint's directory, which then is part of its identity."""
    session: ClassVar[Mapping[str, str]] = {}
    """Options with which the back end runs the model, beside the threads; a bundle records them."""
    concurrent: ClassVar[bool] = False
    """Whether several threads may run its model at once; a server then runs a short text beside a long one."""
    forks: ClassVar[bool] = True
    """Whether a model loaded by one process may answer in a fork of it, which is tried; False spares trying."""
    complexity: ClassVar[int] = 0
    """How much there is to understand, install and go wrong in deployment; of variants that tie, the lower one wins."""

    extra: ClassVar[str] = "lab"
    """The extra of slimner, or of the plugin's distribution, that installs what it needs."""
    standard: ClassVar[bool] = True
    """Whether a run that names no variants takes it; others must be named."""

    @abc.abstractmethod
    def build(self, context: BuildContext) -> Batching | None:
        """Write the model's files into `context.directory`; tokenizer and manifest are added by the caller.

        What it returns is how windows may share a run, if its model is a `BatchModel` and this is what its graph was
        made for. It is tried before it is believed; None is "alone".
        """

    @abc.abstractmethod
    def load(self, directory: Path, threads: int) -> Model:
        """The model of an artifact directory, ready to be called, limited to `threads` threads."""

    def missing(self, *, building: bool) -> list[str]:
        """Modules that this variant needs and this install lacks; nothing is imported."""
        needs = (*self.run_needs, *self.build_needs) if building else self.run_needs
        roots = dict.fromkeys(need.partition(".")[0] for need in needs)
        return [root for root in roots if importlib.util.find_spec(root) is None]


VARIANTS: Registry[Variant] = Registry("variant", "slimner.variants", Variant)


def remedy(variant: Variant, missing: Sequence[str]) -> str:
    """How to install what a variant lacks: an extra of slimner for its own, the modules themselves for a plugin's."""
    distribution, _ = VARIANTS.distribution(variant.name)
    if distribution in ("", "slimner"):
        return install_hint(variant.extra)
    return f"install what {distribution} needs for it: pip install {' '.join(missing)}"
