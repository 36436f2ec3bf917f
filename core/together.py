"""Memory of several processes as if they were alone on the machine."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .memory import kilobytes

PAGEMAP_ENTRY = 8  # bytes; the kernel's admin-guide/mm/pagemap.rst says what is in them
PRESENT, OF_A_FILE = 63, 61  # bits that every user may read of their own processes; frame numbers need a privilege


def mapped_pages(process: int) -> dict[tuple[str, str], np.ndarray]:
    """Resident pages of files and shared memory that a process maps: page numbers by (device, inode), ascending.

    A page of a file that the process has written to privately is anonymous memory, and not among them. OSError where
    the kernel has no pagemap, or the process has ended.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    with open(f"/proc/{process}/pagemap", "rb", buffering=0) as pagemap:
        for line in Path(f"/proc/{process}/maps").read_text(encoding="utf-8", errors="replace").splitlines():
            span, _, offset, device, inode = line.split(maxsplit=5)[:5]
            if inode == "0":
                continue
            start, end = (int(edge, 16) // page for edge in span.split("-"))
            read = os.pread(pagemap.fileno(), (end - start) * PAGEMAP_ENTRY, start * PAGEMAP_ENTRY)
            entries = np.frombuffer(read, dtype=np.uint64)
            here = np.flatnonzero(entries >> PRESENT & entries >> OF_A_FILE & 1)
            found.setdefault((device, inode), []).append(here + int(offset, 16) // page)
    return {file: np.unique(np.concatenate(pages)) for file, pages in found.items()}


def together_bytes(processes: Iterable[int]) -> int:
    """Resident memory of processes as if they were alone on the machine: what they share counts once, and what they
    share with others in full.

    Anonymous memory is shared with whom a process was forked from, so its PSS adds up within a family. Pages of files
    and shared memory are counted once for each page of a file. OSError as in `mapped_pages`.
    """
    anonymous = 0
    files: dict[tuple[str, str], np.ndarray] = {}
    for process in processes:
        rollup = kilobytes(Path(f"/proc/{process}/smaps_rollup"), ("Pss_Anon",))
        if "Pss_Anon" not in rollup:
            raise OSError(f"the kernel does not tell the anonymous memory of {process}")
        anonymous += rollup["Pss_Anon"]
        for file, pages in mapped_pages(process).items():
            files[file] = np.union1d(files[file], pages) if file in files else pages
    return anonymous + sum(map(len, files.values())) * os.sysconf("SC_PAGE_SIZE")
