"""The WSGI application: texts in, entities out.

    gunicorn -c python:slimner.serve.gunicorn_conf "slimner.serve.app:create_app()"

is what `slimner serve` starts, in an environment that keeps memory small (docs/guide/serve.md). It also says what is
served (see `slimner.serve.settings`).
"""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from ..core.errors import SlimnerError
from . import metrics, page, viewer
from .admission import QueueFullError, TooLongError
from .doors import Doors, behind
from .engine import Engine
from .info import information
from .journal import Journal
from .openapi import document
from .private import Private, handed_on, open_privately
from .problems import PROBLEM_JSON, ProblemError
from .schemas import FORM, MOST_BODY_BYTES, read_question, write_answer
from .settings import Settings, from_environment, plan
from .turns import DeadlineError, GoneError

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

HUNG_UP = 499  # as nginx counts them; it is never sent

_answering: Flask | None = None


class Application(Flask):
    """Flask, with the id of the request beside what went wrong."""

    def log_exception(self, exc_info: Any) -> None:
        self.logger.error("request %s failed", request.environ.get("slimner.id", ""), exc_info=exc_info)


def create_app(directory: str | None = None) -> Flask:
    """The application for a bundle or an artifact, by default what the environment names.

    It is verified at once. The model is opened at once too, to be shared by workers that are forked from here, unless
    the plan says otherwise. Called again in the same process, to reload (SIGHUP), it returns the previous application
    if the new files cannot be served, and logs the reason.
    """
    global _answering  # the application of this process
    try:
        settings = from_environment({**os.environ, **({"SLIMNER_BUNDLE": directory} if directory else {})})
        private = handed_on() or open_privately(settings.bundle)
        try:
            _answering = _create(settings, private)
        except BaseException:
            private.remove()
            raise
    except SlimnerError as error:
        if _answering is None:
            raise
        logging.getLogger("gunicorn.error").error("not reloaded, what was served is served on: %s", error.message)
    return _answering


def _create(settings: Settings, private: Private) -> Flask:
    served = private.served
    planned = plan(settings, served.manifest.size_bytes, served.bundle.session.threads if served.bundle else 1)
    engine = Engine(served, threads=planned.threads, queue=settings.queue, deadline_s=settings.deadline)
    engine.notes += planned.notes
    info = information(served, planned, engine)
    app = Application(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.extensions["slimner"] = engine
    app.extensions["slimner.journal"] = Journal(settings.access_log)
    app.wsgi_app = behind(app.wsgi_app, settings.proxy)  # type: ignore[method-assign, assignment]  # as Flask's docs do it
    doors = Doors(
        host=settings.host,
        token=settings.token,
        allow_host=settings.allow_host,
        allow_origin=settings.allow_origin,
    )
    described = document()

    @app.before_request
    def enter() -> Response | None:
        return doors.check(request)

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in HEADERS.items():  # a page and its files may say otherwise
            response.headers.setdefault(name, value)
        if request.url_rule:
            request.environ["slimner.route"] = request.url_rule.rule
        doors.share(request, response)
        return response

    @app.errorhandler(ProblemError)
    def refuse(problem: ProblemError) -> Response:
        body = problem.encode(request.environ.get("slimner.id", ""))
        return Response(body, problem.status, problem.headers, mimetype=PROBLEM_JSON)

    @app.errorhandler(HTTPException)
    def fail(error: HTTPException) -> Response:
        status = error.code or 500
        problem = ProblemError(status, error.description or "", REMEDIES.get(status, "see /openapi.json"))
        response = refuse(problem)
        for name, value in error.get_headers():
            if name.lower() not in ("content-type", "content-length"):
                response.headers.set(name, value)
        return response

    @app.post("/v1/ner")
    def ner() -> Response:
        texts, single, utf16 = read_question(request.get_data(cache=False))
        metrics.INSIDE.inc(len(texts))
        try:
            answered = engine.answer(texts, request.environ.get("slimner.gone", bool))
        except QueueFullError as full:
            raise ProblemError(
                503, f"{full.texts} texts are already waiting", "try again later", {"Retry-After": str(full.retry_s)}
            ) from None
        except TooLongError as long:
            which = "the request" if long.index is None else f"text {long.index + 1}"
            raise ProblemError(
                422, f"{which} has more than {long.most:,} tokens, the most allowed", "send it in parts"
            ) from None
        except GoneError:
            return Response(status=HUNG_UP)
        except DeadlineError:
            raise ProblemError(
                504, f"not answered within {engine.deadline_s:g} s", "send shorter or fewer texts, or try again later"
            ) from None
        finally:
            metrics.INSIDE.dec(len(texts))
        body = write_answer(texts, answered.results, single=single, utf16=utf16, seconds=answered.seconds)
        response = Response(body, mimetype="application/json")
        response.call_on_close(partial(metrics.answered, len(texts), answered.seconds))  # when it has been sent
        response.call_on_close(engine.sent)
        steps = {f"{step}_ms": round(spent * 1000, 3) for step, spent in answered.seconds.items()}
        request.environ["slimner.told"] = {"texts": len(texts), **steps}
        return response

    @app.get("/v1/info")
    def v1_info() -> Response:
        told = msgspec.structs.replace(info, notes=engine.notes)
        return Response(msgspec.json.encode(told), mimetype="application/json")

    @app.get("/healthz")
    def healthz() -> Any:
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> Any:
        try:
            engine.start()
        except SlimnerError as error:
            raise ProblemError(503, error.message, error.remedy) from None
        return {"status": "ready"}

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.exposition(), content_type=metrics.CONTENT_TYPE)

    @app.get("/openapi.json")
    def openapi() -> Response:
        return Response(described, mimetype="application/json")

    page.register(app)
    viewer.register(app)
    metrics.prepare(rule.rule for rule in app.url_map.iter_rules())
    manifest = served.manifest
    metrics.served(variant=manifest.variant, model=manifest.checkpoint.name)
    if planned.preload and engine.preload():
        private.remove()  # what was mapped stays, and nobody can change it any more
    return app


REMEDIES = {
    400: FORM,
    404: "the routes are listed in /openapi.json",
    405: "the header Allow names the methods",
    413: f"send at most {MOST_BODY_BYTES:,} bytes",
    500: "the log of the server says what happened",
}
