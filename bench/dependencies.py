"""What each imported distribution costs: memory in import order and alone, disk, and whether it is used at all.

Works on any Python program: a hook (`import_hook`) is put in front of its start, and whatever Python runs it is asked
afterwards which distribution each module belongs to.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ..core.errors import ChildError, UserError
from ..core.ledger_records import Dependency, ImportLedger
from ..core.memory import read_stage
from . import import_hook

# Runs in the Python that is looked at: names and origins of modules in, their distributions out, as JSON.
FACTS = r"""
import importlib.metadata as metadata, json, os, sys
asked = json.load(sys.stdin)
wanted = {os.path.realpath(origin): name for name, origin in asked.items() if origin}
tops = {name.partition(".")[0] for name in asked}
found = {}
for distribution in metadata.distributions():
    title = distribution.metadata["Name"]
    if not title:
        continue
    size, mine, editable = 0, set(), set()
    for file in distribution.files or ():
        path = str(distribution.locate_file(file))
        try:
            size += os.stat(path).st_size
        except OSError:
            continue
        if file.parts[0].partition(".")[0] in tops:
            name = wanted.get(os.path.realpath(path))
            if name:
                mine.add(name)
    for name in asked:
        if name.partition(".")[0].replace("_", "-").lower() == title.replace("_", "-").lower():
            editable.add(name)
    for name in mine or editable:
        if name not in found or name in mine:
            found[name] = (title, distribution.version, size)
json.dump(found, sys.stdout)
"""

ALONE = r"""
import importlib, sys
def resident():
    with open("/proc/self/smaps_rollup", "rb") as file:
        return int(file.read().split(b"Rss:", 1)[1].split(None, 1)[0]) * 1024
before = resident()
for name in sys.argv[1:]:
    importlib.import_module(name)
sys.stdout.write("\n%d\n" % (resident() - before))
"""

# A program that serves is ended when it has neither imported nor computed anything for so long.
QUIET_S = 5.0

ALONE_TIMEOUT_S = 120.0


class Event(msgspec.Struct, frozen=True):
    """A line of the hook's log."""

    kind: str
    process: int
    parent: int
    amount: int
    names: tuple[str, ...]


def import_ledger(
    command: Sequence[str],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    on_progress: Callable[[str], None] = lambda what: None,
) -> ImportLedger:
    """Run a Python program and tell what its imports cost; ChildError if it fails, UserError if it is not Python.

    A program that does not end by itself is ended when it has neither imported nor computed anything for five seconds.
    """
    with hooked(environment or {}) as (settings, log):
        on_progress(f"running {command[0]}")
        final = _run(command, settings, log, timeout_s)
        events = list(_line_of_descent(_read(log)))
    start = next((event for event in events if event.kind == "start"), None)
    if start is None:
        raise UserError(
            f"{command[0]} ran no Python process that could be measured",
            "give a command that starts Python without -I, -E or -S, as in --imports 'python -c \"import torch\"'",
        )
    final = max((e.amount for e in events if e.kind == "end"), default=final)
    if not final:
        raise ChildError(f"{command[0]} ended before its memory could be read", "no-record")
    added: dict[str, int] = {}
    origins: dict[str, str] = {}
    for event in events:
        if event.kind == "import":
            name, origin = event.names
            added[name] = added.get(name, 0) + event.amount
            if not origins.get(name):
                origins[name] = origin
    called = {event.names[0] for event in events if event.kind == "called"} - {"__main__"}
    python = start.names[0]
    standard = added.pop("", 0)
    origins.pop("", None)
    dependencies = [
        *_distributions(python, added, origins, called, settings={**os.environ, **(environment or {})}),
        Dependency(
            name="(standard library)",
            version=None,
            modules=(),
            added_bytes=standard,
            alone_bytes=None,
            disk_bytes=None,
            used=None,
        ),
    ]
    finished: list[Dependency] = []
    for dependency in sorted(dependencies, key=lambda d: -d.added_bytes):
        if dependency.modules and max(dependency.added_bytes, dependency.disk_bytes or 0) >= 1_000_000:
            on_progress(f"importing {dependency.name} alone")
            dependency = msgspec.structs.replace(
                dependency, alone_bytes=_alone(python, dependency.modules, environment or {})
            )
        finished.append(dependency)
    return ImportLedger(
        command=tuple(command),
        python=python,
        interpreter_bytes=start.amount,
        dependencies=tuple(finished),
        final_bytes=final,
    )


@contextmanager
def hooked(environment: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Path]]:
    """An environment in which every Python notes its imports, and the file it notes them in."""
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        shutil.copyfile(import_hook.__file__, Path(directory) / "sitecustomize.py")
        log = Path(directory) / "imports.log"
        settings = {**os.environ, **environment, "SLIMNER_IMPORT_LOG": str(log)}
        settings["PYTHONPATH"] = os.pathsep.join(filter(None, (directory, settings.get("PYTHONPATH"))))
        yield settings, log


