"""The command that installs what is missing, in the same words for every message."""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """The command that adds an extra, in a clone of the repository; slimner is not on a package index yet."""
    note = " (README: the CPU build of torch)" if extra in ("lab", "optimum") else ""
    return f"in slimner's repository: pip install '.[{extra}]'{note}"
