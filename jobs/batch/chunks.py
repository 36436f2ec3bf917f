"""Several inputs, one after another, cut into chunks of texts that go through a model together."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...core.errors import UserError
from .texts import STANDARD_INPUT, Item, Place, Source, form_of, open_source, parquet


class Chunk(NamedTuple):
    """Texts that go through a model together, what could not be read among them, and the place behind them."""

    file: str
    numbers: list[int]
    texts: list[str]
    unread: list[Item]
    place: Place
    done: float
    """Share of the input's bytes that is read, 0 to 1; NaN if its size is not known."""


class Reader:
    """Several inputs, one after another, in chunks."""

    def __init__(
        self, names: Sequence[str], form: str | None, field: str, place: Place, *, most_texts: int, most_characters: int
    ) -> None:
        self._names = names
        self._field = field
        self._forms = [form_of(name, form) for name in names]
        for name, each in zip(names, self._forms, strict=True):
            _check(name, each)
        self._sizes = [os.path.getsize(name) if os.path.isfile(name) else math.nan for name in names]
        self._place = place
        self._most_texts, self._most_characters = most_texts, most_characters
        self._source: Source | None = None
        self._items: Iterator[Item] = iter(())

    def ready(self) -> bool:
        """Whether some of the next chunk is there without waiting."""
        return self._source is None or self._source.ready()

    def __iter__(self) -> Iterator[Chunk]:
        for file in range(self._place.file, len(self._names)):
            begins = self._place if file == self._place.file else Place(file=file)
            self._source = source = open_source(self._names[file], self._forms[file], self._field, begins)
            try:
                yield from self._chunks(file, source)
            finally:
                source.close()
                self._source = None

    def _chunks(self, file: int, source: Source) -> Iterator[Chunk]:
        numbers, texts, unread, characters = list[int](), list[str](), list[Item](), 0
        name = self._names[file] if len(self._names) > 1 else ""
        last: Item | None = None

        def chunk(item: Item) -> Chunk:
            place = Place(file=file, offset=item.end, number=item.number, digest=source.digest())
            return Chunk(name, numbers, texts, unread, place, self._done(file, item.end, source.total))

        for last in source.items():
            if last.text is None:
                unread.append(last)
            else:
                numbers.append(last.number)
                texts.append(last.text)
                characters += len(last.text)
            full = len(texts) + len(unread) >= self._most_texts or characters >= self._most_characters
            if full or not source.ready():
                yield chunk(last)
                numbers, texts, unread, characters, last = [], [], [], 0, None
        if last is not None:
            yield chunk(last)

    def _done(self, file: int, offset: int, total: int | None) -> float:
        if not total:
            return math.nan
        return (sum(self._sizes[:file]) + self._sizes[file] * offset / total) / sum(self._sizes)


def _check(name: str, form: str) -> None:
    """Refuse at once any input that could not be opened later."""
    if name == STANDARD_INPUT:
        if form == "parquet":
            raise UserError("Parquet cannot be read from standard input", "name the file")
    elif not os.path.exists(name):
        raise UserError(f"{name}: no such file")
    elif os.path.isdir(name):
        raise UserError(f"{name} is a directory", "name the files in it")
    if form == "parquet":
        parquet()
