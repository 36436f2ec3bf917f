"""The WSGI application: one artifact, texts in, entities out.

Started by Gunicorn: `SLIMNER_ARTIFACT=DIR gunicorn "slimner.serve.app:create_app()"`, with `--preload` to open the
artifact once, before the workers are forked.
"""

from __future__ import annotations

import hmac
import os
import time
from pathlib import Path
from typing import Any, Literal

import msgspec
from flask import Flask, Response, request

from ..core.errors import UserError
from ..core.machine import describe
from ..variants import Entity, open_predictor
from ..variants.artifacts import read_manifest
from . import page

ARTIFACT = "SLIMNER_ARTIFACT"
THREADS = "SLIMNER_THREADS"
TOKEN = "SLIMNER_TOKEN"

MOST_CHARACTERS = 20_000
MOST_BYTES = 1 << 20

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class Question(msgspec.Struct, frozen=True):
    """The body of a request."""

    text: str
    offsets: Literal["code_points", "utf16"] = "code_points"


class Answer(msgspec.Struct, frozen=True):
    """The body of an answer; offsets count what was asked for."""

    entities: list[Entity]
    ms: float


def create_app(artifact: str | None = None) -> Flask:
    """The application for an artifact directory, by default the one in `$SLIMNER_ARTIFACT`; opened at once."""
    directory = artifact or os.environ.get(ARTIFACT)
    if not directory:
        raise UserError("no artifact to serve", f"set {ARTIFACT} to a directory made by slimner build")
    threads = int(os.environ.get(THREADS, "1"))
    manifest = read_manifest(Path(directory))
    predict = open_predictor(Path(directory), threads=threads)
    token = os.environ.get(TOKEN, "")
    information = msgspec.json.encode(
        {
            "model": {
                "name": manifest.checkpoint.name,
                "architecture": manifest.checkpoint.architecture,
                "parameters": manifest.checkpoint.parameters,
                "types": manifest.labels.types,
            },
            "variant": manifest.variant,
            "artifact": manifest.name,
            "instructions": {"built": manifest.instructions, "here": describe().instructions},
            "scores": None,
            "measured": None,
            "limits": {"text_characters": MOST_CHARACTERS, "texts": 1, "body_bytes": MOST_BYTES},
            "workers": 1,
            "threads": threads,
            "notes": [],
        }
    )
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES

    @app.before_request
    def allowed() -> Response | None:
        if not token or not request.path.startswith("/v1/"):
            return None
        if hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
            return None
        return _problem(401, "token needed", "send Authorization: Bearer TOKEN")

    @app.after_request
    def secured(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @app.post("/v1/ner")
    def ner() -> Response:
        start = time.perf_counter()
        try:
            question = msgspec.json.decode(request.get_data(), type=Question)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return _problem(400, "malformed request", f'{error}; send {{"text": "..."}}')
        if len(question.text) > MOST_CHARACTERS:
            return _problem(422, "text too long", f"send at most {MOST_CHARACTERS:,} characters")
        entities = predict(question.text)
        if question.offsets == "utf16":
            entities = [_in_utf16(entity, question.text) for entity in entities]
        ms = (time.perf_counter() - start) * 1000
        return Response(msgspec.json.encode(Answer(entities, round(ms, 3))), mimetype="application/json")

    @app.get("/v1/info")
    def info() -> Response:
        return Response(information, mimetype="application/json")

    @app.get("/healthz")
    def healthz() -> Response:
        return Response('{"status":"ok"}', mimetype="application/json")

    page.register(app)
    return app


def _in_utf16(entity: Entity, text: str) -> Entity:
    def units(to: int) -> int:
        return to + sum(character > "\uffff" for character in text[:to])

    return msgspec.structs.replace(entity, start=units(entity.start), end=units(entity.end))


def _problem(status: int, title: str, detail: str) -> Response:
    problem: dict[str, Any] = {"title": title, "status": status, "detail": detail}
    return Response(msgspec.json.encode(problem), status, mimetype="application/problem+json")
