"""The web page: a handful of static files, read, hashed and compressed once when the server starts.

The files stand in `static/` as they are served. Style, scripts and the icon are addressed below `assets/HASH/`, HASH
being of all of them together, so that they may be cached for a year and still refer to each other by their plain names.
All addresses are relative: the page works behind a proxy that puts the server below a path.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

from flask import Flask, Response, request

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOR_GOOD = "public, max-age=31536000, immutable"
ASK_FIRST = "no-cache"  # may be kept, and costs a 304 to use again


class Asset(NamedTuple):
    """A file as it is sent: its bytes, also gzipped, and its headers."""

    packed: bytes
    kind: str
    cache: str
    tag: str


def assets() -> dict[str, Asset]:
    """Everything of the page by its path below the root, the page itself under the empty path."""
    files = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir()) if path.suffix in KINDS}
    digest = hashlib.sha256()
    for name, body in files.items():
        digest.update(f"{name}\0{len(body)}\0".encode() + body)
    prefix = f"assets/{digest.hexdigest()[:16]}/"
    page = files.pop(INDEX).replace(b'"assets/', f'"{prefix}'.encode())
    found = {prefix + name: pack(name, body, FOR_GOOD) for name, body in files.items()}
    return {"": pack(INDEX, page, ASK_FIRST), **found}


def register(app: Flask) -> None:
    """Add the page at `/` and its files below `/assets/` to an application."""
    files = assets()

    def send(path: str) -> Response:
        asset = files.get(path)
        if asset is None:
            return Response("no such file; the page at / names the present ones\n", 404, mimetype="text/plain")
        return reply(asset)

    app.add_url_rule("/", "page", lambda: send(""), methods=["GET"])
    app.add_url_rule("/assets/<path:name>", "assets", lambda name: send(f"assets/{name}"), methods=["GET"])


def reply(asset: Asset) -> Response:
    """The answer to the current request: gzipped if the client accepts that, 304 if it has the file."""
    packed = request.accept_encodings["gzip"] > 0
    response = Response(asset.packed if packed else gzip.decompress(asset.packed), content_type=asset.kind)
    if packed:
        response.content_encoding = "gzip"
    response.vary.add("Accept-Encoding")
    response.headers["Cache-Control"] = asset.cache
    response.set_etag(asset.tag + ("-gzip" if packed else ""))
    response.make_conditional(request)
    return response


def pack(name: str, body: bytes, cache: str) -> Asset:
    """A file as it will be sent, with the content type of its name."""
    packed = gzip.compress(body, 9, mtime=0)
    return Asset(packed, KINDS[Path(name).suffix], cache, hashlib.sha256(body).hexdigest()[:32])
