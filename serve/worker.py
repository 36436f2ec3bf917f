"""The Gunicorn worker: its own ASGI worker, with our connections around its protocol and Flask behind an adapter.

Gunicorn reads and frames HTTP in an event loop, so no client holds a thread while it sends. What is added stands on
few places: the worker's `load_wsgi`, `run` and `notify`, and `create_server` of its event loop.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any

from gunicorn.workers.gasgi import ASGIWorker

from .adapter import Adapter
from .connections import Connection, Connections
from .spread import Listener, Share

OWN_FILES = 32
"""Open files that a worker needs for itself, out of its limit."""

SPARE_THREADS = 5
"""Beside those that wait: the one that is answered, and some that refuse and tell of health."""

SWITCH_S = 0.001
"""How long a thread goes on in Python while another one waits for that, in seconds: the default of 5 ms, several times
a request, is more than a small text takes."""

AT_ONCE = 4
"""Connections that may be accepted beyond the most there may be, before others have made room for them."""


class Worker(ASGIWorker):  # type: ignore[misc]  # Gunicorn has no types
    """Gunicorn's ASGI worker that answers with a Flask application."""

    asgi: Any
    loop: asyncio.AbstractEventLoop  # pyright: ignore[reportIncompatibleVariableOverride]
    factory: Callable[[], Connection]
    _made = 0

    def load_wsgi(self) -> None:
        super().load_wsgi()
        sys.setswitchinterval(SWITCH_S)
        self.engine = self.asgi.extensions["slimner"]
        self.share = Share(self.age)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = max(AT_ONCE, min(self.cfg.worker_connections, files - OWN_FILES))
        self.connections = Connections(most, self.asgi.extensions["slimner.journal"], self.share.tell)
        threads = self.engine.queue.places + SPARE_THREADS
        self.asgi = Adapter(self.asgi, self.connections, threads, self.crowded)

    @property
    def nr_conns(self) -> int:
        """Connections for which the worker waits before it ends; its protocol counts those that are made."""
        return self._made + self.connections.coming if hasattr(self, "connections") else 0

    @nr_conns.setter
    def nr_conns(self, number: int) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._made = number - self.connections.coming if hasattr(self, "connections") else number

    def crowded(self) -> bool:
        """Whether a connection should move to another worker."""
        return not self.alive or self.share.surplus(len(self.connections))

    async def _shutdown(self) -> None:
        self.alive = False  # also when the master is gone
        await super()._shutdown()  # pyright: ignore[reportAttributeAccessIssue]  # Gunicorn has no types

    def notify(self) -> None:
        """Report to the master that the worker is alive, unless the model has not answered for too long."""
        if not self.engine.stuck():
            super().notify()

    def run(self) -> None:
        create_server = self.loop.create_server

        async def guarded(factory: Callable[[], Any], *, sock: socket.socket, **options: Any) -> Any:
            def connection() -> Connection:
                protocol = factory()
                protocol.worker = Steady(self)
                return Connection(protocol, self.connections)

            self.factory = connection
            return await create_server(self.factory, sock=Listener.of(sock, self), **options)

        self.loop.create_server = guarded  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
        self.share.tell(0)
        looking = self.loop.create_task(self.connections.look(lambda: self.alive))
        super().run()
        looking.cancel()

    def number(self) -> int:
        """Connections there are."""
        return len(self.connections)

    def most(self) -> int:
        """How many connections are allowed at this moment."""
        return self.connections.most + AT_ONCE

    def make_room(self) -> object:
        """End one."""
        return self.connections.make_room()

    def accepted(self) -> None:
        """There is one more."""
        self.connections.accepted()

    def late(self, taken: socket.socket) -> None:
        """Serve this connection too, which arrived while the listener was being closed."""
        taken.setblocking(False)
        self.loop.create_task(self.loop.connect_accepted_socket(self.factory, taken))


class Steady:
    """A worker as the HTTP protocol sees it: never about to end.

    A protocol that knows that its worker ends closes the connection after an answer that did not announce it, and a
    client that sends its next request at that moment loses it. Here answers announce it (`Worker.crowded`), and the
    connection closes after the last answer.
    """

    def __init__(self, worker: Worker) -> None:
        self.__dict__["_worker"] = worker

    alive = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._worker, name, value)
