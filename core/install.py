"""What to type to install what is missing: one phrase for every message."""

from __future__ import annotations

CPU_TORCH = "https://download.pytorch.org/whl/cpu"


def install_hint(extra: str) -> str:
    """The command that adds an extra, for somebody who has slimner's repository; slimner is in no package index yet.

    The further index has torch built for the CPU; on x86 Linux pip's own choice would bring gigabytes of CUDA.
    """
    return f"in slimner's repository: pip install '.[{extra}]' --extra-index-url {CPU_TORCH}"
