"""The memory of a server by kind, from `smaps`: `python studies/serving.py kinds`."""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence
from pathlib import Path

MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ (\d+) *(.*)")
PRIVATE = ("Private_Clean", "Private_Dirty")


def kinds(processes: Sequence[int]) -> list[tuple[str, ...]]:
    """PSS of processes in MB: anonymous memory, shared by them and of one alone, the model's file, program files."""
    pss, private = collections.Counter[str](), collections.Counter[str]()
    for process in processes:
        kind = ""
        for line in Path(f"/proc/{process}/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
            if found := MAPPING.match(line):
                inode, name = found.groups()
                model = "memfd" in name or "model.onnx" in name
                kind = "anonymous" if inode == "0" else "model" if model else "programs"
                continue
            key, _, rest = line.partition(":")
            if key == "Pss":
                pss[kind] += int(rest.split()[0]) * 1024
            elif key in PRIVATE:
                private[kind] += int(rest.split()[0]) * 1024
    shared = pss["anonymous"] - private["anonymous"]
    return [
        ("anonymous, shared by master and workers", f"{shared / 1e6:.0f} MB"),
        ("anonymous, of one process alone", f"{private['anonymous'] / 1e6:.0f} MB"),
        ("the model's file, mapped", f"{pss['model'] / 1e6:.0f} MB"),
        ("program files", f"{pss['programs'] / 1e6:.0f} MB"),
        ("all", f"{sum(pss.values()) / 1e6:.0f} MB"),
    ]