def requirements_program(path: Path) -> tuple[list[str], list[str]]:
    """A command that imports every installed distribution of a requirements list in turn, and the lines left out."""
    import importlib.metadata

    modules: list[str] = []
    skipped: list[str] = []
    tops: dict[str, list[str]] = {}
    for module, names in importlib.metadata.packages_distributions().items():
        for name in filter(None, names):
            tops.setdefault(_normal(name), []).append(module)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}", "give a list with a requirement a line") from None
    for line in lines:
        text = line.partition("#")[0].strip()
        match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)
        if not text:
            continue
        found = tops.get(_normal(match.group())) if match else None
        if found:
            modules += [m for m in sorted(found) if not m.startswith("_") and m not in modules]
        else:
            skipped.append(text)
    if not modules:
        raise UserError(
            f"{path}: none of these is installed beside slimner", "install them, or give --imports a command"
        )
    program = (
        "import importlib, sys\nfor name in sys.argv[1:]:\n    try:\n        importlib.import_module(name)\n"
        "    except Exception as error:\n        sys.stderr.write(f'{name}: {error}\\n')"
    )
    return [sys.executable, "-c", program, *modules], skipped


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(command: Sequence[str], settings: dict[str, str], log: Path, timeout_s: float) -> int:
    """Run until it ends, or has imported nothing for a while; its resident size then, 0 if it ended by itself."""
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=settings,
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f"{command[0]}: {error.strerror}", "give a command that can be run from here") from None
        try:
            final = _until_quiet(process, log, timeout_s)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if final is None:
            output.seek(0)
            tail = output.read().decode("utf-8", "replace").strip().splitlines()[-12:]
            raise ChildError(
                f"{command[0]} ended with exit code {process.returncode}",
                "crashed",
                "\n".join(tail),
                "make the command run by itself first",
            )
        return final


def _until_quiet(process: subprocess.Popen[bytes], log: Path, timeout_s: float) -> int | None:
    """Resident size of a program that went quiet, 0 if it ended well, None if it did not."""
    end, size, changed = time.monotonic() + timeout_s, (-1, 0), time.monotonic()
    while time.monotonic() < end:
        with suppress(subprocess.TimeoutExpired):
            return 0 if process.wait(0.25) == 0 else None
        now = (log.stat().st_size if log.exists() else -1, _busy_ticks(process.pid))
        if now != size:
            size, changed = now, time.monotonic()
        elif time.monotonic() - changed > QUIET_S and size[0] > 0:
            break
    try:
        return read_stage("quiet", _last_process(log, process.pid)).rss_bytes
    except OSError:
        return None


def _busy_ticks(group: int) -> int:
    """Processor time of a process group in tenths of a second, so that a server that merely waits is quiet."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks * 10 // os.sysconf("SC_CLK_TCK")


def _last_process(log: Path, default: int) -> int:
    alive = [event.process for event in _line_of_descent(_read(log)) if Path(f"/proc/{event.process}").exists()]
    return alive[-1] if alive else default


def _read(log: Path) -> list[Event]:
    events: list[Event] = []
    if log.exists():
        for line in log.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            kind, process, parent, amount, *names = line.split("\t")
            events.append(Event(kind, int(process), int(parent), int(amount), tuple(names)))
    return events


def _line_of_descent(events: Sequence[Event]) -> Iterator[Event]:
    """Events of the process that imported most, and of those it was forked from: one program's memory."""
    weight: dict[int, int] = {}
    parents: dict[int, int] = {}
    for event in events:
        parents[event.process] = event.parent
        weight[event.process] = weight.get(event.process, 0) + (event.amount if event.kind == "import" else 0)

    def line(process: int) -> list[int]:
        found = [process]
        while (process := parents.get(process, 0)) in parents and process not in found:
            found.append(process)
        return found

    def own_start(process: int) -> bool:
        return any(e.kind == "start" and e.process == process for e in events)

    if not weight:
        return
    heaviest = max(weight, key=lambda process: sum(weight[p] for p in line(process)))
    chosen: list[int] = []
    for process in line(heaviest):
        chosen.append(process)
        if own_start(process):
            break  # started by exec: nothing of those before it is in its memory
    last = chosen[0]
    started = {e.process: i for i, e in enumerate(events) if e.kind == "start"}  # the last one: exec forgets the rest
    for i, event in enumerate(events):
        counts = event.process in chosen and i >= started.get(event.process, 0)
        if counts and (event.kind != "end" or event.process == last):
            yield event


def _distributions(
    python: str, added: Mapping[str, int], origins: Mapping[str, str], called: set[str], settings: Mapping[str, str]
) -> list[Dependency]:
    """Modules gathered by distribution."""
    asked = {name: origins.get(name, "") for name in added}
    answer = subprocess.run(
        [python, "-c", FACTS], input=msgspec.json.encode(asked), capture_output=True, env=dict(settings), check=False
    )
    facts = msgspec.json.decode(answer.stdout, type=dict[str, tuple[str, str, int]]) if answer.returncode == 0 else {}
    groups: dict[str, list[str]] = {}
    for name in added:
        groups.setdefault(facts[name][0] if name in facts else name, []).append(name)
    using = {m for m in added for c in called if c == m or c.startswith(f"{m}.")}
    found: list[Dependency] = []
    for title, modules in groups.items():
        fact = next((facts[m] for m in modules if m in facts), None)
        found.append(
            Dependency(
                name=title,
                version=fact[1] if fact else None,
                modules=tuple(modules),
                added_bytes=sum(added[m] for m in modules),
                alone_bytes=None,
                disk_bytes=fact[2] if fact else None,
                used=not using.isdisjoint(modules) if using else None,
            )
        )
    return found


def _alone(python: str, modules: Sequence[str], environment: Mapping[str, str]) -> int | None:
    """What importing the modules adds to a fresh interpreter, None if that does not work."""
    try:
        answer = subprocess.run(
            [python, "-c", ALONE, *modules],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, **environment},
            timeout=ALONE_TIMEOUT_S,
            check=False,
        )
        return int(answer.stdout.split()[-1]) if answer.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return None
