"""Memory of a process as Linux counts it.

PSS divides every shared page among those who share it, so it can be summed over processes; USS is what would come back
if the process ended; VmHWM is the highest resident size so far. `ru_maxrss` is not used: it survives exec, and shows a
large parent's peak in a small child. Systems without /proc (macOS) have only it for a peak, and no PSS; nothing is
measured there.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from .records import Stage

ROLLUP = (
    *("Pss", "Pss_Anon", "Pss_File", "Pss_Shmem", "Rss"),
    *("Private_Clean", "Private_Dirty", "Shared_Clean", "Shared_Dirty"),
)


LARGEST_KEPT_BYTES = 1 << 20
LARGEST_FREE_BYTES = 4 << 20


def kilobytes(path: Path, keys: tuple[str, ...]) -> dict[str, int]:
    """Figures of a file of /proc that gives them in kB, by their keys, in bytes."""
    found: dict[str, int] = {}
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        key, _, rest = line.partition(":")
        if key in keys:
            found[key] = int(rest.split()[0]) * 1024
    return found


def can_measure() -> bool:
    """Whether this system has the memory of processes in /proc, as Linux does."""
    try:
        return "VmHWM" in kilobytes(Path("/proc/self/status"), ("VmHWM",))
    except OSError:
        return False


def since_start_s(process: int | str = "self") -> float:
    """Seconds since the process was started, to the resolution of the kernel's clock tick (10 ms)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def peak_bytes(process: int | str = "self") -> int:
    """Highest resident size so far, in bytes.

    Without /proc it comes from `getrusage`, which knows this process only and also counts the program that ran in it
    before exec.
    """
    try:
        return kilobytes(Path(f"/proc/{process}/status"), ("VmHWM",))["VmHWM"]
    except FileNotFoundError:
        if process != "self":
            raise
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def resident_bytes() -> int:
    """Resident size of this process now, in bytes: shared pages count in full, so it does not depend on who else is
    alive."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def read_stage(name: str, process: int | str = "self") -> Stage:
    """Memory of a process now. Where the kernel gives no PSS (`smaps_rollup`), PSS and its parts are None, not RSS."""
    status = kilobytes(Path(f"/proc/{process}/status"), ("VmHWM", "VmRSS"))
    if "VmRSS" not in status:
        raise ProcessLookupError(f"process {process} has ended")
    try:
        rollup = kilobytes(Path(f"/proc/{process}/smaps_rollup"), ROLLUP)
    except OSError:
        rollup = {}
    return Stage(
        name=name,
        after_s=round(since_start_s(process), 3),
        pss_bytes=rollup.get("Pss"),
        uss_bytes=rollup["Private_Clean"] + rollup["Private_Dirty"] if rollup else None,
        rss_bytes=rollup.get("Rss", status["VmRSS"]),
        hwm_bytes=status["VmHWM"],
        anonymous_bytes=rollup.get("Pss_Anon"),
        file_bytes=rollup["Pss_File"] + rollup["Pss_Shmem"] if "Pss_File" in rollup else None,
        shared_bytes=rollup["Shared_Clean"] + rollup["Shared_Dirty"] if rollup else None,
    )


@functools.cache
def _libc() -> ctypes.CDLL:
    """The C library; opened once, for each opening leaves cycles of objects behind."""
    return ctypes.CDLL(None)


def bound_heap() -> None:
    """Keep glibc's heap small: one arena for all threads, large blocks mapped and given back at once; without glibc do
    nothing.

    Inference allocates tensors of tens of MB for a long text. If the heap kept them for the next text, they would be
    most of a worker's own memory.
    """
    trim_threshold, mmap_threshold, arena_max = -1, -3, -8  # malloc.h
    with contextlib.suppress(OSError, AttributeError):
        _libc().mallopt(arena_max, 1)
        _libc().mallopt(mmap_threshold, LARGEST_KEPT_BYTES)
        _libc().mallopt(trim_threshold, LARGEST_FREE_BYTES)


def without_thread_caches(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with glibc's per-thread caches of freed blocks switched off, for starting a program.

    Each of a server's threads keeps blocks that the others cannot use, and that pin the pages they lie in: with a pool
    of threads the heap grows for tens of thousands of requests (`nox -s soak`). A value that the user has set stays.
    """
    tunables = [part for part in environment.get("GLIBC_TUNABLES", "").split(":") if part]
    if not any(part.startswith("glibc.malloc.tcache_") for part in tunables):
        tunables.append("glibc.malloc.tcache_count=0")
    return {**environment, "GLIBC_TUNABLES": ":".join(tunables)}


def return_freed() -> None:
    """Give freed memory back to the system, where the C library can."""
    with contextlib.suppress(OSError, AttributeError):
        _libc().malloc_trim(0)


def forget_files() -> None:
    """Release the pages of program files that this process has mapped; the kernel maps again what is needed again.

    Starting up runs much code once; a process that then only waits for requests need not keep it in memory.
    """
    dont_need = 4  # MADV_DONTNEED: on pages that were never written to, it only drops the mapping
    with contextlib.suppress(OSError, AttributeError):
        start = end = 0
        for line in Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split(maxsplit=5)
            if "-" in fields[0]:  # a mapping: span, permissions, offset, device, inode, path
                start, end = (int(edge, 16) for edge in fields[0].split("-"))
                end = end if fields[1] in ("r-xp", "r--p") and fields[4] != "0" else start
            elif fields[:2] == ["Anonymous:", "0"]:
                _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), dont_need)
