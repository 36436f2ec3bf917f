"""One job in one fresh process: a specification goes in, a record comes out.

A job is a module-level function with annotated parameters and result: `child.call(function, argument, ...)` says what
to do, `.run(timeout_s=...)` does it. The parent writes `{"job": "module:function", "arguments": {...}}`, starts
`python -m slimner.core.child`, and sleeps until the process ends. The child converts the arguments to their annotated
types, calls the function and writes what it returns, whole or not at all. Whatever goes wrong becomes a ChildError that
says how: raised, crashed, killed, timed-out or no-record.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

import msgspec

from . import errors
from .errors import ChildError, SlimnerError, UnknownNameError, UserError
from .store import write_bytes
from .text import encodable

T = TypeVar("T")
P = ParamSpec("P")
STARTED = "SLIMNER_STARTED"
RECORD = "record.json"
ERROR = "error.json"
STDERR_TAIL_LINES = 12
LONGEST_WAIT_S = 7 * 24 * 3600.0


class Specification(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is to do."""

    job: str
    arguments: dict[str, Any]


class RaisedError(msgspec.Struct, frozen=True, kw_only=True):
    """What a child writes when its job raised."""

    type: str
    message: str
    remedy: str = ""


class Child(Generic[T]):
    """A started job; `result` waits for it."""

    def __init__(
        self, process: subprocess.Popen[bytes], directory: tempfile.TemporaryDirectory[str], kind: type[T]
    ) -> None:
        self.process = process
        self.kind = kind
        self._directory = directory
        self._path = Path(directory.name)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self.process.pid

    def result(self, timeout_s: float) -> T:
        """The record, after a blocking wait of at most `timeout_s` seconds; ChildError if there is none."""
        try:
            if not _wait(self.process, timeout_s):
                self.kill()
                raise ChildError(
                    f"still running after {timeout_s:g} s and was stopped",
                    "timed-out",
                    self._stderr(),
                    "raise --timeout if it only needs longer",
                )
            return self._read()
        finally:
            self.close()

    def _read(self) -> T:
        code = self.process.returncode
        record, error = self._path / RECORD, self._path / ERROR
        if code < 0:
            raise ChildError(
                _describe_signal(-code), "killed" if code == -signal.SIGKILL else "crashed", self._stderr()
            )
        if error.exists():
            raised = msgspec.json.decode(error.read_bytes(), type=RaisedError)
            known = getattr(errors, raised.type, None)
            if isinstance(known, type) and issubclass(known, UserError):  # what the child found is the user's to mend
                kind_of = UserError if known is UnknownNameError else known
                raise kind_of(raised.message, raised.remedy)
            message = raised.message if known else f"{raised.type}: {raised.message}"
            raise ChildError(message, "raised", self._stderr(), raised.remedy)
        if not record.exists():
            raise ChildError(f"ended with exit code {code} and wrote no record", "no-record", self._stderr())
        try:
            return msgspec.json.decode(record.read_bytes(), type=self.kind, dec_hook=_typed)
        except (ValueError, RecursionError) as wrong:
            raise ChildError(f"wrote a record that cannot be read: {wrong}", "no-record", self._stderr()) from None

    def kill(self) -> None:
        """End the child and everything it started."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def close(self) -> None:
        """End the child if it still runs, and remove its files."""
        self.kill()
        self._directory.cleanup()

    def _stderr(self) -> str:
        with contextlib.suppress(OSError):
            text = (self._path / "stderr").read_text(encoding="utf-8", errors="replace")
            return "\n".join(text.strip().splitlines()[-STDERR_TAIL_LINES:])
        return ""


class Group:
    """Children that threads start which have joined it, to be ended together."""

    _of_thread = threading.local()

    def __init__(self) -> None:
        self._children: list[Child[Any]] = []
        self._ended = False
        self._changing = threading.Lock()

    def join(self) -> None:
        """Add all children that this thread starts from now on to the group."""
        self._of_thread.group = self

    def end(self) -> None:
        """Kill the children, and whatever is started later."""
        with self._changing:
            self._ended = True
            for one in self._children:
                one.kill()

    @classmethod
    def add(cls, started: Child[Any]) -> None:
        """A child was started in this thread."""
        group: Group | None = getattr(cls._of_thread, "group", None)
        if group is not None:
            with group._changing:
                group._children.append(started)
                if group._ended:
                    started.kill()


class Call(Generic[T]):
    """A job with its arguments, to be run in a fresh interpreter; made by `call`."""

    def __init__(self, job: str, arguments: dict[str, Any], kind: type[T]) -> None:
        self.specification = Specification(job=job, arguments=arguments)
        self.kind = kind

    def run(self, *, timeout_s: float, environment: dict[str, str] | None = None, prefix: Sequence[str] = ()) -> T:
        """Run the job to its end and return its record; ChildError if it failed."""
        with self.started(environment, prefix) as child:
            return child.result(timeout_s)

    @contextlib.contextmanager
    def started(self, environment: dict[str, str] | None = None, prefix: Sequence[str] = ()) -> Iterator[Child[T]]:
        """The started job, by way of the command `prefix`; it is ended when the block is left, also by an exception."""
        child = self.start(environment, prefix)
        try:
            yield child
        finally:
            child.close()

    def start(self, environment: dict[str, str] | None = None, prefix: Sequence[str] = ()) -> Child[T]:
        """Start the job in a session of its own; the caller has to close it."""
        directory = tempfile.TemporaryDirectory(prefix="slimner-")
        path = Path(directory.name)
        (path / "specification.json").write_bytes(msgspec.json.encode(self.specification, enc_hook=_plain))
        # -P: nothing from the working directory
        command = [*prefix, sys.executable, "-P", "-m", "slimner.core.child", str(path)]
        with (path / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env={
                    "ORT_DISABLE_TELEMETRY": "1",  # or onnxruntime tries to reach its makers
                    **os.environ,
                    **(environment or {}),
                    "SLIMNER_PARENT": str(os.getpid()),
                    STARTED: repr(time.monotonic()),
                },
                start_new_session=True,
            )
        started = Child(process, directory, self.kind)
        Group.add(started)
        return started


def call(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Call[T]:
    """A job for a child process: call `function` with these arguments.

    The function must be importable by its module and name, and annotated with types that JSON can carry (plain data,
    records, paths). Raises TypeError for a nested function, missing annotations or arguments that do not fit.
    """
    if "<" in function.__qualname__ or function.__module__ == "__main__":
        raise TypeError(f"{function.__module__}:{function.__qualname__} cannot be imported by a child")
    kind = get_type_hints(function).get("return")
    if kind is None:
        raise TypeError(f"{function.__module__}:{function.__qualname__} does not say what it returns")
    bound = inspect.signature(function).bind(*args, **kwargs)
    return Call(f"{function.__module__}:{function.__qualname__}", dict(bound.arguments), kind)


def _plain(value: Any) -> Any:
    """Paths travel as text."""
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} cannot be handed to a child")


def _typed(kind: type, value: Any) -> Any:
    """The reverse, for msgspec's `dec_hook`."""
    if issubclass(kind, Path):
        return Path(value)
    raise NotImplementedError(f"{kind.__name__} cannot be handed to a child")


