"""Running programs under a real memory limit, and finding the least one under which they still do their work."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from ..core.ledger_records import Minimum, Trial
from ..core.machine import cgroup_paths

RESOLUTION_BYTES = 8_000_000
CONFIRMATIONS = 2
UNLIMITED = None


class MemoryLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit in force: the command that puts a program under it, and how to see whether something was killed."""

    name: str
    prefix: tuple[str, ...]
    group: Path | None = None

    def kills(self) -> int:
        """Processes that the kernel killed for memory under this limit so far; 0 where it does not tell."""
        for file in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError, TypeError):
                for line in (self.group / file).read_text(encoding="ascii").splitlines() if self.group else ():
                    key, _, value = line.partition(" ")
                    if key == "oom_kill":
                        return int(value)
        return 0


@contextlib.contextmanager
def limited(size: int) -> Iterator[MemoryLimit]:
    """A limit of `size` bytes: a memory cgroup if one can be made here, otherwise on private writable memory.

    A cgroup counts pages of files too, but lets the kernel drop and read them again; the other limit (RLIMIT_DATA)
    counts what was asked for, touched or not.
    """
    group = _make_group(size)
    if group is None:
        yield MemoryLimit(
            name="limit on private writable memory of each process (RLIMIT_DATA)",
            prefix=("sh", "-c", f'ulimit -d {size // 1024} && exec "$@"', "sh"),
        )
        return
    try:
        yield MemoryLimit(
            name=f"memory cgroup v{2 if (group / 'memory.max').exists() else 1}",
            prefix=("sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh"),
            group=group,
        )
    finally:
        _remove(group)


def _groups() -> Iterator[Path]:
    """Directories in which a memory cgroup may be made."""
    paths = cgroup_paths()
    if "memory" in paths:
        yield Path(f"/sys/fs/cgroup/memory{paths['memory']}")
        yield Path("/sys/fs/cgroup/memory")
    if "" in paths:
        yield Path(f"/sys/fs/cgroup{paths['']}")
        yield Path(f"/sys/fs/cgroup{paths['']}").parent


def _make_group(size: int) -> Path | None:
    for parent in _groups():
        group = parent / f"slimner-{os.getpid()}-{time.monotonic_ns()}"
        try:
            group.mkdir()
        except OSError:
            continue
        for file in ("memory.max", "memory.limit_in_bytes"):
            if (group / file).exists():
                try:
                    (group / file).write_text(str(size))
                    for swap, value in (("memory.swap.max", "0"), ("memory.swappiness", "0")):
                        with contextlib.suppress(OSError):
                            if (group / swap).exists():
                                (group / swap).write_text(value)
                    if _usable(group):
                        return group
                except OSError:
                    break
        with contextlib.suppress(OSError):
            group.rmdir()
    return None


def _usable(group: Path) -> bool:
    """Whether a process may be put into the group."""
    process = os.posix_spawn("/bin/sh", ["sh", "-c", f'echo $$ > "{group}/cgroup.procs"'], os.environ, setsid=True)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def _remove(group: Path) -> None:
    for _ in range(50):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # its processes are just ending
            time.sleep(0.1)
        else:
            return


def drop_from_page_cache(paths: Sequence[Path]) -> None:
    """Drop files that no process has mapped from the page cache, so that a cgroup is charged for reading them again."""
    for path in paths:
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)


def minimum(
    what: str,
    attempt: Callable[[MemoryLimit], str],
    *,
    highest: int,
    each: str = "",
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Minimum:
    """The least limit, to 8 MB, under which `attempt` succeeds, twice more after it was found.

    `each` is put before `what` where the limit could only be set on each process by itself.

    `attempt` runs the program under the limit and returns why it failed, or "". `highest` is a size in bytes that is
    expected to be enough; twice and four times as much are tried when it is not.
    """
    trials: list[Trial] = []
    name, whole = "", True

    def passes(size: int) -> bool:
        nonlocal name, whole
        with limited(size) as limit:
            name, begun = limit.name, time.monotonic()
            whole = limit.group is not None
            reason = attempt(limit)
            if not reason and limit.kills():
                reason = "the kernel killed a process of it"
        trial = Trial(limit_bytes=size, passed=not reason, seconds=round(time.monotonic() - begun, 2), reason=reason)
        trials.append(trial)
        on_trial(trial)
        return trial.passed

    def found(size: int | None, confirmed: int) -> Minimum:
        return Minimum(
            what=what if whole else each + what, limiter=name, bytes=size, confirmed=confirmed, trials=tuple(trials)
        )

    units = max(1, -(-highest // RESOLUTION_BYTES))
    for _ in range(3):
        if passes(units * RESOLUTION_BYTES):
            break
        units *= 2
    else:
        return found(None, 0)
    low, high = 0, units  # fails at low (nothing runs in nothing), passes at high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle * RESOLUTION_BYTES) else (middle, high)
    confirmed = 0
    while confirmed < CONFIRMATIONS and high <= 4 * units:
        if passes(high * RESOLUTION_BYTES):
            confirmed += 1
        else:
            high, confirmed = high + 1, 0
    return found(high * RESOLUTION_BYTES, confirmed)
