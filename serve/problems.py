"""Errors as the client sees them: `application/problem+json` (RFC 9457) with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from ..core.text import encodable

PROBLEM_JSON = "application/problem+json"


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an error; `title` names the kind, `detail` this case, `remedy` what to do."""

    title: str
    status: int
    detail: str
    remedy: str
    request_id: str = ""


class ProblemError(Exception):
    """A request that is not answered, as a status with its reason."""

    def __init__(self, status: int, detail: str, remedy: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.body = Body(
            title=HTTPStatus(status).phrase.lower(), status=status, detail=encodable(detail), remedy=remedy
        )

    def encode(self, request_id: str) -> bytes:
        """The body as JSON, for a request."""
        return msgspec.json.encode(msgspec.structs.replace(self.body, request_id=request_id))
