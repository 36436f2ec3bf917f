"""Our server as users start it, with two workers, for studies that measure it."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from slimner.bench.load import Load
from slimner.bench.server import Service, family, free_port, gunicorn, memory
from slimner.core.errors import ChildError
from slimner.core.memory import without_thread_caches
from slimner.serve.bundle import open_served
from slimner.serve.settings import python_options

WORKERS = 2
CLIENTS = 5
TIMEOUT_S = 1800.0


class Started(msgspec.Struct):
    """A server, the highest summed PSS while it started, and the seconds until it was ready."""

    service: Service
    peak_bytes: int
    ready_s: float

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.service.url).port or 0


@contextlib.contextmanager
def started(directory: Path, stamps: Path | None = None) -> Iterator[Started]:
    """Our server with two workers, watched from its first moment; it stamps the steps of requests if told where to."""
    port = free_port()
    command, environment = gunicorn(directory, workers=WORKERS, preload=True, threads=1)
    if stamps:
        command = [sys.executable, "-P", *python_options(open_served(directory).manifest.variant), "-m", "gunicorn"]
        command += ["-c", "python:stamped", "slimner.serve.app:create_app()"]
        environment |= {"SLIMNER_BUNDLE": str(directory), "SLIMNER_PORT_NUMBER": str(port)}
        environment |= {"SLIMNER_WORKERS": str(WORKERS)}
        environment |= {"STAMPED_OUT": str(stamps), "PYTHONPATH": str(Path(__file__).parent), "SLIMNER_THREADS": "1"}
        environment = without_thread_caches({**os.environ, **environment})
    with tempfile.TemporaryFile() as output:
        begun = time.monotonic()
        process = subprocess.Popen(
            [part.replace("{port}", str(port)) for part in command],
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            peak, ready_s = 0, 0.0
            while time.monotonic() < begun + 60 and process.poll() is None:
                found = memory(family(process.pid))
                peak = max(peak, found.pss_bytes if found else 0)
                if not ready_s and found and found.processes == WORKERS + 1 and is_ready(port):
                    ready_s = time.monotonic() - begun
                if ready_s and time.monotonic() > begun + ready_s + 1:
                    break
            if not ready_s:
                output.seek(0)
                raise ChildError("the server did not come up", "crashed", output.read().decode("utf-8", "replace"))
            yield Started(Service(process.pid, f"http://127.0.0.1:{port}/v1/ner", WORKERS), peak, ready_s)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(40)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def is_ready(port: int) -> bool:
    """Whether /readyz says so."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def load_of(target: str, texts: str, expected: tuple[object, ...], most: int = 1_000_000) -> Load:
    """What is asked."""
    return Load(target=target, workload=texts, expected=expected, most=most, timeout_s=TIMEOUT_S)
