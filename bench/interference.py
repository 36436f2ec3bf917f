"""What else went on while samples were taken: others' load, stolen time, throttling, context switches."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from pathlib import Path

from ..core.machine import cgroup_paths
from ..core.records import Interference

# What disturbs a block. /proc/stat counts in ticks of 10 ms, so short blocks need an absolute floor as well; and it
# shows the whole host in a container, so on many cores it takes more of others to matter.
OTHER_CORES = 0.15
OTHER_SHARE = 0.05
OTHER_SECONDS = 0.04
STOLEN_SHARE = 0.02
STOLEN_SECONDS = 0.02

# What disturbs a turn of a pair: what happened to the process itself, whatever else the machine does. Both are shares
# of the turn and exact to a microsecond, so they hold for turns of any length.
WAITED_SHARE = 0.05
OWN_SHARE = 0.9


def taints(seen: Interference, cores: int) -> tuple[str, ...]:
    """What exceeded the thresholds on that many cores, in words; empty for a clean block."""
    found: list[str] = []
    if seen.other_cores > max(OTHER_CORES, OTHER_SHARE * cores, OTHER_SECONDS / seen.seconds):
        found.append("other load")
    if seen.stolen_s > max(STOLEN_SECONDS, STOLEN_SHARE * seen.seconds):
        found.append("stolen time")
    if seen.throttled_periods:
        found.append("throttled")
    return tuple(found)


def turn_taints(seen: Interference, threads: int) -> tuple[str, ...]:
    """What kept a process of a pair from its cores during a turn, in words; empty for an undisturbed turn."""
    found: list[str] = []
    if seen.waited_s is not None and seen.waited_s > WAITED_SHARE * seen.seconds:
        found.append("waited for a core")
    elif threads == 1 and seen.own_cores < OWN_SHARE:
        found.append("off its core")
    if seen.throttled_periods:
        found.append("throttled")
    return tuple(found)


def waited_s() -> float | None:
    """Seconds that the threads of this process were runnable but not running so far; None where it is not told."""
    nanoseconds = 0
    try:
        for task in os.listdir("/proc/self/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                text = Path(f"/proc/self/task/{task}/schedstat").read_text(encoding="ascii")
                nanoseconds += int(text.split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return nanoseconds / 1e9


class Meter:
    """Started when it is made; `stop` tells what went on since."""

    def __init__(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.switches = usage.ru_nvcsw, usage.ru_nivcsw
        self.throttled = throttled_periods()
        self.busy, self.stolen = _machine_seconds()
        self.waited = waited_s()
        self.own = time.process_time()
        self.wall = time.perf_counter()

    def stop(self) -> Interference:
        """What went on between the start and now."""
        wall = time.perf_counter() - self.wall
        own = time.process_time() - self.own
        waited = waited_s()
        busy, stolen = _machine_seconds()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return Interference(
            seconds=round(wall, 6),
            waited_s=None if waited is None or self.waited is None else round(max(0.0, waited - self.waited), 6),
            own_cores=round(own / wall, 3),
            other_cores=round(max(0.0, (busy - self.busy - own) / wall), 3),
            stolen_s=round(stolen - self.stolen, 3),
            voluntary_switches=usage.ru_nvcsw - self.switches[0],
            involuntary_switches=usage.ru_nivcsw - self.switches[1],
            throttled_periods=throttled_periods() - self.throttled,
        )


def _machine_seconds() -> tuple[float, float]:
    """Seconds the processors this process may use were busy, and were stolen by the hypervisor, since boot."""
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    busy = stolen = 0
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            name, *fields = line.split()
            if name in mine:
                user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
                busy, stolen = busy + user + nice + system + irq + softirq, stolen + steal
    tick = os.sysconf("SC_CLK_TCK")
    return busy / tick, stolen / tick


def throttled_periods() -> int:
    """Periods in which the processor quota of this process's cgroup ran out so far; 0 where none is kept."""
    for path in _quota_files():
        try:
            text = path.read_text(encoding="ascii")
        except OSError:
            continue
        for line in text.splitlines():
            key, _, value = line.partition(" ")
            if key == "nr_throttled":
                return int(value)
    return 0


def _quota_files() -> list[Path]:
    paths = cgroup_paths()
    found = [Path(f"/sys/fs/cgroup{paths['']}") / "cpu.stat"] if "" in paths else []
    if "cpu" in paths:
        found += [Path(f"/sys/fs/cgroup/cpu{paths['cpu']}") / "cpu.stat", Path("/sys/fs/cgroup/cpu/cpu.stat")]
    return found
