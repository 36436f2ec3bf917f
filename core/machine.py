"""A description of this machine: processor, instruction sets that matter to INT8, limits, kernel, library versions."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from functools import cache
from pathlib import Path

from .records import Machine
from .store import sha256_of

# Flags of /proc/cpuinfo on x86 and on ARM whose presence changes which kernels run, and so the rounding and the speed.
INSTRUCTION_SETS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimddp",
    "i8mm",
    "sve",
)

# Integer dot products that do not saturate in 16 bits: with one of these, weights may use all eight bits.
WIDE_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"})

LIBRARIES = (
    "numpy",
    "onnx",
    "onnxruntime",
    "optimum",
    "optimum-onnx",
    "seqeval",
    "tokenizers",
    "torch",
    "transformers",
)

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

# Fields of a machine that have to be the same for timings to be comparable. Libraries are not among them: another
# version of one is a change that a comparison is to show.
FINGERPRINT = (
    "cpu",
    "architecture",
    "instruction_sets",
    "cores",
    "cpu_quota_cores",
    "memory_limit_bytes",
    "governor",
    "kernel",
    "python",
)

UNLIMITED = 1 << 60


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def version(distribution: str) -> str | None:
    """Version of an installed distribution, without importing it; None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(distributions: tuple[str, ...]) -> dict[str, str]:
    """Versions of the given distributions, for those that are installed."""
    return {name: found for name in distributions if (found := version(name)) is not None}


def _processor() -> tuple[str, tuple[str, ...]]:
    name, flags = platform.processor() or platform.machine(), set[str]()
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags |= set(value.split())
    return name, tuple(flag for flag in INSTRUCTION_SETS if flag in flags)


def cgroup_paths() -> dict[str, str]:
    """Path of this process's cgroup by controller; that of cgroup v2 has the empty name. Empty without cgroups."""
    paths: dict[str, str] = {}
    for line in (_read("/proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _memory_limit() -> int | None:
    paths = cgroup_paths()
    candidates = [
        f"/sys/fs/cgroup{paths.get('', '')}/memory.max",
        "/sys/fs/cgroup/memory.max",
        f"/sys/fs/cgroup/memory{paths.get('memory', '')}/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    values = [int(text) for path in candidates if (text := _read(path)) and text.isdigit()]
    return min((v for v in values if v < UNLIMITED), default=None)


def _cpu_quota() -> float | None:
    paths = cgroup_paths()
    for path in (f"/sys/fs/cgroup{paths.get('', '')}/cpu.max", "/sys/fs/cgroup/cpu.max"):
        text = _read(path)
        if text and not text.startswith("max"):
            quota, period = text.split()
            return int(quota) / int(period)
    for base in (f"/sys/fs/cgroup/cpu{paths.get('cpu', '')}", "/sys/fs/cgroup/cpu"):
        quota_text, period_text = _read(f"{base}/cpu.cfs_quota_us"), _read(f"{base}/cpu.cfs_period_us")
        if quota_text and period_text and int(quota_text) > 0:
            return int(quota_text) / int(period_text)
    return None


@cache
def describe() -> Machine:
    """This machine, as every result records it."""
    cpu, instruction_sets = _processor()
    return Machine(
        cpu=cpu,
        architecture=platform.machine(),
        instruction_sets=instruction_sets,
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu_quota_cores=_cpu_quota(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        memory_limit_bytes=_memory_limit(),
        governor=_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        kernel=platform.release(),
        python=platform.python_version(),
        libraries=versions(LIBRARIES),
    )


def fingerprint(machine: Machine) -> str:
    """Short name of a machine, by everything that decides whether timings are comparable."""
    return sha256_of([getattr(machine, name) for name in FINGERPRINT])[:12]


def boot_id() -> str:
    """Identity of this boot of the machine; empty where the kernel gives none."""
    return _read("/proc/sys/kernel/random/boot_id") or ""


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that limit every numeric library to `threads` threads; to be set before any import.

    Tokenizers start no threads of their own.
    """
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), "TOKENIZERS_PARALLELISM": "false"}
