"""Servers as processes: starting one, finding those who listen, adding up the memory of master and workers."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ..core.errors import ChildError
from ..core.ledger_records import Processes
from ..core.machine import thread_environment
from ..core.memory import read_stage, since_start_s
from ..core.together import together_bytes

SETTLED_SHARE = 0.005
SETTLED_S = 1.0


class Service(msgspec.Struct, frozen=True):
    """A server that answers."""

    process: int
    url: str
    workers: int

    def memory(self) -> Processes:
        """Master and workers now; ChildError if they have ended or the kernel gives no PSS."""
        found = memory(family(self.process))
        if found is None:
            raise ChildError(
                "the server's memory could not be read: it has ended, or this kernel gives no PSS", "crashed"
            )
        return found


def gunicorn(artifact: Path, *, workers: int, preload: bool, threads: int) -> tuple[list[str], dict[str, str]]:
    """Command and environment of our server over an artifact or a bundle, started as users start it.

    The port is filled in for `{port}`.
    """
    command = [sys.executable, "-P", "-c", "from slimner.cli.main import main; main()", "serve", str(artifact)]
    command += ["--port", "{port}", "--workers", str(workers), "--threads", str(threads)]
    return command, {**thread_environment(threads), "SLIMNER_PRELOAD": str(int(preload))}


@contextlib.contextmanager
def serving(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    workers: int,
    path: str = "/v1/ner",
    health: str = "/healthz",
    prefix: Sequence[str] = (),
    timeout_s: float,
) -> Iterator[Service]:
    """A started server that answers and whose workers have all loaded; ended with everything it started.

    ChildError with the end of what it wrote if it does not come up in time.
    """
    port = free_port()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*prefix, *(part.replace("{port}", str(port)) for part in command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        try:
            service = Service(process.pid, f"http://127.0.0.1:{port}{path}", workers)
            if not _comes_up(process, f"http://127.0.0.1:{port}{health}", workers, timeout_s):
                output.seek(0)
                tail = output.read().decode("utf-8", "replace").strip().splitlines()[-12:]
                ended = (
                    f"exit code {process.returncode}" if process.poll() is not None else f"no answer in {timeout_s:g} s"
                )
                raise ChildError(f"the server did not start: {ended}", "crashed", "\n".join(tail))
            yield service
        finally:
            _stop(process)


def free_port() -> int:
    """A port of the loopback address that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _comes_up(process: subprocess.Popen[bytes], health: str, workers: int, timeout_s: float) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and process.poll() is None:
        if _healthy(health) and len(family(process.pid)) > workers:
            return _settles(process, end)
        time.sleep(0.05)
    return False


def _healthy(url: str) -> bool:
    """Whether a GET is answered with 200; straight, whatever proxy the environment names."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=2)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _settles(process: subprocess.Popen[bytes], end: float) -> bool:
    """Wait until the summed PSS has stayed for a second: every worker has loaded."""
    level, since = 0, time.monotonic()
    while time.monotonic() < end and process.poll() is None:
        found = memory(family(process.pid))
        now = found.pss_bytes if found else 0
        if abs(now - level) > SETTLED_SHARE * level:
            level, since = now, time.monotonic()
        elif time.monotonic() - since > SETTLED_S:
            return True
        time.sleep(0.1)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
    finally:  # a second Ctrl-C comes here too
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def family(process: int) -> list[int]:
    """A process and all its descendants, itself first."""
    import psutil

    try:
        root = psutil.Process(process)
        return [process, *(child.pid for child in root.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def memory(processes: Sequence[int]) -> Processes | None:
    """Memory of processes together, the first of which is the master; those that have just ended are left out.

    None if all have ended, or where the kernel gives no PSS.
    """
    stages, lasting = [], []
    for process in processes:
        with contextlib.suppress(OSError):
            stages.append(read_stage("now", process))
            lasting.append(process)
    if not stages or any(stage.pss_bytes is None for stage in stages):
        return None
    together = None
    with contextlib.suppress(OSError):  # no pagemap here, or one of them has just ended
        together = together_bytes(lasting)
    own = [stage.uss_bytes or 0 for stage in stages[1:]]
    return Processes(
        processes=len(stages),
        pss_bytes=sum(stage.pss_bytes or 0 for stage in stages),
        rss_bytes=sum(stage.rss_bytes for stage in stages),
        master_pss_bytes=(stages[0].pss_bytes or 0) if stages else 0,
        own_bytes=int(statistics.fmean(own)) if own else 0,
        memory_bytes=together,
    )


def listeners(url: str) -> list[int]:
    """Processes on this machine that hold the listening socket of a URL, oldest first; none if it is elsewhere."""
    parts = urllib.parse.urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return []
    port = parts.port or (443 if parts.scheme == "https" else 80)
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    holders = [int(path.name) for path in Path("/proc").glob("[0-9]*") if sockets & _open_files(path)]
    ages: dict[int, float] = {}
    for holder in holders:
        with contextlib.suppress(OSError):  # just gone
            ages[holder] = since_start_s(holder)
    return sorted(ages, key=ages.__getitem__, reverse=True)


def _listening(port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on a port."""
    listen = "0A"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == listen and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _open_files(process: Path) -> set[str]:
    found: set[str] = set()
    with contextlib.suppress(OSError):  # not ours, or just gone
        for handle in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(handle))
    return found