def since_exec_s() -> float:
    """Seconds since this child's parent was about to start it; finer than the kernel's clock tick of 10 ms."""
    return time.monotonic() - float(os.environ[STARTED])


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Sleep in the kernel until the process ends; False if it did not within the time."""
    timeout_s = min(LONGEST_WAIT_S, timeout_s)
    try:
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # Linux before 5.3, or a sandbox that forbids it: wait in short sleeps
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
        return process.poll() is not None
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        ended = bool(poll.poll(int(timeout_s * 1000)))
    finally:
        os.close(handle)
    if ended:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it started and left running; itself it is not reaped yet
        process.wait()
    return ended


def readable_or_ended(handle: int, process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    """Sleep until a descriptor can be read; False if the process ended or the time was up before."""
    try:
        ended = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # see _wait
        ended = -1
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if ended >= 0:
        poll.register(ended, select.POLLIN)
    try:
        end = time.monotonic() + min(LONGEST_WAIT_S, timeout_s)
        while (left := end - time.monotonic()) > 0 and process.poll() is None:
            ready = {descriptor for descriptor, _ in poll.poll(int(left * 1000) if ended >= 0 else 200)}
            if handle in ready:
                return True
    finally:
        if ended >= 0:
            os.close(ended)
    return False


def _describe_signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGKILL:
        return f"killed by {name}: by hand, or by the kernel because memory ran out (dmesg tells)"
    return f"crashed with {name}"


def die_with_parent(parent: int) -> None:
    """Ask Linux to end this process when its parent, of that id, is gone, so that nothing is left running."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main(path: Path) -> None:
    """The child's side."""
    die_with_parent(int(os.environ.get("SLIMNER_PARENT", os.getppid())))
    specification = msgspec.json.decode((path / "specification.json").read_bytes(), type=Specification)
    module, _, name = specification.job.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
        hints = get_type_hints(function)
        arguments = {
            name: msgspec.convert(value, hints[name], dec_hook=_typed) if name in hints else value
            for name, value in specification.arguments.items()
        }
        write_bytes(path / RECORD, msgspec.json.encode(function(**arguments), enc_hook=_plain))
    except BaseException as error:  # a panic in a Rust library is a BaseException
        import traceback

        traceback.print_exc()
        message, remedy = (error.message, error.remedy) if isinstance(error, SlimnerError) else (str(error), "")
        raised = RaisedError(type=type(error).__name__, message=encodable(message), remedy=encodable(remedy))
        write_bytes(path / ERROR, msgspec.json.encode(raised))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the record is on disk; taking torch apart would cost another second
