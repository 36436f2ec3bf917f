"""A report on recorded results: nothing is measured, and no model is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..core.errors import UserError
from ..core.ledger_records import ImportLedger, Ledger
from ..core.load_records import LoadReport
from ..core.outside import decode, read_bytes, read_json
from ..core.records import Results
from ..core.store import RESULTS, SWEEP, read_results
from ..eval import Differences
from ..reports import Beside, Decision, Policy, Row, decide, report_of, trend
from ..reports.content import Report, Section
from ..reports.report import DEPENDENCIES, DIFFERENCES
from .deciding import choices, kept_policy
from .history import RUNS, entries_of, read_history

T = TypeVar("T")

GIVE = "give reports of slimner run, or what slimner load or slimner ledger print with --json"


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """A report on a run, with the rows and the decision that it shows."""

    report: Report
    rows: tuple[Row, ...]
    decision: Decision


class Fields(msgspec.Struct):
    """What tells records apart."""

    measurements: Any = None
    runs: Any = None
    minimums: Any = None


def report(
    paths: Sequence[str | Path], *, policy: Policy | None = None, before: str | None = None, after: str | None = None
) -> Reported:
    """The report on the newest results among files and directories, with what else they hold.

    A directory is the report of a run, or holds reports, or files of any of these: results, load reports, memory
    ledgers; or it is a history. Several runs are also shown over time, by machine and by checkpoint. Without
    `policy` the decision follows the one that is kept beside the results. `before` and `after` name the variants that
    are put side by side, not the baseline and the winner. UserError if there are no results, or no such variant.
    """
    found: list[tuple[Path, Results]] = []
    loads: list[LoadReport] = []
    ledgers: list[Ledger] = []
    histories = [path for path in map(Path, paths) if (path / RUNS).is_dir()]
    for path in _files(path for path in map(Path, paths) if path not in histories):
        content = read_bytes(path)
        fields = decode(content, Fields, path)
        if fields.measurements is not None:
            found.append((path, read_results(path)))
        elif fields.runs is not None:
            loads.append(decode(content, LoadReport, path))
        elif fields.minimums is not None:
            ledgers.append(decode(content, Ledger, path))
        else:
            raise UserError(f"{path}: neither results nor a load report nor a ledger", GIVE)
    if not found:
        raise UserError(f"{', '.join(map(str, paths))}: no results", GIVE)
    found.sort(key=lambda one: one[1].started)
    path, results = found[-1]
    rows, complexity = choices(results)
    measured = [row.variant for row in rows if not row.failed]
    for name in (before, after):
        if name is not None and name not in measured:
            raise UserError(f"{path} has no figures of {name}", f"it has those of {', '.join(measured)}")
    over_time = _over_time([one for _, one in found], histories)
    decision = decide(rows, complexity, policy or kept_policy(path))
    beside = Beside(
        dependencies=_beside(path, DEPENDENCIES, ImportLedger),
        differences=_beside(path, DIFFERENCES, list[Differences]) or (),
        loads=loads,
        ledgers=ledgers,
        before=before,
        after=after,
    )
    told = report_of(results, rows, decision, beside).with_sections(*over_time, before="Decision")
    return Reported(report=told, rows=tuple(rows), decision=decision)


def _over_time(results: Sequence[Results], histories: Sequence[Path]) -> list[Section]:
    """Several runs over time: those that were given, and those of histories."""
    if len(results) < 2 and not histories:
        return []
    entries = {entry.source: entry for entry in entries_of(results)}
    entries |= {entry.source: entry for path in histories for entry in read_history(path)}
    return trend.sections(list(entries.values())) if len(entries) > 1 else []


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files that paths stand for; of the report of a run, its results and the loads and ledgers put beside them."""
    for path in paths:
        if not path.is_dir():
            yield path
        elif (path / RESULTS).is_file():
            yield path / RESULTS
            yield from sorted((*path.glob("load*.json"), *path.glob("ledger*.json")))
        else:
            beside = (file for file in path.glob("*.json") if file.name != SWEEP)
            inside = sorted((*beside, *path.glob(f"*/{RESULTS}")))
            if not inside:
                raise UserError(f"{path}: no results.json and no other JSON file in it", GIVE)
            yield from inside


def _beside(path: Path, name: str, kind: type[T]) -> T | None:
    other = path.parent / name
    return read_json(other, kind) if other.is_file() else None
