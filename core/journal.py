"""The journal of an unfinished run, so that the same run, started again, continues from there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, TypeVar

from .errors import UserError
from .outside import read_json
from .store import sha256_of, write_json

T = TypeVar("T")


class Journal:
    """Finished steps of one run, a file each. A run of another identity starts with an empty journal.

    The identity has to name everything that makes results comparable: artifacts, corpus, workload, settings, machine,
    and this boot of it.
    """

    def __init__(self, directory: Path, identity: Any, *, fresh: bool = False) -> None:
        self.directory = directory
        self.identity = sha256_of(identity)
        same = not fresh and self._same_run()
        self.resumed = same and any(directory.glob("step-*.json"))
        if not same:
            shutil.rmtree(directory, ignore_errors=True)
            write_json(directory / "identity.json", self.identity)

    def _same_run(self) -> bool:
        try:
            return read_json(self.directory / "identity.json", str) == self.identity
        except UserError:
            return False

    def get(self, step: str, kind: type[T]) -> T | None:
        """The record of a step that an earlier start finished, or None."""
        path = self._path(step)
        if not path.is_file():
            return None
        try:
            return read_json(path, kind)
        except UserError:
            return None

    def put(self, step: str, record: Any) -> None:
        """Keep the record of a finished step."""
        write_json(self._path(step), record, indent=0)

    def finish(self) -> None:
        """Forget the run: its results are written."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _path(self, step: str) -> Path:
        return self.directory / f"step-{sha256_of(step)[:16]}.json"
