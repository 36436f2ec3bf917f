"""A corpus: read from wherever it is, in whatever format, with types renamed or left out, and sampled."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ... import zoo
from ...core.errors import CorpusError, UnknownNameError
from ...core.records import CorpusFacts
from . import brat, columns, dataset, encoding, plausible, rows
from .defects import Defect, Defects, counts, listing
from .selection import Names, sample
from .sentences import Sentence

EMBEDDED = "news-zh"
UNSAID = ""  # no name was given
FORMATS = ("columns", *rows.FORMATS, "brat", "dataset")


class CorpusSource(msgspec.Struct, frozen=True, kw_only=True):
    """Which corpus, and what is made of it; plain data, so that a child process reads the same.

    `map` renames types and `drop` leaves types out, in gold and in answers alike; then about `sample` sentences are
    drawn with `seed`. `strict` makes defects that would be repaired fatal. `columns` numbers the columns "token" and
    "tag" from 1; without it, and without `encoding` and `format`, they are told from the content.
    """

    name: str = EMBEDDED
    format: str | None = None
    columns: dict[str, int] = {}
    encoding: str | None = None
    map: dict[str, str] = {}
    drop: tuple[str, ...] = ()
    sample: int | None = None
    seed: int = 1
    strict: bool = False

    @property
    def label(self) -> str:
        """Name for people and records: the file's, and what was made of it."""
        on_disk = Path(dataset.split_name(self.name)[0]).exists()
        parts = [Path(self.name).name if on_disk else self.name]
        parts += [" ".join(f"{old}={new}" for old, new in self.map.items())] if self.map else []
        parts += [f"without {' '.join(self.drop)}"] if self.drop else []
        parts += [f"sample {self.sample} seed {self.seed}"] if self.sample else []
        return ", ".join(parts)


class Corpus(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Sentences with gold entities; `scheme` and `encoding` are what the file was found to have, if it has one."""

    name: str
    sentences: tuple[Sentence, ...]
    source: CorpusSource
    format: str
    scheme: str | None = None
    encoding: str | None = None
    types_read: tuple[str, ...] = ()
    defects: tuple[Defect, ...] = ()

    @property
    def names(self) -> Names:
        """What becomes of types, those of answers too."""
        return Names(map=self.source.map, drop=self.source.drop)

    @functools.cached_property
    def sha256(self) -> str:
        """Identity of what is scored: texts, tokens, gold and the mapping of types, but not the file format."""
        return hashlib.sha256(msgspec.json.encode([self.sentences, self.names], order="deterministic")).hexdigest()

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types that occur, sorted."""
        return types_of(self.sentences)

    @property
    def facts(self) -> CorpusFacts:
        """What a record says of the corpus."""
        entities = sum(len(sentence.entities) for sentence in self.sentences)
        return CorpusFacts(name=self.name, sha256=self.sha256, sentences=len(self.sentences), entities=entities)

    def require_types(self, known: Iterable[str]) -> None:
        """Raise CorpusError if gold has a type that a model with the types `known` can never find.

        UnknownNameError if a type to be renamed or dropped is neither the corpus's nor the model's.
        """
        known = tuple(known)
        self.require_named(known)
        findable = self.names.types(known)
        if unknown := [kind for kind in self.types if kind not in findable]:
            raise CorpusError(
                f"{self.name}: gold has {', '.join(unknown)}, which the model does not know (it knows "
                f"{', '.join(findable)})",
                f"rename or drop types: --map {unknown[0]}={next(iter(findable), 'PER')}, --drop {unknown[0]}",
            )

    def require_named(self, known: Iterable[str] = ()) -> None:
        """Raise UnknownNameError if a type to be renamed or dropped occurs neither in the corpus nor in `known`."""
        there = {*self.types_read, *known}
        for kind in (*self.source.map, *self.source.drop):
            if kind not in there:
                raise UnknownNameError("type", kind, there)


def types_of(sentences: Iterable[Sentence]) -> tuple[str, ...]:
    """Entity types that occur, sorted."""
    return tuple(sorted({tag[2:] for sentence in sentences for tag in sentence.tags if tag != "O"}))


def read_corpus(source: str | CorpusSource) -> Corpus:
    """The corpus of a source (a bare name is a file, or the embedded `news-zh`), repaired by the rules of `defects`.

    CorpusError names file and line of the first fatal defects, and counts them all.
    """
    if isinstance(source, str):
        source = CorpusSource(name=source)
    path = zoo.corpus() if source.name == EMBEDDED else Path(source.name)
    defects = Defects(str(path) if source.format != "dataset" else source.name, strict=source.strict)
    form, sentences, scheme, coding = _read(source, path, defects)
    plausible.check(sentences, defects)
    defects.check()
    if not sentences:
        left = f" ({listing(counts(defects.found))})" if defects.found else ""
        raise CorpusError(f"{path}: no sentences{left}", "give a corpus with labelled sentences")
    types_read = types_of(sentences)
    plausible.require_names(types_read, source.map, source.drop, str(path))
    names = Names(map=source.map, drop=source.drop)
    if source.map or source.drop:
        sentences = [msgspec.structs.replace(s, tags=tuple(names(s.tags))) for s in sentences]
    if source.sample:
        sentences = sample(sentences, source.sample, source.seed)
    return Corpus(
        name=source.label,
        sentences=tuple(sentences),
        source=source,
        format=form,
        scheme=scheme,
        encoding=coding,
        types_read=types_read,
        defects=tuple(sorted(defects.found, key=lambda defect: defect.line)),
    )


def _read(source: CorpusSource, path: Path, defects: Defects) -> tuple[str, list[Sentence], str | None, str | None]:
    """Format, sentences, scheme and encoding."""
    form = source.format or ("columns" if source.columns else None)
    if form in (None, "brat"):
        if pairs := brat.pairs(path):
            return "brat", *_with_scheme(*brat.read(pairs, defects, source.encoding))
        if form == "brat":
            raise CorpusError(
                f"{path}: no BRAT annotations", "give NAME.ann with NAME.txt beside it, or a directory of such pairs"
            )
    if form is None and (path.is_dir() or _is_parquet(path) or (not path.exists() and _names_a_split(source.name))):
        form = "dataset"
    if form == "dataset":
        return form, *dataset.read(source.name, defects), None
    text, coding = encoding.decode(_content(path), defects, source.encoding)
    form = form or rows.recognise(text) or "columns"
    if form == "columns":
        return form, *columns.read(text, defects, source.columns), coding
    return form, *rows.read(rows.objects(text, defects), form, defects), coding


def _with_scheme(sentences: list[Sentence], coding: str) -> tuple[list[Sentence], None, str]:
    return sentences, None, coding


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CorpusError(
            f"no corpus '{path}'",
            f"give a file, '{EMBEDDED}' for the embedded one, or --format dataset with an id of the hub",
        ) from None
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}") from None


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _names_a_split(name: str) -> bool:
    directory, split = dataset.split_name(name)
    return split is not None and Path(directory).exists()
