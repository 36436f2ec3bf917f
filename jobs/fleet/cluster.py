"""Cells measured by the workers of a Dask cluster: every kind of machine measures every cell, one at a time each.

A cell is handed to one worker. If that is lost, the cell goes to another of its kind, or to the one that takes its
place; what was measured on that machine is kept there, and goes on.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ...core.errors import ChildError, UserError
from ...core.outside import decode
from ...core.records import Machine, Results
from ...core.store import RESULTS, write_bytes
from ...reports.fleet import TryOn, kind_of
from ..batch.cluster import connect
from ..progress import Progress
from .carrying import ATTEMPTS, LOOK_S, Carrying
from .cells import Cell, Outcome, kept
from .measurer import Measurer, introduce, measure_on_worker
from .plan import Policies

JOIN_S = 60.0
"""Longest wait for the first worker, and for another of a kind of which none is left."""


class Running(msgspec.Struct, kw_only=True):
    """A cell that a worker has."""

    cell: Cell
    kind: str
    future: Any


class Fleet:
    """The workers of a scheduler by kind of machine, and which cells they have still to measure."""

    def __init__(
        self, client: Any, cells: list[Cell], policies: Policies, directory: Path, *, fresh: bool, progress: Progress
    ) -> None:
        self.client, self.cells, self.policies = client, cells, policies
        self.directory, self.fresh, self.progress = directory, fresh, progress
        self.machines: dict[str, Machine] = {}
        self.workers: dict[str, Measurer] = {}
        self.todo: dict[str, list[Cell]] = {}
        self.running: dict[str, Running] = {}
        self.lost: Counter[tuple[str, Cell]] = Counter()
        self.seen: dict[str, float] = {}

    def measure(self) -> Iterator[Outcome]:
        """Every cell of every kind as it ends."""
        try:
            while True:
                yield from self._welcome()
                self._hand_out()
                yield from self._collect()
                yield from self._give_up()
                if not self.running and not any(self.todo.values()):
                    return
                time.sleep(LOOK_S)
        finally:
            with contextlib.suppress(Exception):
                self.client.cancel([one.future for one in self.running.values()])

    def carrying(self, outcomes: list[Outcome]) -> TryOn:
        """How a bundle that one kind has built is tried on another."""
        return Carrying(self, outcomes).try_on

    def address_of(self, kind: str) -> str | None:
        """A worker of a kind of machine; None if none is there for long."""
        until = time.monotonic() + JOIN_S
        while True:
            for _ in self._welcome():
                pass  # kinds that join after the cells are measured
            for address, measurer in self.workers.items():
                if kind_of(measurer.machine) == kind:
                    return address
            if time.monotonic() > until:
                return None
            time.sleep(LOOK_S)

    def _welcome(self) -> Iterator[Outcome]:
        """Learn what machines have joined and which are gone; finished cells of a new kind are taken as they are."""
        here = set(self.client.nthreads())
        for address in [address for address in self.workers if address not in here]:
            del self.workers[address]
        new = [address for address in here if address not in self.workers]
        told = self.client.run(introduce, workers=new, on_error="return") if new else {}
        for address, measurer in told.items():
            if isinstance(measurer, OSError):  # it died meanwhile
                continue
            if not isinstance(measurer, Measurer):
                raise UserError(
                    f"the worker {address} does not run this slimner: {type(measurer).__name__}: {measurer}",
                    "install the same slimner in the environment of each worker",
                )
            mine = importlib.metadata.version("slimner")
            if measurer.slimner != mine:
                raise UserError(
                    f"the worker {address} has slimner {measurer.slimner}, this is {mine}", "install the same on each"
                )
            if not measurer.measures:
                raise UserError(
                    f"the worker {address} was started without --resources measure=1",
                    "start one on each machine with: dask worker ADDRESS --nworkers 1 --resources measure=1",
                )
            self.workers[address] = measurer
            kind = kind_of(measurer.machine)
            self.seen[kind] = time.monotonic()
            if kind not in self.machines:
                self.machines[kind] = measurer.machine
                yield from self._begin(kind, measurer.machine)

    def _begin(self, kind: str, machine: Machine) -> Iterator[Outcome]:
        self.progress.note(f"machine {kind}: {machine.cpu}, {machine.cores} cores, {machine.instructions}")
        self.progress.phase("cell", len(self.cells))
        self.todo[kind] = []
        for cell in self.cells:
            found = None if self.fresh else kept(cell, self.directory / cell.directory(machine))
            if found is None:
                self.todo[kind].append(cell)
            else:
                self.progress.done("cell", f"{kind}: {cell.shown} (kept)")
                yield cell, machine, found

    def _hand_out(self) -> None:
        for address, measurer in self.workers.items():
            kind = kind_of(measurer.machine)
            if address in self.running or not self.todo[kind]:
                continue
            cell = self.todo[kind].pop(0)
            self.progress.now("cell", f"{kind}: {cell.shown}")
            future = self.client.submit(
                measure_on_worker,
                cell,
                self.policies.of(measurer.machine),
                self.fresh and not self.lost[kind, cell],
                workers=[address],
                resources={"measure": 1},
                pure=False,
            )
            self.running[address] = Running(cell=cell, kind=kind, future=future)

    def _collect(self) -> Iterator[Outcome]:
        for address, one in list(self.running.items()):
            gone = address not in self.workers or one.future.status in ("cancelled", "lost")
            if not gone and not one.future.done():
                continue
            machine, what = self.machines[one.kind], f"{one.kind}: {one.cell.shown}"
            del self.running[address]
            if gone:
                one.future.cancel()
                self.lost[one.kind, one.cell] += 1
                if self.lost[one.kind, one.cell] < ATTEMPTS:
                    self.progress.note(f"note: the worker {address} is gone; {what} goes to another")
                    self.todo[one.kind].insert(0, one.cell)
                    continue
                ended: Results | str = f"{ATTEMPTS} workers died with it: they crashed, or memory ran out"
            elif error := one.future.exception():
                ended = str(error) or type(error).__name__
            else:
                ended = self._write(one.cell, machine, one.future.result())
            if isinstance(ended, str):
                self.progress.failed("cell", f"{what}: {ended}")
            else:
                self.progress.done("cell", what)
            yield one.cell, machine, ended

    def _write(self, cell: Cell, machine: Machine, files: dict[str, bytes]) -> Results | str:
        """Keep the report that a worker sent, the results last: they say that it is whole."""
        results = decode(files[RESULTS], Results, f"results of {cell.shown}")
        if kind_of(results.machine) != kind_of(machine):
            return f"the worker measured as another kind of machine, {kind_of(results.machine)}"
        place = self.directory / cell.directory(machine)
        for name, content in sorted(files.items(), key=lambda file: file[0] == RESULTS):
            write_bytes(place / name, content)
        return results

    def _give_up(self) -> Iterator[Outcome]:
        """Cells of kinds of which no worker has been there for long."""
        now = time.monotonic()
        for kind in {kind_of(measurer.machine) for measurer in self.workers.values()}:
            self.seen[kind] = now
        for kind, cells in self.todo.items():
            if cells and now - self.seen[kind] > JOIN_S:
                for cell in cells:
                    self.progress.failed("cell", f"{kind}: {cell.shown}: no worker of this kind is left")
                    yield cell, self.machines[kind], "no worker of this kind of machine is left"
                cells.clear()


@contextlib.contextmanager
def fleet(
    cells: list[Cell],
    policies: Policies,
    directory: Path,
    address: str,
    *,
    workers: int,
    fresh: bool,
    progress: Progress,
) -> Iterator[Fleet]:
    """The kinds of machine among the workers of a scheduler; ChildError if it goes away."""
    dask, client = connect(address)
    try:
        try:
            client.wait_for_workers(workers, timeout=JOIN_S)
        except dask.TimeoutError:
            raise UserError(
                f"fewer than {workers} worker{'s' if workers > 1 else ''} joined the scheduler within {JOIN_S:.0f} s",
                "start one on each machine with: dask worker ADDRESS --nworkers 1 --resources measure=1",
            ) from None
        try:
            yield Fleet(client, cells, policies, directory, fresh=fresh, progress=progress)
        except (OSError, dask.client.FutureCancelledError) as error:
            if client.status == "running":
                raise
            raise ChildError(
                f"the scheduler is gone: {error or type(error).__name__}",
                "killed",
                remedy="start it again, then run the same command: it continues where it stopped",
            ) from None
    finally:
        client.close(timeout=JOIN_S)
