"""A corpus: read from wherever it is, in whatever format, with types renamed or left out, and sampled."""

from __future__ import annotations

import codecs
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ... import zoo
from ...core.errors import CorpusError, UnknownNameError
from ...core.records import CorpusFacts
from . import columns, dataset, rows
from .defects import Defect, Defects
from .selection import Names, sample
from .sentences import Sentence

EMBEDDED = "news-zh"
FORMATS = ("columns", *rows.READERS, "dataset")


class CorpusSource(msgspec.Struct, frozen=True, kw_only=True):
    """Which corpus, and what is made of it; plain data, so that a child process reads the same.

    `map` renames types and `drop` leaves types out, in gold and in answers alike; then about `sample` sentences are
    drawn with `seed`. `strict` makes defects that would be repaired fatal.
    """

    name: str = EMBEDDED
    format: str | None = None
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
        """Identity of what is scored: texts, tokens, gold, and what becomes of types; not of the file's form."""
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
    form, encoding, scheme = source.format, None, None
    if form is None and (path.is_dir() or _is_parquet(path) or (not path.exists() and _names_a_split(source.name))):
        form = "dataset"
    if form == "dataset":
        sentences, scheme = dataset.read(source.name, defects)
    else:
        text, encoding = decode(_content(path), defects)
        form = form or rows.recognise(text) or "columns"
        if form == "columns":
            sentences, scheme = columns.read(text, defects)
        else:
            sentences = rows.read(rows.objects(text, defects), form, defects)
    defects.check()
    if not sentences:
        raise CorpusError(f"{path}: no sentences", "an empty corpus scores nothing; give one with labelled sentences")
    types_read = types_of(sentences)
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
        encoding=encoding,
        types_read=types_read,
        defects=tuple(sorted(defects.found, key=lambda defect: defect.line)),
    )


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


def decode(content: bytes, defects: Defects) -> tuple[str, str]:
    """A file's text and encoding: UTF-8, UTF-16 (by its mark, or by its zeros), else GB18030."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ["utf-16"]
    elif b"\0" in content[:4096]:
        candidates = ["utf-16-le" if content[1:4096:2].count(0) >= content[:4096:2].count(0) else "utf-16-be"]
    else:
        candidates = ["utf-8-sig", "gb18030"]
    line = 1
    for encoding in candidates:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            continue
        if encoding == "gb18030":
            defects.add("not-utf8", line, "not UTF-8, read as GB18030")
        return text, encoding.removesuffix("-sig")
    defects.add("undecodable", line, f"neither {' nor '.join(candidates)} from here on")
    defects.check()
    raise AssertionError("an undecodable file is a fatal defect")
