"""Labelled sentences from column files (a token and its IOB2 tag a line) and from JSON lines with character spans.

The text given is the text indexed: nothing is normalized. In a column file the text is the tokens joined: without
spaces in a file of single characters, else with one between neighbours unless an ideograph or kana is on either side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from .. import zoo
from ..core.errors import CorpusError
from ..core.records import CorpusFacts
from ..core.store import sha256_file
from ..variants.labels import Span, spans
from ..variants.predictor import UNSPACED

EMBEDDED = "news-zh"


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """A text, the tokens that are scored as (start, end) in it, and its gold tags, one a token."""

    text: str
    tokens: tuple[tuple[int, int], ...]
    tags: tuple[str, ...]


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """Sentences with gold entities."""

    name: str
    sha256: str
    sentences: tuple[Sentence, ...]

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types that occur, sorted."""
        return tuple(sorted({tag[2:] for sentence in self.sentences for tag in sentence.tags if tag != "O"}))

    @property
    def facts(self) -> CorpusFacts:
        """What a record says of the corpus."""
        entities = sum(len(spans(sentence.tags)) for sentence in self.sentences)
        return CorpusFacts(name=self.name, sha256=self.sha256, sentences=len(self.sentences), entities=entities)

    def require_types(self, known: Iterable[str]) -> None:
        """Raise CorpusError if gold has a type that a model with the types `known` can never find."""
        if unknown := [kind for kind in self.types if kind not in set(known)]:
            raise CorpusError(
                f"{self.name}: gold has {', '.join(unknown)}, which the model does not know (it knows "
                f"{', '.join(known)})",
                "give a corpus with the model's types, or rename and drop types in the file",
            )


def read_corpus(name: str) -> Corpus:
    """The corpus in a file, or the embedded `news-zh`; CorpusError names file and line of the first defect."""
    path = zoo.corpus() if name == EMBEDDED else Path(name)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise CorpusError(
            f"no corpus '{name}'", f"give a column file or JSON lines, or '{EMBEDDED}' for the embedded one"
        ) from None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 at byte {error.start}", "convert the file to UTF-8") from None
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}") from None
    lines = [line.rstrip("\r") for line in content.split("\n")]
    first = next((line for line in lines if line.strip()), "")
    read = _json_lines if first.lstrip().startswith("{") else _columns
    sentences = tuple(read(path, lines))
    if not sentences:
        raise CorpusError(f"{path}: no sentences", "an empty corpus scores nothing; give one with labelled sentences")
    return Corpus(name=EMBEDDED if name == EMBEDDED else path.name, sha256=sha256_file(path), sentences=sentences)


def _columns(path: Path, lines: list[str]) -> Iterator[Sentence]:
    tokens: list[str] = []
    tags: list[str] = []
    firsts = [line.split(None, 1)[0] for line in lines if line.strip()]
    characters = sum(len(token) == 1 for token in firsts) > 0.9 * len(firsts)
    for number, line in enumerate([*lines, ""], 1):
        if not line.strip() or line.startswith("-DOCSTART-"):
            if tokens:
                yield _joined(tokens, tags, characters=characters)
                tokens, tags = [], []
            continue
        columns = [column.strip() for column in line.split("\t")] if "\t" in line else line.split()
        if len(columns) < 2 or not columns[0]:
            raise CorpusError(
                f"{path}:{number}: one column, '{line[:40]}'", "a line is a token, white space, and its tag"
            )
        token, tag = columns[0], columns[-1]
        if tag != "O" and (tag[:2] not in ("B-", "I-") or len(tag) == 2):
            raise CorpusError(f"{path}:{number}: '{tag}' is not an IOB2 tag", "a tag is O, B-TYPE or I-TYPE")
        if tag.startswith("I-") and (not tags or tags[-1][1:] != tag[1:]):
            raise CorpusError(
                f"{path}:{number}: {tag} follows {tags[-1] if tags else 'the start of a sentence'}",
                f"in IOB2 an entity starts with B-{tag[2:]}",
            )
        tokens.append(token)
        tags.append(tag)


def _joined(tokens: list[str], tags: list[str], *, characters: bool) -> Sentence:
    text, offsets = "", list[tuple[int, int]]()
    for token in tokens:
        if text and not characters and not UNSPACED.match(text[-1]) and not UNSPACED.match(token[0]):
            text += " "
        offsets.append((len(text), len(text) + len(token)))
        text += token
    return Sentence(text=text, tokens=tuple(offsets), tags=tuple(tags))


class _Span(msgspec.Struct):
    start: int
    end: int
    type: str


class _Row(msgspec.Struct):
    text: str
    entities: list[_Span]


def _json_lines(path: Path, lines: list[str]) -> Iterator[Sentence]:
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Row)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise CorpusError(
                f"{path}:{number}: {error}",
                'a line is {"text": "...", "entities": [{"start": 0, "end": 2, "type": "PER"}]}',
            ) from None
        yield _from_spans(path, number, row.text, [(e.start, e.end, e.type) for e in row.entities])


def _from_spans(path: Path, number: int, text: str, entities: list[Span]) -> Sentence:
    tokens = tuple((i, i + 1) for i, character in enumerate(text) if not character.isspace())
    position = {start: index for index, (start, _) in enumerate(tokens)}
    tags = ["O"] * len(tokens)
    last = 0
    for start, end, kind in sorted(entities):
        if not 0 <= start < end <= len(text):
            raise CorpusError(
                f"{path}:{number}: entity {start}..{end} is outside the text of {len(text)} characters",
                "offsets count characters from 0, the end excluded",
            )
        if start < last:
            raise CorpusError(f"{path}:{number}: entities overlap at {start}", "keep the longer of the two")
        if text[start].isspace() or text[end - 1].isspace() or not kind or kind != kind.strip():
            raise CorpusError(f"{path}:{number}: entity {start}..{end} has white space at its edge", "trim it")
        inside = [position[i] for i in range(start, end) if i in position]
        tags[inside[0]] = f"B-{kind}"
        for index in inside[1:]:
            tags[index] = f"I-{kind}"
        last = end
    return Sentence(text=text, tokens=tokens, tags=tuple(tags))
