"""What the studies share: the artifact they look at, and where they write."""

from __future__ import annotations

import datetime
from pathlib import Path

from slimner.core.cache import cache_directory
from slimner.core.machine import describe
from slimner.core.records import Measuring
from slimner.variants import VARIANTS, resolve_checkpoint
from slimner.variants.building import build


def artifact_of(checkpoint: str, variant: str) -> Path:
    """The artifact of a variant, from the cache or built."""
    return build(resolve_checkpoint(checkpoint), VARIANTS.get(variant), cache=cache_directory(), timeout_s=1800)[0].path


def settings(*, samples: int = 200, seed: int = 1) -> Measuring:
    """What `slimner bench` does by default."""
    return Measuring(samples=samples, timeout_s=1800, seed=seed)


def where_and_when() -> str:
    """Machine, libraries and day, in a line."""
    machine = describe()
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    return (
        f"{day}; {machine.cpu}, {machine.cores} cores, {machine.instructions}; "
        f"{machine.memory_bytes / 1e9:.0f} GB; kernel {machine.kernel}; Python {machine.python}; {libraries}."
    )
