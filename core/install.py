"""What to type to install what is missing: one phrase for every message."""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """The command that adds an extra, for somebody who has slimner's repository; slimner is in no package index yet."""
    note = " (README: the CPU build of torch)" if extra in ("lab", "optimum") else ""
    return f"in slimner's repository: pip install '.[{extra}]'{note}"
