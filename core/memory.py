"""Memory of a process as Linux counts it.

PSS divides every shared page among those who share it, so it can be summed over processes; USS is what would come back
if the process ended; VmHWM is the highest resident size so far. `ru_maxrss` is not used: it survives exec, and shows a
large parent's peak in a small child.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from .records import Stage

ROLLUP = (
    *("Pss", "Pss_Anon", "Pss_File", "Pss_Shmem", "Rss"),
    *("Private_Clean", "Private_Dirty", "Shared_Clean", "Shared_Dirty"),
)


def _kilobytes(path: Path, keys: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        key, _, rest = line.partition(":")
        if key in keys:
            found[key] = int(rest.split()[0]) * 1024
    return found


def since_start_s(process: int | str = "self") -> float:
    """Seconds since the process was started, to the resolution of the kernel's clock tick (10 ms)."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def peak_bytes(process: int | str = "self") -> int:
    """Highest resident size so far, in bytes."""
    return _kilobytes(Path(f"/proc/{process}/status"), ("VmHWM",))["VmHWM"]


def read_stage(name: str, process: int | str = "self") -> Stage:
    """Memory of a process now. Where the kernel gives no PSS (`smaps_rollup`), PSS and its parts are None, not RSS."""
    status = _kilobytes(Path(f"/proc/{process}/status"), ("VmHWM", "VmRSS"))
    if "VmRSS" not in status:
        raise ProcessLookupError(f"process {process} has ended")
    try:
        rollup = _kilobytes(Path(f"/proc/{process}/smaps_rollup"), ROLLUP)
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
