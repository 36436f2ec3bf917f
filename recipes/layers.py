"""The layers of an encoder: fewer of them for a student, or more for a model that grows while it is trained."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn


def layers_of(model: Any) -> nn.ModuleList:
    """The encoder's layers: the only list of modules as long as the configuration says."""
    wanted = model.config.num_hidden_layers
    lists = [m for m in model.base_model.modules() if isinstance(m, nn.ModuleList) and len(m) == wanted]
    if not lists:
        raise SystemExit(f"{type(model).__name__} has no list of {wanted} layers, so their number cannot change here")
    return lists[0]


def with_layers(model: Any, layers: int) -> Any:
    """A copy of the model with `layers` layers, copies of its own taken evenly from first to last.

    If there are more than before, neighbours begin alike.
    """
    total = model.config.num_hidden_layers
    if layers < 1:
        raise SystemExit(f"--layers is {layers}; a model has at least 1")
    other = copy.deepcopy(model)
    taken = [round(i * (total - 1) / max(1, layers - 1)) for i in range(layers)]
    inside = layers_of(other)
    chosen = [copy.deepcopy(inside[i]) for i in taken]
    del inside[:]
    inside.extend(chosen)
    other.config.num_hidden_layers = layers
    print(f"layers {', '.join(str(i + 1) for i in taken)} of {total} are what the model begins with", flush=True)
    return other
