"""What to type to install what is missing: one phrase for every message."""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """The command that adds an extra, for somebody who has slimner's repository; slimner is in no package index yet."""
    return f"in slimner's repository: pip install '.[{extra}]' (README: the CPU build of torch)"
