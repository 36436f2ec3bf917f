"""What becomes of a chunk of texts: their entities, written in the form that was asked for.

It depends on the texts alone, so that it may happen in any process, on any machine, and again after one died.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from ...variants import Entity, Predictor

Form = Literal["jsonl", "conll", "csv", "entities"]


class Question(msgspec.Struct, frozen=True, array_like=True):
    """Texts with the file (where there are several) and the numbers they have there, and the form of the answer."""

    form: Form
    file: str
    numbers: list[int]
    texts: list[str]

    def parts(self) -> list[Question]:
        """The same, each text by itself."""
        return [Question(self.form, self.file, [n], [t]) for n, t in zip(self.numbers, self.texts, strict=True)]


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """A text that the model did not answer, by its number, and why."""

    number: int
    problem: str
    text: str


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """Results as they are written, how many texts and entities that is, and the texts that have none."""

    content: bytes
    texts: int
    entities: int
    failures: list[Failure]


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the output: the input's line (or row), its text, and the entities in it."""

    file: str = ""
    line: int
    text: str
    entities: list[Entity]


Row = tuple[str, int, str, list[Entity]]


def answer(predictor: Predictor, question: Question) -> Answered:
    """Answer each text; one that the model fails on is reported, and the others are still answered."""
    failures: list[Failure] = []
    rows: list[Row] = []
    try:
        found = predictor.many(question.texts)
        rows = [
            (question.file, number, text, entities)
            for number, text, entities in zip(question.numbers, question.texts, found, strict=True)
        ]
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # a panic in a Rust library is not an Exception
        for number, text in zip(question.numbers, question.texts, strict=True):
            try:
                rows.append((question.file, number, text, predictor(text)))
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                failures.append(Failure(number, f"not answered: {type(error).__name__}: {error}", text))
    content = WRITERS[question.form](predictor, rows)
    return Answered(content, len(rows), sum(len(entities) for *_, entities in rows), failures)


def together(parts: Sequence[Answered]) -> Answered:
    """The answers to the parts of a question as one."""
    return Answered(
        b"".join(part.content for part in parts),
        sum(part.texts for part in parts),
        sum(part.entities for part in parts),
        [failure for part in parts for failure in part.failures],
    )


def _jsonl(predictor: Predictor, rows: Sequence[Row]) -> bytes:
    encode = msgspec.json.encode
    return b"".join(
        encode(Result(file=file, line=line, text=text, entities=entities)) + b"\n"
        for file, line, text, entities in rows
    )


def _csv(predictor: Predictor, rows: Sequence[Row]) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for file, line, text, entities in rows:
        place = (file, line) if file else (line,)
        writer.writerow((*place, text, msgspec.json.encode(entities).decode()))
    return written.getvalue().encode()


def csv_header(*, files: bool) -> bytes:
    """The first line of the output as CSV."""
    return b"file,line,text,entities\n" if files else b"line,text,entities\n"


def _conll(predictor: Predictor, rows: Sequence[Row]) -> bytes:
    """The model's units with IOB2 tags; a comment before each text says which it is."""
    blocks: list[str] = []
    for file, line, text, entities in rows:
        blocks.append(f"# file = {WHITE_SPACE.sub(' ', file)} line = {line}" if file else f"# line = {line}")
        left = list(reversed(entities))
        inside = False
        for start, end in predictor.units(text):
            while left and left[-1].end <= start:
                left.pop()
                inside = False
            tag = "O"
            if left and left[-1].start < end:
                tag = f"{'I' if inside else 'B'}-{left[-1].type}"
                inside = True
            blocks.append(f"{WHITE_SPACE.sub(' ', text[start:end])}\t{tag}")
        blocks.append("")
    return "".join(block + "\n" for block in blocks).encode()


def _entities(predictor: Predictor, rows: Sequence[Row]) -> bytes:
    return b"".join(msgspec.json.encode(entities) + b"\n" for *_, entities in rows)


_FOUND = msgspec.json.Decoder(list[Entity])


def entities_in(answered: Answered) -> list[list[Entity]]:
    """The entities of each text of an answer in the form "entities"."""
    return [_FOUND.decode(line) for line in answered.content.splitlines()]


WHITE_SPACE = re.compile(r"[\t\r\n]+")
WRITERS: dict[Form, Callable[[Predictor, Sequence[Row]], bytes]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "conll": _conll,
    "entities": _entities,
}
