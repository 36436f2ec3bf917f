"""What `GET /v1/info` tells: what is served, and its measured figures."""

from __future__ import annotations

from typing import Any

import msgspec

from ..core.machine import describe
from .bundle import Served
from .engine import Engine
from .schemas import MOST_BODY_BYTES, MOST_CHARACTERS, MOST_REQUEST_TOKENS, MOST_TEXT_TOKENS, MOST_TEXTS
from .settings import Plan


def information(served: Served, planned: Plan, engine: Engine) -> dict[str, Any]:
    """Plain data; figures that were not measured are null."""
    manifest, bundle = served.manifest, served.bundle
    scores = bundle.scores if bundle else None
    return {
        "model": {
            "name": manifest.checkpoint.name,
            "architecture": manifest.checkpoint.architecture,
            "parameters": manifest.checkpoint.parameters,
            "types": list(manifest.labels.types),
        },
        "variant": manifest.variant,
        "artifact": manifest.name,
        "instructions": {"built": manifest.instructions, "here": describe().instructions},
        "scores": scores
        and {"corpus": scores.corpus, "f1": scores.f1, "f1_low": scores.f1_low, "f1_high": scores.f1_high},
        "measured": msgspec.to_builtins(bundle.measured) if bundle and bundle.measured else None,
        "limits": {
            "text_characters": MOST_CHARACTERS,
            "text_tokens": MOST_TEXT_TOKENS,
            "request_tokens": MOST_REQUEST_TOKENS,
            "texts": MOST_TEXTS,
            "body_bytes": MOST_BODY_BYTES,
        },
        "workers": planned.workers,
        "threads": planned.threads,
        "notes": engine.notes,
    }
