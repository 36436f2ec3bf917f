"""Gunicorn's settings: `gunicorn -c python:slimner.serve.gunicorn_conf "slimner.serve.app:create_app()"`.

Evaluated in the master before anything of the application is imported. What is set here comes from the environment
(see `slimner.serve.settings`); options on Gunicorn's own command line go before it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from types import TracebackType
from typing import Any

from ..core.errors import SlimnerError
from ..core.machine import thread_environment
from ..core.memory import bound_heap

SHARED_MEMORY = "/dev/shm"


def _say(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """An error that was raised on purpose is told in two lines."""
    if isinstance(error, SlimnerError):
        sys.stderr.write(f"error {error.message}\n      {error.remedy}\n")
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = _say
bound_heap()
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # or onnxruntime tries to reach its makers, and holds up the end
os.environ.update(thread_environment(1))  # before numpy is imported, whose pool of threads nothing here needs

_directory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
_metrics = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="slimner-", dir=_directory)
_master = os.getpid()


@atexit.register
def _remove() -> None:
    if os.getpid() == _master:
        shutil.rmtree(_metrics, ignore_errors=True)


from . import settings as _settings  # noqa: E402
from .bundle import open_served as _open_served  # noqa: E402

try:
    _given = _settings.from_environment()
    _served = _open_served(_given.bundle)
except SlimnerError as _error:
    _say(type(_error), _error, None)
    sys.exit(_error.exit_code)
_planned = _settings.plan(_given, _served.manifest.size_bytes, _served.bundle.session.threads if _served.bundle else 1)
os.environ.update(thread_environment(_planned.threads))

bind = _given.bind
workers = _planned.workers
preload_app = _planned.preload
worker_class = "slimner.serve.worker.Worker"
threads = _given.queue + 5  # those that wait, the one that is answered, and some that refuse and tell of health
worker_connections = 512
backlog = 512
keepalive = 15
timeout = 60
graceful_timeout = 30
worker_tmp_dir = _directory
control_socket_disable = True
errorlog = "-"
accesslog = None
loglevel = os.environ.get("SLIMNER_LOG_LEVEL", "info")
proc_name = "slimner"


def post_worker_init(worker: Any) -> None:
    """The worker has the application: prove its model."""
    worker.wsgi.extensions["slimner"].start()


def worker_exit(server: Any, worker: Any) -> None:
    """The worker has ended: go at once. Libraries loaded before the fork may wait for threads that are not here."""
    if os.getpid() == _master:  # it tells the hook of workers that were gone before it could end them
        return
    error = sys.exc_info()[1]
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 0)


def child_exit(server: Any, worker: Any) -> None:
    """A worker is gone: its gauges and its connections too."""
    from . import metrics
    from .worker import gone

    metrics.worker_died(worker.pid)
    gone(worker)
