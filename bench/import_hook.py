"""Notes what every import adds to the memory of a process. Runs as `sitecustomize` in whatever Python is looked at.

Only the standard library is there, and as little of it as possible is imported: what this file brings in, the program
would seem to need. One line an event goes to `$SLIMNER_IMPORT_LOG`, so that nothing is lost when the process is killed:

    start   process  parent  resident bytes  executable
    import  process  parent  added bytes     name  origin
    called  process  parent  0               name
    end     process  parent  resident bytes

An import is measured where its distribution begins: modules of one top-level package that import each other are not.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import FrameType, ModuleType
    from typing import NoReturn


def install(log: str) -> None:
    """Begin to note imports and calls in the file `log`."""
    import _thread
    import atexit

    bootstrap = sys.modules["_frozen_importlib"].__dict__  # its functions find each other there, so ours is found too
    load_as_before: Callable[[ModuleSpec], ModuleType] = bootstrap["_load_unlocked"]
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    standard = getattr(sys, "stdlib_module_names", frozenset(sys.builtin_module_names))
    stacks: dict[int, list[tuple[str, list[int]]]] = {}
    seen: set[str] = set()
    homes: dict[type, str] = {}

    def resident() -> int:
        try:
            file = os.open("/proc/self/smaps_rollup", os.O_RDONLY)
        except OSError:
            file = os.open("/proc/self/statm", os.O_RDONLY)
            try:
                return int(os.read(file, 200).split()[1]) * os.sysconf("SC_PAGE_SIZE")
            finally:
                os.close(file)
        try:
            return int(os.read(file, 400).split(b"Rss:", 1)[1].split(None, 1)[0]) * 1024
        finally:
            os.close(file)

    def note(event: str, amount: int, *names: str) -> None:
        fields = (event, os.getpid(), os.getppid(), amount, *(name.replace("\n", " ") for name in names))
        os.write(handle, ("\t".join(map(str, fields)) + "\n").encode("utf-8", "surrogateescape"))

    def owner(spec: ModuleSpec) -> str:
        top, _, rest = spec.name.partition(".")
        if top in standard:
            return ""
        package = sys.modules.get(top)
        if rest and package is not None and getattr(package, "__file__", None) is None:
            return top + "." + rest.partition(".")[0]  # a namespace shared by several distributions
        return top

    def home(kind: type) -> str | None:
        """Module of a class; of one that says "builtins", as compiled ones do, the module in which it is found."""
        if kind not in homes:
            name = kind.__module__
            if name == "builtins" and kind is not getattr(sys.modules["builtins"], kind.__name__, None):
                for other, module in list(sys.modules.items()):
                    if other.partition(".")[0] not in standard and getattr(module, kind.__name__, None) is kind:
                        name = other
                        break
            homes[kind] = name
        return homes[kind]

    def probe(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            name = frame.f_globals.get("__name__")
        elif event == "c_call":
            name = getattr(argument, "__module__", None)
            if name is None:
                name = home(type(getattr(argument, "__self__", None)))
        else:
            return
        if isinstance(name, str) and name not in seen:
            seen.add(name)
            if name.partition(".")[0] not in standard:
                note("called", 0, name)

    def load(spec: ModuleSpec) -> ModuleType:
        stack = stacks.setdefault(_thread.get_ident(), [])
        name = owner(spec)
        if stack and stack[-1][0] == name:
            return load_as_before(spec)
        if not stack:
            sys.setprofile(None)  # what an import calls does not count as use
        before, nested = resident(), [0]
        stack.append((name, nested))
        try:
            return load_as_before(spec)
        finally:
            stack.pop()
            whole = resident() - before
            note("import", whole - nested[0], name, getattr(spec, "origin", None) or "")
            if stack:
                stack[-1][1][0] += whole
            else:
                threading = sys.modules.get("threading")
                if threading is not None:
                    threading.setprofile(probe)
                atexit.unregister(end)
                atexit.register(end)  # last in, first out: what libraries do at exit does not count as use
                sys.setprofile(probe)

    def end() -> None:
        sys.setprofile(None)
        note("end", resident())

    leave = os._exit

    def leave_at_once(status: int) -> NoReturn:
        end()
        leave(status)

    bootstrap["_load_unlocked"] = load
    atexit.register(end)
    os._exit = leave_at_once
    note("start", resident(), sys.executable)
    sys.setprofile(probe)


def chain(directory: str) -> None:
    """Give way to the `sitecustomize` that this one stands in front of, if there is one."""
    sys.path[:] = [entry for entry in sys.path if entry != directory]
    mine = sys.modules.pop("sitecustomize", None)
    try:
        __import__("sitecustomize")
    except ImportError:
        pass
    finally:
        if mine is not None:
            sys.modules.setdefault("sitecustomize", mine)


if __name__ == "sitecustomize":
    chain(os.path.dirname(os.path.abspath(__file__)))
    if os.environ.get("SLIMNER_IMPORT_LOG"):
        install(os.environ["SLIMNER_IMPORT_LOG"])
