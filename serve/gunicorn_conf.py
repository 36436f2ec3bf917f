"""Gunicorn's settings: `gunicorn -c python:slimner.serve.gunicorn_conf "slimner.serve.app:create_app()"`.

Evaluated in the master before anything of the application is imported. What is set here comes from the environment
(see `slimner.serve.settings`); options on Gunicorn's own command line go before it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from types import TracebackType
from typing import Any

from ..core.errors import SlimnerError
from ..core.machine import thread_environment
from ..core.memory import bound_heap

SHARED_MEMORY = "/dev/shm"
FAILED = 4
"""Exit code of a server that cannot continue."""

STEADY_S = 10.0
MOST_BACKOFF_S = 8.0


def _say(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Log a foreseen error in two lines: message and remedy."""
    if isinstance(error, SlimnerError):
        sys.stderr.write(f"error {error.message}\n      {error.remedy}\n")
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = _say
bound_heap()
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or onnxruntime tries to reach its makers, and holds up the end
os.environ.update(thread_environment(1))  # before numpy is imported, whose pool of threads nothing here needs

_master = os.getpid()

from . import settings as _settings  # noqa: E402
from .listening import can_listen as _can_listen  # noqa: E402
from .private import hand_on as _hand_on  # noqa: E402
from .private import handed_on as _handed_on  # noqa: E402
from .private import open_privately as _open_privately  # noqa: E402

try:
    _given = _settings.from_environment()
    _can_listen(_given.host, _given.port)
    _private = _open_privately(_given.bundle)
except SlimnerError as _error:
    _say(type(_error), _error, None)
    sys.exit(_error.exit_code)
_hand_on(_private)
_served = _private.served
_planned = _settings.plan(_given, _served.manifest.size_bytes, _served.bundle.session.threads if _served.bundle else 1)
os.environ.update(thread_environment(_planned.threads))
del _private

bind = _given.bind
workers = _planned.workers
preload_app = _planned.preload
worker_class = "slimner.serve.worker.Worker"
header_map = "refuse"  # a name with _ may pass for another with -
forwarder_headers = ""
forwarded_allow_ips = ""  # `slimner.serve.doors` believes the proxies that were named
asgi_loop = "asyncio"
asgi_lifespan = "off"
asgi_disconnect_grace_period = 3600  # the engine notices that a client is gone, and ends its work in order
worker_connections = 512
backlog = 512
keepalive = 60  # `slimner.serve.connections` ends what idles
timeout = max(5, min(15, int(_given.deadline / 2)))  # until a worker that hangs is replaced
graceful_timeout = 60
worker_tmp_dir = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None  # removed as soon as they are made
control_socket_disable = True
errorlog = "-"
accesslog = None
loglevel = os.environ.get("SLIMNER_LOG_LEVEL", "info")
proc_name = "slimner"

_early_deaths = 0


def pre_request(worker: Any, request: Any) -> None:
    """Nothing: the default logs the decoded path, in which a client may have put line feeds."""


def on_starting(server: Any) -> None:
    """SIGUSR2 starts another server at the same address, by the command that started this one."""
    server.START_CTX.update({0: sys.executable, "args": list(sys.orig_argv)})


def on_reload(server: Any) -> None:
    """SIGHUP: the bundle that is there now, for the workers that are about to begin; or the one of before."""
    if preload_app:
        gc.unfreeze()
        server.app.callable = None  # Gunicorn keeps what it loaded once
        server.app.wsgi()
        gc.collect()
        gc.freeze()
        return
    try:
        private = _open_privately(_given.bundle)
    except SlimnerError as error:
        server.log.error("not reloaded, what was served is served on: %s", error.message)
        return
    if before := _handed_on():
        before.remove()  # its workers have opened it
    _hand_on(private)


def pre_fork(server: Any, worker: Any) -> None:
    """A worker is about to begin."""
    worker.begun = time.monotonic()
    worker.backoff_s = min(MOST_BACKOFF_S, 0.25 * 2**_early_deaths) if _early_deaths > 1 else 0.0


def post_fork(server: Any, worker: Any) -> None:
    """The worker's process: counts in its own row, and waits when others before it died soon after they began."""
    from . import shared
    from .orphans import end_with

    end_with(worker.ppid)
    shared.enter(worker.age)
    if worker.backoff_s:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(worker.backoff_s)


def post_worker_init(worker: Any) -> None:
    """The worker has the application: its model is checked before the first request."""
    try:
        worker.engine.start()
    except SlimnerError as error:
        _say(type(error), error, None)
        sys.exit(3)  # Gunicorn ends all then; another worker would fail as this one did


def worker_exit(server: Any, worker: Any) -> None:
    """The worker has ended: go at once. Libraries loaded before the fork may wait for threads that are not here."""
    if os.getpid() == _master:  # it tells the hook of workers that were gone before it could end them
        return
    error = sys.exc_info()[1]
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 0)


def child_exit(server: Any, worker: Any) -> None:
    """A worker is gone: its gauges and its connections too. One that others have replaced already was told to end."""
    global _early_deaths  # of this master
    from . import shared
    from .spread import Share

    shared.forget(worker.age)
    Share(worker.age).leave()
    if len(server.WORKERS) < server.num_workers:
        _early_deaths = _early_deaths + 1 if time.monotonic() - worker.begun < STEADY_S else 0
