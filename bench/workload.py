"""Texts with a real length mix: what memory and latency are measured on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from .. import zoo
from ..core.errors import UserError
from ..core.outside import read_text
from ..core.records import WorkloadFacts
from ..core.store import sha256_file

EMBEDDED = "news-zh"


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """Texts to answer, in the order of the file; `source` is the name by which a child reads them again."""

    name: str
    source: str
    sha256: str
    texts: tuple[str, ...]

    @property
    def facts(self) -> WorkloadFacts:
        """What a record says of the workload."""
        return WorkloadFacts(name=self.name, sha256=self.sha256, lengths=tuple(map(len, self.texts)))


def read_workload(name: str) -> Workload:
    """The workload in a file, a text a line, or the embedded `news-zh`; UserError if there is none in it."""
    path = zoo.workload() if name == EMBEDDED else Path(name)
    read = read_text(path, remedy=f"give a file in UTF-8 with a text a line, or '{EMBEDDED}' for the embedded one")
    texts = tuple(line for line in read.splitlines() if line.strip())
    if not texts:
        raise UserError(f"{path}: no texts", "a workload has one text a line")
    return Workload(
        name=EMBEDDED if name == EMBEDDED else path.name, source=name, sha256=sha256_file(path), texts=texts
    )
