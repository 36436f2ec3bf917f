"""Where results go: a file that is whole or not there, begun beside it in a part that another start goes on with.

    OUT.part             what is finished
    OUT.part.json        how far that is, and of what; written about once a second
    ERRORS.part          texts that were set aside

A part is cut to what its state vouches for before anything is added, so it never matters when the work was stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from ...core.errors import UserError
from ...core.locks import held_file, holder
from ...core.outside import read_json
from ...core.store import remove_unfinished, sha256_of, write_json
from .answers import Answered, Failure, Form, csv_header
from .table import write_table
from .texts import Item, Place

KEEP_EVERY_S = 1.0
FORMS = ("jsonl", "conll", "csv", "parquet")


class Aside(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the file of errors: what was set aside, why, and what stands there."""

    file: str = ""
    line: int
    problem: str
    raw: str


class Counts(msgspec.Struct, kw_only=True):
    """What is done so far; `seconds` over all starts."""

    texts: int = 0
    entities: int = 0
    set_aside: int = 0
    seconds: float = 0.0


class State(msgspec.Struct, kw_only=True):
    """How far a part is: sizes of the files that are vouched for, and where the input goes on."""

    identity: str
    place: Place
    bytes: int
    errors_bytes: int
    counts: Counts


class Output:
    """Where results go; at the end of its block it closes the files and keeps what is finished."""

    place = Place()
    """How far the input was read."""

    def __init__(self, form: str, results: int, errors: int) -> None:
        self.form = form
        self.counts = Counts()
        self._results, self._errors = results, errors

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def add(self, file: str, answered: Answered, unread: Sequence[Item], place: Place) -> None:
        """Write the results of a chunk, and what is set aside of it, in order."""
        set_aside = asides(file, answered, unread)
        _write_all(self._results, answered.content)
        _write_all(self._errors, b"".join(msgspec.json.encode(aside) + b"\n" for aside in set_aside))
        self.counts.texts += answered.texts
        self.counts.entities += answered.entities
        self.counts.set_aside += len(set_aside)
        self.place = place

    def finish(self) -> None:
        """Everything has been written."""


def form_of(out: Path | None, form: str | None) -> str:
    """The form of an output: as given, else by the ending of its name; UserError if neither tells."""
    told = form or (out.suffix.lower().removeprefix(".") if out else "jsonl")
    if told not in FORMS:
        raise UserError(f"{out}: its ending does not name a form of results", f"--to: {', '.join(FORMS)}")
    if out is None and told == "parquet":
        raise UserError("Parquet cannot be written to standard output", "name a file with --out")
    return told


def written_as(form: str) -> Form:
    """The form of what workers write for it."""
    return "jsonl" if form == "parquet" else form  # type: ignore[return-value]


def asides(file: str, answered: Answered, unread: Sequence[Item]) -> list[Aside]:
    """What is set aside of a chunk, in the order of the input."""
    failed: Sequence[Failure] = answered.failures
    both = [Aside(file=file, line=item.number, problem=item.problem, raw=item.raw) for item in unread]
    both += [Aside(file=file, line=failure.number, problem=failure.problem, raw=failure.text) for failure in failed]
    return sorted(both, key=lambda aside: aside.line)


class StreamOutput(Output):
    """Results to standard output as they come, and errors to a file or to standard error."""

    def __init__(self, form: str, errors: Path | None, *, files: bool) -> None:
        aside = 2 if errors is None else os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        super().__init__(form, 1, aside)
        if form == "csv":
            _write_all(1, csv_header(files=files))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._errors != 2:
            os.close(self._errors)


class FileOutput(Output):
    """Results to a file. A second start of the same work continues the part that the first has left."""

    def __init__(self, out: Path, form: str, errors: Path, identity: Any, *, files: bool, fresh: bool = False) -> None:
        self._out, self._out_errors, self._files = out, errors, files
        self._part = out.with_name(out.name + ".part")
        self._part_errors = errors.with_name(errors.name + ".part")
        self._state = out.with_name(out.name + ".part.json")
        self._identity = sha256_of(identity)
        for path in (self._part, self._part_errors):
            path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(form, _open_locked(self._part), _open(self._part_errors))
        left = None if fresh else self._left()
        if left:
            self.place, self.counts = left.place, left.counts
        self._before_s = self.counts.seconds
        self._begun = time.monotonic()
        _cut(self._results, left.bytes if left else 0)
        _cut(self._errors, left.errors_bytes if left else 0)
        if not left and form == "csv":
            _write_all(self._results, csv_header(files=files))
        self._keep()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._state.exists():
                self._keep()
        finally:
            os.close(self._errors)
            os.close(self._results)

    def add(self, file: str, answered: Answered, unread: Sequence[Item], place: Place) -> None:
        super().add(file, answered, unread, place)
        if time.monotonic() - self._kept > KEEP_EVERY_S:
            self._keep()

    def finish(self) -> None:
        """Give the files their names; without errors there is no file of errors."""
        self._keep()
        if self.counts.set_aside:
            os.replace(self._part_errors, self._out_errors)
        else:
            for path in (self._part_errors, self._out_errors):
                path.unlink(missing_ok=True)
        if self.form == "parquet":
            write_table(self._part, self._out, files=self._files)
            self._part.unlink()
        else:
            os.replace(self._part, self._out)
        self._state.unlink(missing_ok=True)
        remove_unfinished(self._state)

    def _left(self) -> State | None:
        """The state that an earlier start of the same work has left, if its part is there."""
        try:
            state = read_json(self._state, State)
        except UserError:
            return None
        there = os.fstat(self._results).st_size >= state.bytes and os.fstat(self._errors).st_size >= state.errors_bytes
        return state if there and state.identity == self._identity else None

    def _keep(self) -> None:
        """Record that everything written so far is complete."""
        self.counts.seconds = self._before_s + time.monotonic() - self._begun
        os.fdatasync(self._results)
        os.fdatasync(self._errors)
        state = State(
            identity=self._identity,
            place=self.place,
            bytes=os.lseek(self._results, 0, os.SEEK_CUR),
            errors_bytes=os.lseek(self._errors, 0, os.SEEK_CUR),
            counts=self.counts,
        )
        write_json(self._state, state, indent=0)
        self._kept = time.monotonic()


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _cut(descriptor: int, size: int) -> None:
    os.ftruncate(descriptor, size)
    os.lseek(descriptor, size, os.SEEK_SET)


def _open_locked(part: Path) -> int:
    """The part, for this process alone; UserError says who has it."""
    try:
        return held_file(part)
    except BlockingIOError:
        raise UserError(
            f"another slimner predict{holder(part)} is writing {part}", "wait for it, or name another file with --out"
        ) from None


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
