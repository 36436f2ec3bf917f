"""The part of a sweep that a Dask worker does."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import msgspec

from ...core.cache import cache_directory
from ...core.errors import SlimnerError
from ...core.machine import describe
from ...core.records import Machine
from ...reports import Policy
from .cells import Cell, measure_cell


class Measurer(msgspec.Struct, frozen=True):
    """What a worker says of itself; `measures` if it takes one measurement at a time."""

    slimner: str
    machine: Machine
    measures: bool


def introduce(dask_worker: Any) -> Measurer:
    """Describe this worker; Dask hands it in by the name of the argument."""
    resources = dask_worker.state.total_resources
    return Measurer(importlib.metadata.version("slimner"), describe(), resources.get("measure", 0) == 1)


def measure_on_worker(cell: Cell, policy: Policy, fresh: bool) -> dict[str, bytes]:
    """Measure a cell and give the files of its report by name.

    The report is kept in the cache of the machine too, so that what a lost worker has done is not done again.
    """
    directory = cache_directory() / "sweeps" / cell.directory(describe())
    try:
        measure_cell(cell, policy, directory, fresh=fresh)
    except SlimnerError as error:
        raise RuntimeError(str(error)) from None  # which travels as it is
    return {name: (directory / name).read_bytes() for name in _files(directory)}


def _files(directory: Path) -> list[str]:
    """Files of a report, without what is hidden: locks and journals."""
    names = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(str(name) for name in names if not any(part.startswith(".") for part in name.parts))
