"""The facts, besides the model, that a process's answers depend on."""

from __future__ import annotations

import msgspec

from ...core.machine import describe, version, versions

LIBRARIES = ("numpy", "onnxruntime", "tokenizers", "torch")


class Facts(msgspec.Struct, frozen=True):
    """Versions and instruction set: where they are the same, so are the answers, to the byte."""

    slimner: str
    instructions: str
    libraries: tuple[tuple[str, str], ...]

    def different(self, other: Facts) -> str:
        """The facts that differ from the other's, as text."""
        mine = {"slimner": self.slimner, **dict(self.libraries), "instructions": self.instructions}
        theirs = {"slimner": other.slimner, **dict(other.libraries), "instructions": other.instructions}
        return ", ".join(f"{name} {mine.get(name)}" for name in mine if mine[name] != theirs.get(name)) or "less"


def facts_here() -> Facts:
    """The facts of this process."""
    return Facts(version("slimner") or "", describe().instructions, tuple(sorted(versions(LIBRARIES).items())))
