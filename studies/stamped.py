"""The server's settings with time stamps in its workers, for `serving.py split`: $STAMPED_OUT gets a file of each."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from slimner.serve import gunicorn_conf
from slimner.serve.gunicorn_conf import *  # noqa: F403
from slimner.serve.worker import Arriving
from slimner.serve.worker import Worker as Plain

STAMPS = 8

worker_class = "stamped.Worker"
_seen: list[tuple[float, ...]] = []
_now = threading.local()


def stamp() -> None:
    """This moment, for the request that this thread is at."""
    _now.stamps.append(time.perf_counter())


class Worker(Plain):
    """Notes when each step of a request begins."""

    def on_bytes(self, arriving: Arriving, sock: Any) -> None:
        arriving.conn.arrived = time.perf_counter()
        super().on_bytes(arriving, sock)

    def handle(self, conn: Any) -> Any:
        _now.stamps = [conn.arrived]
        stamp()
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        stamp()
        result = super().handle_request(req, conn)
        if len(_now.stamps) == STAMPS:  # it asked the model
            _seen.append(tuple(after - before for before, after in itertools.pairwise(_now.stamps)))
        return result


class Sent:
    """An answer that notes when it has been sent, before what follows it is done."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.answer)

    def close(self) -> None:
        """All of it is out."""
        stamp()
        self.answer.close()


def post_worker_init(worker: Any) -> None:
    """Put stamps around the application and its engine."""
    gunicorn_conf.post_worker_init(worker)
    application, engine = worker.wsgi, worker.wsgi.extensions["slimner"]
    answer = engine.answer

    def stamped_answer(texts: Any) -> Any:
        stamp()
        answered = answer(texts)
        stamp()
        return answered

    def stamped_application(environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        stamp()
        response = application(environ, start_response)
        stamp()
        return Sent(response)

    engine.answer = stamped_answer
    worker.wsgi = stamped_application


def worker_exit(server: Any, worker: Any) -> None:
    """Write the seconds of each step of each request."""
    if os.getpid() == worker.pid:
        (Path(os.environ["STAMPED_OUT"]) / f"{worker.pid}.json").write_bytes(msgspec.json.encode(_seen))
    gunicorn_conf.worker_exit(server, worker)
