"""Entities of any number of texts: files of them to a file of results, or one after another from Python."""

from __future__ import annotations

import collections
import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..core.errors import ChildError, UserError
from ..core.machine import version
from ..core.records import Record
from ..core.store import sha256_of
from ..serve.bundle import glance
from ..variants import Entity, Manifest
from ..variants.reading import LONE_SURROGATE
from .batch.answers import Answered, Question, entities_in
from .batch.chunks import Chunk, Reader
from .batch.cluster import Asked, Cluster
from .batch.facts import Facts
from .batch.output import Aside, FileOutput, Output, StreamOutput, asides, written_as
from .batch.output import form_of as output_form
from .batch.pool import Pool
from .batch.texts import STANDARD_INPUT
from .progress import SILENT, Progress

T = TypeVar("T")

# Questions read ahead for each worker, so that none waits for the slowest.
AHEAD = 3

NOTHING = Answered(b"", 0, 0, [])


class Predicted(Record, frozen=True, kw_only=True):
    """What has been answered so far: counts over all starts of the work; `resumed` texts are of earlier ones.

    `done` is the share of the input that is read, 0 to 1, and `remaining_s` what the rest will take, if its size is
    known.
    """

    artifact: str
    workers: int
    texts: int
    entities: int
    set_aside: int
    resumed: int
    seconds: float
    per_s: float
    done: float | None = None
    remaining_s: float | None = None
    out: str | None
    errors: str | None


def predict(
    model: str | Path, texts: Iterable[str], *, workers: int | None = None, scheduler: str | None = None
) -> Iterator[list[Entity]]:
    """The entities of each text, in order, from all cores; `texts` may be endless, and is read a little ahead.

    `model` is a bundle or an artifact. `workers` are processes, by default one a core; with `scheduler` those of a
    Dask cluster answer. Raises ArtifactError, or ChildError for a text that ends each process that answers it.
    """
    with _workers(Path(model), workers, scheduler) as pool:
        questions = _questions(texts, pool.most_texts, pool.most_characters)
        for question, answered in _in_order(questions, pool, lambda question: question, lambda: True):
            if answered.failures:
                first = answered.failures[0]
                raise ChildError(f"text {first.number:,}: {first.problem}", "raised")
            assert answered.texts == len(question.texts)
            yield from entities_in(answered)


def predict_file(
    model: str | Path,
    texts: str | Path | Sequence[str | Path],
    out: str | Path | None,
    *,
    form: str | None = None,
    field: str = "text",
    to: str | None = None,
    errors: str | Path | None = None,
    strict: bool = False,
    fresh: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    on_done: Callable[[Predicted], None] = lambda predicted: None,
    progress: Progress = SILENT,
) -> Predicted:
    """Answer every text of files ("-" is standard input) into the file `out`, or to standard output; one result each.

    `form` says how the texts are stored (lines, jsonl, csv, parquet; by default as the ending of the name says),
    `field` where the text of a row stands, `to` how results are written. What cannot be read or answered is set aside
    in the file `errors`, by default `out` with `.errors` behind it; with `strict` it ends the work. Interrupted, the
    same call goes on where it stopped, unless `fresh`; the result is the same to the byte. `on_done` hears what is done
    after each piece of it. Raises UserError or ArtifactError, or ChildError if no worker can be kept alive.
    """
    directory, target = Path(model), Path(out) if out is not None else None
    names = [str(name) for name in ([texts] if isinstance(texts, str | Path) else texts)]
    manifest, _ = glance(directory)
    aside = Path(errors) if errors is not None else target.with_name(target.name + ".errors") if target else None
    pool = _workers(directory, workers, scheduler)
    with contextlib.closing(pool), contextlib.ExitStack() as stack:
        output = _output(manifest, pool.facts, names, (form, field), target, to, aside, fresh=fresh)
        stack.enter_context(output)
        if output.counts.texts or output.counts.set_aside:
            progress.note(f"continues after {output.counts.texts:,} texts that are already answered")
        reader = Reader(
            names, form, field, output.place, most_texts=pool.most_texts, most_characters=pool.most_characters
        )
        stack.enter_context(pool)
        for note in pool.notes:
            progress.note(f"note: {note}")
        watch = _Watch(manifest, output, pool, target, aside)
        try:
            for chunk, answered in _in_order(iter(reader), pool, partial(_question, to=output.form), reader.ready):
                if strict and (chunk.unread or answered.failures):
                    raise _refused(asides(chunk.file, answered, chunk.unread)[0], names[chunk.place.file])
                output.add(chunk.file, answered, chunk.unread, chunk.place)
                on_done(watch.seen(chunk.done))
        except BrokenPipeError:
            if target is not None:
                raise
            return watch.seen(math.nan)  # whoever reads standard output has enough
        if output.counts.set_aside and not output.counts.texts:
            raise UserError(
                f"not one of {output.counts.set_aside:,} lines could be read as a text",
                "give the format of the texts with --format, and the field of the text with --field",
            )
        output.finish()
        return watch.seen(1.0)


