"""`/docs`: the OpenAPI document as a page, by a viewer that others keep and that comes with us (`viewer/README.md`).

Its files are large and rarely requested, so they are read and compressed at the first request.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from flask import Flask, Response, abort

from .page import ASK_FIRST, Asset, pack, reply

VIEWER = Path(__file__).parent / "viewer"
INDEX = "index.html"
FILES = ("start.js", "swagger-ui-bundle.js", "swagger-ui.css")


def register(app: Flask) -> None:
    """Add the page at `/docs` and its files below it to an application."""

    def file(name: str) -> Response:
        if name not in FILES:
            abort(404)
        return reply(_asset(name))

    app.add_url_rule("/docs", "docs", lambda: reply(_asset(INDEX)), methods=["GET"])
    app.add_url_rule("/docs/<name>", "docs_file", file, methods=["GET"])


@cache
def _asset(name: str) -> Asset:
    return pack(name, (VIEWER / name).read_bytes(), ASK_FIRST)
