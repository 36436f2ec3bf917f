"""A history of runs: plain files in a directory, or in a branch of git.

runs/TIME-COMMIT-HASH.json   what a run found, some kilobytes, with verdicts against the run before
latest/SERIES.json           the newest run of each checkpoint and machine whole, for the verdicts of the next
"""

from __future__ import annotations

import contextlib
import datetime
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ..core.errors import UserError
from ..core.history_records import HISTORY_SCHEMA, HistoryEntry
from ..core.outside import read_json
from ..core.records import Record, Results
from ..core.store import read_results, sha256_of, write_json
from ..reports import Policy, decide
from ..reports.trend import entry_of
from .deciding import choices, kept_policy
from .inputs import results_in

HISTORY = "slimner-history"
RUNS, LATEST = "runs", "latest"


class Added(Record, frozen=True, kw_only=True):
    """The entry of a run, the file it is in, and whether it was there before."""

    entry: HistoryEntry
    file: str
    known: bool


def add_to_history(results: str | Path, directory: str | Path = HISTORY, *, branch: str | None = None) -> Added:
    """Add the report of a run to the history in `directory`, or in that branch of the repository around it.

    The same results are added once. A run that is older than the newest of its series gets no verdicts. Raises
    UserError if the results are damaged, or git refuses.
    """
    path = results_in(Path(results))
    record = read_results(path)
    if branch is None:
        return _add(record, kept_policy(path), Path(directory))
    with _checked_out(branch, make=True) as where:
        added = _add(record, kept_policy(path), where)
        if not added.known:
            _git(where, "add", RUNS, LATEST)
            _git(where, "commit", "--quiet", "--message", f"Run of {record.started} ({added.entry.label})")
    return added


def read_history(directory: str | Path = HISTORY, *, branch: str | None = None) -> list[HistoryEntry]:
    """Every run of a history, the oldest first; UserError if there is none, or if a file is damaged."""
    if branch is not None:
        with _checked_out(branch, make=False) as where:
            return read_history(where)
    files = sorted((Path(directory) / RUNS).glob("*.json"))
    if not files:
        raise UserError(f"{directory}: not a history, or an empty one", "start one with slimner history add RESULTS")
    entries = [read_json(file, HistoryEntry) for file in files]
    for file, entry in zip(files, entries, strict=True):
        if entry.schema != HISTORY_SCHEMA:
            raise UserError(f"{file}: history schema {entry.schema}", "use the slimner that wrote it")
    return sorted(entries, key=lambda entry: entry.started)


def entries_of(runs: Iterable[Results]) -> list[HistoryEntry]:
    """Whole results as entries of a history, each run against the one before it in its series, the oldest first."""
    found: list[HistoryEntry] = []
    newest: dict[str, Results] = {}
    for record in sorted(runs, key=lambda record: record.started):
        rows, order = choices(record)
        series = _series(record)
        found.append(entry_of(record, rows, decide(rows, order).winner, newest.get(series)))
        newest[series] = record
    return found


def _add(record: Results, policy: Policy | None, directory: Path) -> Added:
    rows, order = choices(record)
    series = directory / LATEST / f"{_series(record)}.json"
    newest = read_results(series) if series.is_file() else None
    previous = newest if newest is not None and newest.started < record.started else None
    entry = entry_of(record, rows, decide(rows, order, policy).winner, previous)
    when = datetime.datetime.fromisoformat(record.started).astimezone(datetime.UTC)
    name = f"{when:%Y%m%dT%H%M%SZ}-{record.commit.sha[:10] if record.commit else 'none'}-{entry.source[:8]}.json"
    file = directory / RUNS / name
    if file.is_file():
        return Added(entry=read_json(file, HistoryEntry), file=str(Path(RUNS) / name), known=True)
    write_json(file, entry, indent=0)
    if newest is None or newest.started <= record.started:
        kept = tuple(m for m in record.measurements if m.timed)
        write_json(series, msgspec.structs.replace(record, measurements=kept), indent=0)
    return Added(entry=entry, file=str(Path(RUNS) / name), known=False)


def _series(record: Results) -> str:
    machine = record.machine
    return sha256_of([record.checkpoint.name, machine.cpu, machine.instructions, machine.cores])[:12]


@contextlib.contextmanager
def _checked_out(branch: str, *, make: bool) -> Iterator[Path]:
    """The branch of the repository around the current directory, checked out beside it for a while."""
    here = Path.cwd()
    known = _git(here, "branch", "--list", "--format=%(refname:short)", branch)
    if not known and _git(here, "for-each-ref", f"refs/remotes/origin/{branch}"):
        _git(here, "branch", "--quiet", "--no-track", branch, f"origin/{branch}")
    elif not known:
        if not make:
            raise UserError(f"there is no branch '{branch}'", f"slimner history add RESULTS --branch {branch} makes it")
        empty = _git(here, "hash-object", "-w", "-t", "tree", "--stdin")
        _git(here, "branch", branch, _git(here, "commit-tree", empty, "-m", "A history of slimner runs"))
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        where = Path(directory) / "history"
        _git(here, "worktree", "add", "--quiet", *(() if make else ("--detach",)), str(where), branch)
        try:
            yield where
        finally:
            _git(here, "worktree", "remove", "--force", str(where))


def _git(directory: Path, *arguments: str) -> str:
    """What git prints; UserError with what it says when it refuses."""
    who = {
        f"GIT_{role}_{what}": os.environ.get(f"GIT_{role}_{what}", value)
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "slimner"), ("EMAIL", "slimner@localhost"))
    }
    try:
        done = subprocess.run(
            ["git", "-c", "core.hooksPath=/dev/null", *arguments],
            cwd=directory,
            env={**os.environ, **who, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise UserError("a branch needs git, which is not installed here", "keep the history in a directory") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise UserError(f"git {arguments[0]}: {said[-1] if said else done.returncode}", "run it inside the repository")
    return done.stdout.strip()
