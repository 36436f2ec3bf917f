"""Checkpoints, variants and artifacts; `open_predictor` alone loads models. Importing this does not import torch."""

from .artifacts import Artifact, Manifest, read_manifest, verify
from .checkpoints import Checkpoint, resolve_checkpoint
from .configuration import LoadOptions
from .predictor import Entity, Predictor, open_predictor
from .reading import Reader
from .variant import VARIANTS, Model, Variant

__all__ = [
    "VARIANTS",
    "Artifact",
    "Checkpoint",
    "Entity",
    "LoadOptions",
    "Manifest",
    "Model",
    "Predictor",
    "Reader",
    "Variant",
    "open_predictor",
    "read_manifest",
    "resolve_checkpoint",
    "verify",
]
