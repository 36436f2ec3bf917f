"""A bundle that one kind of machine has built, tried on another: golden answers and F1.

Its files go from worker to worker; the machine that started the sweep does not hold them.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ...core import child
from ...core.cache import cache_directory
from ...core.errors import SlimnerError
from ...core.machine import thread_environment
from ...core.records import Results
from ...core.store import RESULTS, write_bytes, write_json
from ...reports.fleet import CellResult, Trial
from ...serve.bundle import open_served, replay_in_child
from ...variants import VARIANTS, resolve_checkpoint
from ...variants.artifacts import regular_files
from ...variants.building import build
from ..bundling import bundle
from ..progress import Progress
from ..scoring import evaluate
from .cells import Cell, Outcome

LOOK_S = 0.5
ATTEMPTS = 3


class Machines(Protocol):
    """The workers, by kind of machine."""

    client: Any
    progress: Progress

    def address_of(self, kind: str) -> str | None:
        """A worker of a kind of machine; None if none is there for long."""


class Carrying:
    """Takes bundles of measured cells to workers of other kinds."""

    def __init__(self, machines: Machines, outcomes: list[Outcome]) -> None:
        self._machines = machines
        self._measured = {
            cell.directory(machine): (cell, results)
            for cell, machine, results in outcomes
            if isinstance(results, Results)
        }

    def try_on(self, built: CellResult, variant: str, kind: str) -> Trial:
        """What a machine of this kind finds of the bundle of a cell's variant."""
        cell, results = self._measured[str(built.directory)]
        self._machines.progress.now("cell", f"{variant} of {built.kind}, on {kind}")
        for _ in range(ATTEMPTS):
            addresses = [self._machines.address_of(built.kind), self._machines.address_of(kind)]
            if None in addresses:
                return Trial(failed="no worker of this kind of machine is left")
            found = self._tried(cell, results, variant, *map(str, addresses))
            if found is not None:
                return found
        return Trial(failed=f"workers died with it {ATTEMPTS} times")

    def _tried(self, cell: Cell, results: Results, variant: str, packing: str, trying: str) -> Trial | None:
        """None if one of the two workers died."""
        client = self._machines.client
        one = {"resources": {"measure": 1}, "pure": False}
        packed = client.submit(pack_on_worker, cell, msgspec.msgpack.encode(results), variant, workers=[packing], **one)
        tried = client.submit(try_on_worker, cell, packed, workers=[trying], **one)
        while not tried.done() and {packing, trying} <= set(client.nthreads()):
            time.sleep(LOOK_S)
        if tried.status in ("pending", "cancelled", "lost"):
            client.cancel([packed, tried])
            return None
        if error := tried.exception():
            return Trial(failed=str(error) or type(error).__name__)
        found: Trial = tried.result()
        return found


def pack_on_worker(cell: Cell, results: bytes, variant: str) -> dict[str, bytes]:
    """The files of the bundle of a variant as this machine builds it, with its golden answers here."""
    try:
        build(
            resolve_checkpoint(cell.checkpoint),
            VARIANTS.get(variant),
            cache=cache_directory(),
            timeout_s=cell.settings.timeout_s,
            exporter_name=cell.exporter,
        )
        with tempfile.TemporaryDirectory(prefix="slimner-") as place:
            report, packed = Path(place) / "report", Path(place) / "bundle"
            write_json(report / RESULTS, msgspec.msgpack.decode(results, type=Results))
            bundle(report, packed, variant=variant, workload=cell.workload, timeout_s=cell.settings.timeout_s)
            return {name: (packed / name).read_bytes() for name in regular_files(packed)}
    except SlimnerError as error:
        raise RuntimeError(str(error)) from None  # which travels as it is


def try_on_worker(cell: Cell, files: dict[str, bytes]) -> Trial:
    """Verify a bundle, answer its golden texts and score it on this machine."""
    try:
        with tempfile.TemporaryDirectory(prefix="slimner-") as place:
            for name, content in files.items():
                write_bytes(Path(place) / name, content)
            served = open_served(Path(place))
            threads, limit_s = cell.settings.threads, cell.settings.timeout_s
            replay = child.call(replay_in_child, served.model, served.golden, threads)
            wrong = replay.run(timeout_s=limit_s, environment=thread_environment(threads))
            return Trial(
                golden=len(served.golden),
                differing=len(wrong),
                evaluation=evaluate(place, corpus=cell.corpus, threads=threads, timeout_s=limit_s),
            )
    except SlimnerError as error:
        return Trial(failed=str(error))