class _Watch:
    """How long it takes."""

    def __init__(
        self, manifest: Manifest, output: Output, pool: Pool | Cluster, target: Path | None, aside: Path | None
    ) -> None:
        self._artifact = manifest.name
        self._output, self._pool = output, pool
        self._out, self._errors = target, aside
        self._resumed = output.counts.texts
        self._before_s = output.counts.seconds
        self._begun = time.monotonic()
        self._first: float | None = None

    def seen(self, done: float) -> Predicted:
        """What is done now; `done` is the share of the input, NaN if its size is not known."""
        counts, passed = self._output.counts, time.monotonic() - self._begun
        known = not math.isnan(done)
        if known and self._first is None:
            self._first = 0.0 if not self._resumed else done
        new = done - (self._first or 0.0)
        return Predicted(
            artifact=self._artifact,
            workers=self._pool.workers,
            texts=counts.texts,
            entities=counts.entities,
            set_aside=counts.set_aside,
            resumed=self._resumed,
            seconds=round(self._before_s + passed, 3),
            per_s=round((counts.texts - self._resumed) / max(passed, 1e-9), 1),
            done=round(done, 4) if known else None,
            remaining_s=round((1 - done) * passed / new, 1) if known and new > 0 else None,
            out=str(self._out) if self._out else None,
            errors=str(self._errors) if self._errors and counts.set_aside else None,
        )


def _in_order(
    chunks: Iterator[T], pool: Pool | Cluster, question_of: Callable[[T], Question], ready: Callable[[], bool]
) -> Iterator[tuple[T, Answered]]:
    """Chunks with their answers, in order; enough are read ahead to keep all workers busy."""
    waiting: collections.deque[tuple[T, Future[Answered] | Asked | None]] = collections.deque()
    more = True
    while True:
        while more and len(waiting) <= AHEAD * pool.workers and (not waiting or ready()):
            chunk = next(chunks, None)
            if chunk is None:
                more = False
                break
            question = question_of(chunk)
            waiting.append((chunk, pool.submit(question) if question.texts else None))
        if not waiting:
            return
        first, answering = waiting.popleft()
        yield first, answering.result() if answering else NOTHING


def _question(chunk: Chunk, to: str) -> Question:
    return Question(written_as(to), chunk.file, chunk.numbers, chunk.texts)


def _questions(texts: Iterable[str], most_texts: int, most_characters: int) -> Iterator[Question]:
    """Texts from Python; a lone surrogate cannot be sent, and is answered as U+FFFD."""
    some: list[str] = []
    begins, characters = 1, 0
    for text in texts:
        some.append(LONE_SURROGATE.sub("\ufffd", text))
        characters += len(text)
        if len(some) >= most_texts or characters >= most_characters:
            yield Question("entities", "", list(range(begins, begins + len(some))), some)
            begins, some, characters = begins + len(some), [], 0
    if some:
        yield Question("entities", "", list(range(begins, begins + len(some))), some)


def _workers(directory: Path, workers: int | None, scheduler: str | None) -> Pool | Cluster:
    return Cluster(directory, scheduler, workers) if scheduler else Pool(directory, workers)


def _output(
    manifest: Manifest,
    facts: Facts,
    names: Sequence[str],
    read_as: tuple[str | None, str],
    target: Path | None,
    to: str | None,
    aside: Path | None,
    *,
    fresh: bool,
) -> Output:
    """Where results go. What is unfinished there is of the same work only if all of it would come out the same."""
    form, files = output_form(target, to), len(names) > 1
    paths = [path.resolve() for path in (target, aside) if path]
    paths += [Path(name).resolve() for name in names if name != STANDARD_INPUT]
    if not names or len(set(names)) < len(names) or len(set(paths)) < len(paths):
        raise UserError("the texts, --out and --errors have to be different files", "name each file once")
    if target is None:
        return StreamOutput(form, aside, files=files)
    assert aside is not None
    identity: dict[str, Any] = {
        "answered by": facts,
        "pyarrow": version("pyarrow") if form == "parquet" else None,
        "artifact": sha256_of(manifest),
        "inputs": [_facts(name) for name in names],
        "read as": read_as,
        "written as": form,
        "errors": str(aside.resolve()),
    }
    return FileOutput(target, form, aside, identity, files=files, fresh=fresh)


def _facts(name: str) -> tuple[str, int, int]:
    """A file with its size and the time of its last change; of standard input what was read is compared."""
    if name == STANDARD_INPUT or not os.path.isfile(name):
        return name, 0, 0
    facts = os.stat(name)
    return str(Path(name).resolve()), facts.st_size, facts.st_mtime_ns


def _refused(aside: Aside, name: str) -> UserError:
    return UserError(
        f"{name}, line {aside.line:,}: {aside.problem}", "fix the line, or leave out --strict to set it aside"
    )
