"""The cache: files that slimner can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Where artifacts and prepared checkpoints are kept: `$SLIMNER_CACHE`, or `.slimner` in the working directory."""
    return Path(os.environ.get("SLIMNER_CACHE") or ".slimner")
