"""The part of a cluster's work that a Dask worker does; imported where Dask is installed only."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec
from distributed import WorkerPlugin, get_worker

from ...core.errors import UserError
from ...serve.bundle import open_served
from ...serve.engine import Engine
from .answers import Question, answer
from .facts import Facts, facts_here

_decode = msgspec.msgpack.Decoder(Question).decode


class Carrier(WorkerPlugin):  # type: ignore[misc]  # Dask has no types
    """Brings the files of a bundle to a worker and opens them there, after every hash was checked."""

    def __init__(self, files: dict[str, bytes], threads: int, facts: Facts) -> None:
        self.files, self.threads, self.facts = files, threads, facts
        self.engine: Engine | None = None
        self._directory: Path | None = None

    def __getstate__(self) -> tuple[dict[str, bytes], int, Facts]:
        return self.files, self.threads, self.facts

    def __setstate__(self, state: tuple[dict[str, bytes], int, Facts]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    async def setup(self, worker: Any) -> None:
        """The worker begins, or joins later: it opens the model, and is refused if it is of another kind."""
        if (here := facts_here()) != self.facts:
            raise UserError(f"this worker has {here.different(self.facts)}, the others {self.facts.different(here)}")
        self._directory = Path(worker.local_directory) / f"slimner-{id(self)}"
        await asyncio.get_running_loop().run_in_executor(None, self._open, self._directory)

    def _open(self, directory: Path) -> None:
        for name, content in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self.files = {}
        engine = Engine(open_served(directory), threads=self.threads, queue=0, deadline_s=0)
        engine.start()
        self.engine = engine

    def teardown(self, worker: Any) -> None:
        """The work is done."""
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


def answer_on_worker(name: str, question: bytes) -> bytes:
    """The task: the answer to a question, both as they travel between processes of one machine too."""
    carrier = get_worker().plugins[name]
    return msgspec.msgpack.encode(answer(carrier.engine.opened(), _decode(question)))
