"""The end of every request: counted, and told in the access log, if there is one. Texts are in neither.

A line of the access log is a JSON object with the route in place of the path, in which a client may have put anything.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from . import metrics

HEADER = "X-Request-ID"
ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
STDOUT = 1


class Entry:
    """One request from its first moment: its id, which is the client's own if that is a plain one."""

    __slots__ = ("begun", "client", "id", "method", "received")

    def __init__(self, client: str, method: str = "", given_id: str = "") -> None:
        self.id = given_id if ID.fullmatch(given_id) else secrets.token_hex(16)
        self.client = client
        self.method = method if method in METHODS else "other"
        self.received = 0
        self.begun = time.perf_counter()

    def arrived(self, size: int) -> None:
        """The whole request has arrived, with its body's size in bytes; its time counts from now."""
        self.received = size
        self.begun = time.perf_counter()


class Journal:
    """Counts for Prometheus, and writes the access log to standard output if it is wanted."""

    def __init__(self, access_log: bool) -> None:
        self.access_log = access_log

    def refused(self, entry: Entry, status: int, sent: int) -> None:
        """A request that did not reach the application: malformed, too large, too late, or one too many."""
        self.ended(entry, metrics.REFUSED, status, sent)

    def ended(self, entry: Entry, route: str, status: int, sent: int, told: Mapping[str, Any] | None = None) -> None:
        """An answer of `sent` bytes has been handed over; `told` is what its route adds to the log."""
        seconds = time.perf_counter() - entry.begun
        metrics.count(route, status, seconds)
        if not self.access_log:
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "id": entry.id,
            "client": entry.client,
            "method": entry.method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 3),
            "bytes_in": entry.received,
            "bytes_out": sent,
            **(told or {}),
        }
        with contextlib.suppress(OSError):  # a log that nobody takes any more stops no answer
            os.write(STDOUT, msgspec.json.encode(line) + b"\n")
