"""Whether an address can be listened at, told before anything is loaded."""

from __future__ import annotations

import os
import socket

from ..core.errors import UserError


def can_listen(host: str, port: int) -> None:
    """UserError if this address cannot be listened at: it is in use, or not of this machine."""
    if os.environ.get("LISTEN_FDS") or os.environ.get("GUNICORN_FD"):
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
            tried.listen()
        except OSError as error:
            raise UserError(
                f"cannot listen on {host} port {port}: {error.strerror or error}",
                "choose another address",
            ) from None
