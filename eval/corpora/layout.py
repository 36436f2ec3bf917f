"""Which columns of a column file hold the tokens and the tags: as given, or found from their content."""

from __future__ import annotations

import collections
import re
from collections.abc import Mapping, Sequence

import msgspec

from ...core.errors import CorpusError
from ...variants.tags import OUTSIDE, Shape, shape
from .defects import Defects

# Phrases of CoNLL-2000 and 2003: a column of tags, but not of names.
CHUNKS = frozenset(["NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"])
# Parts of speech, of Universal Dependencies and of the Penn Treebank.
POS = frozenset(
    [
        "ADJ",
        "ADP",
        "ADV",
        "AUX",
        "CCONJ",
        "DET",
        "INTJ",
        "NOUN",
        "NUM",
        "PART",
        "PRON",
        "PROPN",
        "PUNCT",
        "SCONJ",
        "SYM",
        "VERB",
        "X",
        "CC",
        "CD",
        "DT",
        "EX",
        "FW",
        "IN",
        "JJ",
        "JJR",
        "JJS",
        "LS",
        "MD",
        "NN",
        "NNP",
        "NNPS",
        "NNS",
        "PDT",
        "POS",
        "PRP",
        "PRP$",
        "RB",
        "RBR",
        "RBS",
        "RP",
        "TO",
        "UH",
        "VB",
        "VBD",
        "VBG",
        "VBN",
        "VBP",
        "VBZ",
        "WDT",
        "WP",
        "WP$",
        "WRB",
        ".",
        ",",
        ":",
    ]
)
BLANKS = ("_", "-")  # outside, in a column that has no O
INDEX = re.compile(r"\d+")
RANGE = re.compile(r"\d+[-.]\d+")  # CoNLL-U: a token of several words, an empty node
FEATURE = re.compile(r"(?:^|\|)([^=|]+)=([^|]*)")  # CoNLL-U: SpaceAfter=No|NER=B-PER


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Columns, counted from 0, of tokens and of tags; `feature` names the tag in a column of `KEY=value|...`.

    `indexed`: the first column numbers the tokens or names the sentence. `others` are further columns of tags.
    """

    token: int
    tag: int
    shape: Shape
    values: frozenset[str] = frozenset()
    indexed: bool = False
    blanks: bool = False
    feature: str | None = None
    others: tuple[int, ...] = ()

    def tag_of(self, cells: Sequence[str]) -> str:
        """The tag of a row."""
        cell = cells[self.tag]
        if self.feature:
            return next((value for key, value in FEATURE.findall(cell) if key == self.feature), OUTSIDE[0])
        return OUTSIDE[0] if self.blanks and cell in BLANKS else cell

    def is_tag(self, cells: Sequence[str]) -> bool:
        """Whether the tag of a row is one that the file has elsewhere, or of the shape of those."""
        tag = self.tag_of(cells)
        form = Shape("first") if self.shape.letter == "none" else self.shape
        return tag in self.values or tag in OUTSIDE or bool(form.split(tag))


def find(blocks: Sequence[Sequence[Sequence[str]]], picked: Mapping[str, int] | None, defects: Defects) -> Layout:
    """The layout of a file from the cells of its rows, by sentence; CorpusError if no column can hold tags."""
    rows = [row for block in blocks for row in block]
    picked = picked or {}
    width = min(map(len, rows))
    for name, column in picked.items():
        if column > width:
            raise CorpusError(f"{defects.where}: no column {column} for {name}: the file has {width}")
    indexed = "token" not in picked and width > 2 and _is_index(blocks)
    columns = [[row[i] for row in rows] for i in range(width)]
    token = picked["token"] - 1 if "token" in picked else int(indexed)
    if "tag" in picked:
        if picked["tag"] - 1 == token:
            raise CorpusError(f"{defects.where}: token and tag are both column {picked['tag']}", "name two columns")
        return _layout(columns, token, picked["tag"] - 1, indexed=indexed)
    tagged = [i for i in range(width) if _holds_tags(columns[i])]
    if not tagged and width - 1 != token and _holds_tags(columns[-1], share=0.5):
        tagged = [width - 1]  # the usual place: what does not fit is a defect
    chunks = [i for i in tagged if i != token and _types(columns[i]) <= CHUNKS]
    named = [i for i in tagged if i != token and i not in chunks]
    if not named and width - 1 != token and set(columns[-1]) == {OUTSIDE[0]}:
        named = [width - 1]  # a file without a name
    named = named or chunks
    if named:
        _check(columns, token, named[0], defects, told="token" in picked)
        others = tuple(i for i in named[1:] if columns[i] != columns[named[0]])
        return _layout(columns, token, named[0], indexed=indexed, others=others)
    if tagged:
        _wrong(defects, f"column {tagged[0] + 1}, where the tokens should be, holds tags", tagged[0] + 2, tagged[0] + 1)
    for i in reversed(range(width)):
        if i != token and (feature := _feature(columns[i])):
            return _layout(columns, token, i, indexed=indexed, feature=feature)
    bare = [i for i in range(width) if i != token and OUTSIDE[0] in columns[i]]
    if not bare:
        if OUTSIDE[0] in columns[token]:
            _wrong(defects, f"column {token + 1}, where the tokens should be, holds tags", token + 2, token + 1)
        _wrong(defects, "no column has tags (O where there is no entity, B-PER or PER where there is one)", 1, 2)
    return _layout(columns, token, bare[-1], indexed=indexed)


def is_apart_by(mark: str, lines: Sequence[str]) -> bool:
    """Whether that mark, and not white space, sets columns apart, of which the last holds tags."""
    last = [line.rpartition(mark)[2].strip() for line in lines if mark in line]
    return len(last) == len(lines) and _holds_tags(last, share=0.5)


def _layout(columns: Sequence[Sequence[str]], token: int, tag: int, *, indexed: bool, **more: object) -> Layout:
    feature = more.get("feature")
    values = _values(columns[tag], feature) if isinstance(feature, str) else set(columns[tag])
    blanks = not values & set(OUTSIDE) and bool(values & set(BLANKS))
    return Layout(
        token=token,
        tag=tag,
        shape=shape(values - set(BLANKS) if blanks else values),
        values=frozenset(values),
        indexed=indexed,
        blanks=blanks,
        **more,  # type: ignore[arg-type]
    )


def _is_index(blocks: Sequence[Sequence[Sequence[str]]]) -> bool:
    """Whether the first column numbers tokens or repeats the name of the sentence."""
    if all(INDEX.fullmatch(row[0]) or RANGE.fullmatch(row[0]) for block in blocks for row in block):
        return True
    names = [{row[0] for row in block} for block in blocks]
    named = all(len(name) == 1 and re.search(r".\d", min(name)) for name in names)  # "doc-12" on each line
    return named and max(map(len, blocks)) > 2


def _holds_tags(column: Sequence[str], share: float = 0.9) -> bool:
    """Whether nine in ten values (or another share) are tags with a letter, or O, and some are the first."""
    values = collections.Counter(column)
    outside = OUTSIDE if any(mark in values for mark in OUTSIDE) else BLANKS
    form = shape(value for value in values if value not in outside)
    if form.letter == "none":
        return False
    tags = sum(number for value, number in values.items() if value not in outside and form.split(value))
    return tags > 0 and tags + sum(values[mark] for mark in outside) >= share * len(column)


def _types(column: Sequence[str]) -> set[str]:
    values = set(column)
    form = shape(values - set(BLANKS))
    return {parts[1] for value in values if (parts := form.split(value))}


def _values(column: Sequence[str], feature: str) -> set[str]:
    return {value for cell in column for key, value in FEATURE.findall(cell) if key == feature} | {OUTSIDE[0]}


def _feature(column: Sequence[str]) -> str | None:
    keys = {key for cell in column for key, _ in FEATURE.findall(cell)}
    return next((key for key in sorted(keys) if _holds_tags(sorted(_values(column, key)))), None)


def _check(columns: Sequence[Sequence[str]], token: int, tag: int, defects: Defects, *, told: bool) -> None:
    """Refuse a token column that holds something else."""
    free = [i for i in range(len(columns)) if i not in (token, tag)]
    if tag < token:
        _wrong(defects, f"the tags stand before the tokens, in column {tag + 1}", token + 1, tag + 1)
    if tag == token and free:
        _wrong(defects, f"column {token + 1}, where the tokens should be, holds tags", free[0] + 1, tag + 1)
    if not told and free and len(columns[token]) > 2 and set(columns[token]) <= POS:
        _wrong(defects, f"column {token + 1}, where the tokens should be, holds parts of speech", free[0] + 1, tag + 1)


def _wrong(defects: Defects, what: str, token: int, tag: int) -> None:
    raise CorpusError(
        f"{defects.where}: {what}", f"name the columns, counted from 1: --columns token={token},tag={tag}"
    )
