"""Who may ask: the name a server was asked by, the page that asks, the token, and the form of what is sent.

A browser carries requests of any web page to a server on this machine. What it says about them cannot be forged by the
page: the host in the address, and where the page comes from. So both are checked, also where no token is asked for.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..core.errors import UserError
from .problems import ProblemError

if TYPE_CHECKING:  # who reads settings needs no Flask
    from flask import Request, Response

PUBLIC = frozenset({"page", "assets", "docs", "docs_file", "healthz", "readyz", "openapi"})
"""Endpoints that need no token and may be linked from other pages. All others are closed."""

ANY = "*"
SHORT_TOKEN = 16
LOG_EVERY_S = 10.0
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{0,5})?")
NAME = re.compile(r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def hosts(text: str) -> tuple[str, ...]:
    """Names of hosts, in small letters; ValueError names what is none."""
    return _each(text.lower(), NAME, "is not the name of a host, such as ner.example.org or .example.org")


def origins(text: str) -> tuple[str, ...]:
    """Origins of web pages; ValueError names what is none."""
    return _each(text.lower(), ORIGIN, "is not an origin, such as https://example.org")


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks; ValueError names what is none."""
    return tuple(ipaddress.ip_network(one) for one in _words(text))


def _each(text: str, form: re.Pattern[str], why: str) -> tuple[str, ...]:
    found = _words(text)
    for one in found:
        if not form.fullmatch(one):
            raise ValueError(f"'{one}' {why}")
    return found


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def local(host: str) -> bool:
    """Whether only programs of this machine reach an address."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def check_token(token: str, host: str) -> str:
    """What is to be said about a token, "" if nothing; UserError if it is too short for an address others reach."""
    if not token or len(token) >= SHORT_TOKEN:
        return ""
    told = f"the token is short: {len(token)} character{'s' if len(token) > 1 else ''}, {SHORT_TOKEN} are the least"
    remedy = 'make one: python -c "import secrets; print(secrets.token_urlsafe(32))"'
    if not local(host):
        raise UserError(f"{told} where other machines can reach the server", remedy)
    return f"{told} for any address but this machine's own"


class Doors:
    """The checks that every request must pass before it is answered."""

    def __init__(
        self, *, host: str, token: str, allow_host: tuple[str, ...] = (), allow_origin: tuple[str, ...] = ()
    ) -> None:
        self.host = host.lower()
        self.here = local(host)
        self.token = token.encode()
        self.allow_host = allow_host
        self.allow_origin = allow_origin
        self.wrong = WrongTokens()

    def check(self, request: Request) -> Response | None:
        """The answer to a browser's question beforehand, None for others; ProblemError if one may not ask."""
        self._check_host(request)
        origin = self._check_origin(request)
        if origin and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            from flask import Response

            return Response(status=204, headers=PREFLIGHT)
        if self.token and request.endpoint not in PUBLIC:
            self._check_token(request)
        if request.method == "POST":
            _check_body(request)
        return None

    def share(self, request: Request, response: Response) -> None:
        """Let the page that asked read the answer, if its origin was allowed."""
        if not self.allow_origin:
            return
        response.vary.add("Origin")
        if origin := self._allowed(request.headers.get("Origin", "")):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "Retry-After, X-Request-ID"

    def _check_host(self, request: Request) -> None:
        given = request.environ.get("HTTP_HOST", "")
        if not given and request.environ["SERVER_PROTOCOL"] == "HTTP/1.0":
            return
        found = HOST.fullmatch(given)
        if not found:
            raise ProblemError(400, "no valid header Host", "send one: Host: NAME")
        name = found[1].lower().rstrip(".")
        if not self._known(name):
            raise ProblemError(
                421,
                f"this server does not accept the host name {name}",
                f"start it with --allow-host {name} if it is",
            )

    def _known(self, name: str) -> bool:
        """Whether a host name is accepted. Names without a dot cannot be registered, so no web page can use one."""
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(name.strip("[]"))
            return not self.here or address.is_loopback or str(address) in self.allow_host
        if "." not in name or name.endswith(".localhost") or name == self.host:
            return True
        return any(one in (ANY, name) or (one.startswith(".") and name.endswith(one)) for one in self.allow_host)

    def _check_origin(self, request: Request) -> str:
        """The origin of another page that may ask, "" if no other page asks; ProblemError if it may not."""
        origin = request.headers.get("Origin", "")
        if allowed := self._allowed(origin):
            return allowed
        site = request.headers.get("Sec-Fetch-Site", "")
        if site in ("same-origin", "none") or not (origin or site):
            return ""
        if origin and _authority(origin) == request.environ.get("HTTP_HOST", "").lower():
            return ""
        if request.endpoint in PUBLIC and request.method in ("GET", "HEAD"):
            return ""
        raise ProblemError(
            403,
            f"a page of another site may not use this server: {origin or site}",
            f"start the server with --allow-origin {origin or 'ORIGIN'} if it should",
        )

    def _allowed(self, origin: str) -> str:
        if ANY in self.allow_origin:
            return ANY if origin else ""
        return origin if origin.lower() in self.allow_origin else ""

    def _check_token(self, request: Request) -> None:
        given = request.headers.get("Authorization", "").encode("latin-1")  # as WSGI hands over its bytes
        scheme, _, token = given.partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(token, self.token):
            return
        if given:
            self.wrong.tell(request.remote_addr or "")
        raise ProblemError(
            401, "no valid token", "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
        )


PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Request-ID",
    "Access-Control-Max-Age": "600",
}


def _authority(origin: str) -> str:
    with contextlib.suppress(ValueError):
        return urlsplit(origin).netloc.lower()
    return ""


def _check_body(request: Request) -> None:
    """ProblemError if what is sent is not JSON as it is; without a type it is taken for that."""
    kind = request.mimetype
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if "Content-Type" in request.headers and (
        not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")))
        or charset not in ("utf-8", "utf8")
    ):
        raise ProblemError(
            415, f"a body of type {kind[:80] or 'unknown'}", "send JSON in UTF-8, with Content-Type: application/json"
        )
    coding = request.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity":
        raise ProblemError(415, f"a body encoded as {coding[:80]}", "send it plain", {"Accept-Encoding": "identity"})


class WrongTokens:
    """Says in the log that wrong tokens are tried: the first at once, then how many at most every ten seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._told = -LOG_EVERY_S

    def tell(self, address: str) -> None:
        """One more, from this address."""
        with self._lock:
            self._count += 1
            now = time.monotonic()
            if now - self._told < LOG_EVERY_S:
                return
            count, self._count, self._told = self._count, 0, now
        logging.getLogger("gunicorn.error").warning(
            "401: %d request%s with a wrong token, the last from %s", count, "s" if count > 1 else "", address
        )


def behind(application: Application, proxies: tuple[Network, ...]) -> Application:
    """The application, told by `X-Forwarded-...` who asked for what, where a proxy that was named says so."""
    if not proxies:
        return application
    from werkzeug.middleware.proxy_fix import ProxyFix

    told = ProxyFix(application, x_for=1, x_proto=1, x_host=1, x_prefix=1)

    def choose(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(environ["REMOTE_ADDR"])
            address = getattr(address, "ipv4_mapped", None) or address
            if any(address in network for network in proxies):
                return told(environ, start_response)
        return application(environ, start_response)

    return choose
