"""The WSGI application: one artifact, texts in, entities out.

Started by Gunicorn: `SLIMNER_ARTIFACT=DIR gunicorn "slimner.serve.app:create_app()"`, with `--preload` to open the
artifact once, before the workers are forked.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from flask import Flask, Response, request

from ..core.errors import UserError
from ..variants import Entity, open_predictor

ARTIFACT = "SLIMNER_ARTIFACT"
THREADS = "SLIMNER_THREADS"


class Question(msgspec.Struct, frozen=True):
    """The body of a request."""

    text: str


class Answer(msgspec.Struct, frozen=True):
    """The body of an answer; offsets count code points."""

    entities: list[Entity]


def create_app(artifact: str | None = None) -> Flask:
    """The application for an artifact directory, by default the one in `$SLIMNER_ARTIFACT`; opened at once."""
    directory = artifact or os.environ.get(ARTIFACT)
    if not directory:
        raise UserError("no artifact to serve", f"set {ARTIFACT} to a directory made by slimner build")
    predict = open_predictor(Path(directory), threads=int(os.environ.get(THREADS, "1")))
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20

    @app.post("/v1/ner")
    def ner() -> Response:
        try:
            question = msgspec.json.decode(request.get_data(), type=Question)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            problem = {"title": "malformed request", "status": 400, "detail": f'{error}; send {{"text": "..."}}'}
            return Response(msgspec.json.encode(problem), 400, mimetype="application/problem+json")
        return Response(msgspec.json.encode(Answer(predict(question.text))), mimetype="application/json")

    @app.get("/healthz")
    def healthz() -> Response:
        return Response('{"status":"ok"}', mimetype="application/json")

    return app
