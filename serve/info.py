"""What `GET /v1/info` tells: what is served, and its measured figures."""

from __future__ import annotations

import msgspec

from ..core.machine import describe
from .bundle import Measured, Served
from .engine import Engine
from .schemas import MOST_BODY_BYTES, MOST_CHARACTERS, MOST_REQUEST_TOKENS, MOST_TEXT_TOKENS, MOST_TEXTS
from .settings import Plan


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint that was made leaner, and the types of its entities."""

    name: str
    architecture: str
    parameters: int
    types: list[str]


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """Instruction sets that the artifact was built for, and that this machine has."""

    built: str
    here: str


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """F1 on a corpus as a share, with its interval."""

    corpus: str
    f1: float
    f1_low: float
    f1_high: float


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The most that is taken."""

    text_characters: int
    text_tokens: int
    request_tokens: int
    texts: int
    body_bytes: int


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What is served; figures that were not measured are null."""

    model: Model
    variant: str
    artifact: str
    instructions: Instructions
    scores: Scores | None
    measured: Measured | None
    limits: Limits
    workers: int
    threads: int
    notes: list[str]


def information(served: Served, planned: Plan, engine: Engine) -> Info:
    """What the server tells of itself now."""
    manifest, bundle = served.manifest, served.bundle
    scores = bundle.scores if bundle else None
    return Info(
        model=Model(
            name=manifest.checkpoint.name,
            architecture=manifest.checkpoint.architecture,
            parameters=manifest.checkpoint.parameters,
            types=list(manifest.labels.types),
        ),
        variant=manifest.variant,
        artifact=manifest.name,
        instructions=Instructions(built=manifest.instructions, here=describe().instructions),
        scores=Scores(corpus=scores.corpus, f1=scores.f1, f1_low=scores.f1_low, f1_high=scores.f1_high)
        if scores
        else None,
        measured=bundle.measured if bundle else None,
        limits=Limits(
            text_characters=MOST_CHARACTERS,
            text_tokens=MOST_TEXT_TOKENS,
            request_tokens=MOST_REQUEST_TOKENS,
            texts=MOST_TEXTS,
            body_bytes=MOST_BODY_BYTES,
        ),
        workers=planned.workers,
        threads=planned.threads,
        notes=engine.notes,
    )
