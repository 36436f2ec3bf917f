"""The server's settings with time stamps in its workers, for `serving.py split`: $STAMPED_OUT gets a file of each."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from slimner.serve import gunicorn_conf
from slimner.serve.connections import CURRENT
from slimner.serve.gunicorn_conf import *  # noqa: F403

STAMPS = 7

_seen: list[tuple[float, ...]] = []
_stamps: list[float] = []  # of the one request that there is at a time


def stamp() -> None:
    """This moment."""
    _stamps.append(time.monotonic())


def post_worker_init(worker: Any) -> None:
    """Put stamps around the application and its engine."""
    gunicorn_conf.post_worker_init(worker)
    adapter, engine = worker.asgi, worker.engine
    application, answer = adapter.application, engine.answer

    async def stamped_adapter(scope: Any, receive: Any, send: Any) -> None:
        _stamps[:] = [CURRENT.get().since]
        stamp()
        await adapter(scope, receive, send)
        stamp()
        if len(_stamps) == STAMPS:  # it asked the model
            _seen.append(tuple(after - before for before, after in itertools.pairwise(_stamps)))

    def stamped_answer(*arguments: Any) -> Any:
        stamp()
        answered = answer(*arguments)
        stamp()
        return answered

    def stamped_application(environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        stamp()
        response: Iterable[bytes] = application(environ, start_response)
        stamp()
        return response

    engine.answer = stamped_answer
    adapter.application = stamped_application
    worker.asgi = stamped_adapter


def worker_exit(server: Any, worker: Any) -> None:
    """Write the seconds of each step of each request."""
    if os.getpid() == worker.pid:
        (Path(os.environ["STAMPED_OUT"]) / f"{worker.pid}.json").write_bytes(msgspec.json.encode(_seen))
    gunicorn_conf.worker_exit(server, worker)
