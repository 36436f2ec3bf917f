"""Column files (CoNLL and its kin): a token, its tag and other columns a line; sentences set apart by blank lines."""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Iterator, Mapping

import msgspec

from ...core.errors import CorpusError
from ...variants.tags import SEVERAL, typeless
from . import layout, schemes
from .defects import Defects
from .sentences import Sentence, from_characters, from_words

LINE_END = re.compile(r"\r+\n|\r|\n")
WHITE_SPACE_TOKEN = re.compile(r"(\s)[ \t](\S+)")
HEADERS = frozenset(
    [
        "token",
        "tokens",
        "word",
        "words",
        "text",
        "char",
        "character",
        "form",
        "tag",
        "tags",
        "label",
        "labels",
        "ner",
        "ner_tag",
        "ner_tags",
    ]
)
# Weibo NER writes a character and its place in the word: 李0 雷1
POSITION = re.compile(r"(\D.*)\d")
NUMBER = re.compile(r"\d+(\.\d+)?")


class Tagged(msgspec.Struct):
    """Tokens of one sentence with their tags as written and their lines."""

    tokens: list[str] = msgspec.field(default_factory=list)
    tags: list[str] = msgspec.field(default_factory=list)
    lines: list[int] = msgspec.field(default_factory=list)


class Row(msgspec.Struct):
    """The cells of a line; none where a line is blank or -DOCSTART-."""

    number: int
    cells: list[str]
    text: str


def read(text: str, defects: Defects, picked: Mapping[str, int] | None = None) -> tuple[list[Sentence], str]:
    """The sentences of a column file and the name of its scheme; `picked` numbers its columns "token", "tag" from 1."""
    blocks = _positions(list(_blocks(LINE_END.split(text), defects, picked)), defects)
    _numbers(blocks, defects)
    return sentences(blocks, defects)


def sentences(blocks: list[Tagged], defects: Defects) -> tuple[list[Sentence], str]:
    """Sentences from tokens with tags: of characters if nine in ten tokens are one, else of words; and the scheme."""
    sizes = [len(token) for block in blocks for token in block.tokens]
    characters = sum(size == 1 for size in sizes) > 0.9 * len(sizes)
    scheme = schemes.recognise(block.tags for block in blocks)
    if typeless(tag for block in blocks for tag in block.tags):
        raise CorpusError(
            f"{defects.where}: the tags have a letter (B, I) but no type",
            "write a type behind the letter: B-PER, I-PER",
        )
    made: list[Sentence] = []
    for block in blocks:
        if not characters:
            block = _visible(block)
        for tag, line in zip(block.tags, block.lines, strict=True):
            if not schemes.known(tag, scheme):
                defects.add("tag", line, f"'{tag}' is not a tag of {scheme.name}")
            elif SEVERAL.search(tag):
                defects.add("tag", line, f"'{tag}' is more than one tag")
        found, faults = schemes.entities(block.tags, scheme)
        for index, rule in faults:
            before = block.tags[index - 1] if index else "the start of a sentence"
            what = f"{block.tags[index]} follows {before}" if rule == "stray-inside" else f"{block.tags[index]} is last"
            defects.add(rule, block.lines[index], what)
        sentence = (from_characters if characters else from_words)(block.tokens, found)
        if sentence.tokens:
            made.append(sentence)
        else:
            defects.add("empty-sentence", block.lines[0] if block.lines else 1, "no token but white space")
    return made, scheme.name


def _visible(block: Tagged) -> Tagged:
    kept = [i for i, token in enumerate(block.tokens) if token.strip()]
    if len(kept) == len(block.tokens):
        return block
    return Tagged([block.tokens[i] for i in kept], [block.tags[i] for i in kept], [block.lines[i] for i in kept])


def _blocks(lines: list[str], defects: Defects, picked: Mapping[str, int] | None) -> Iterator[Tagged]:
    rows = [
        Row(n, _columns(line) if line.strip() and not line.startswith("-DOCSTART-") else [], line)
        for n, line in enumerate(lines, 1)
    ]
    plain = [row for row in rows if row.cells and not row.text.startswith("#")] or [row for row in rows if row.cells]
    if not plain:
        return
    width = _width([row.cells for row in plain])
    least = max((picked or {}).values(), default=0)  # columns that were named count, however many there are
    for row in rows:
        while len(row.cells) > width and not row.cells[-1]:
            row.cells.pop()
        row.cells = row.cells[:least] if least and len(row.cells) > least and len(row.cells) != width else row.cells
    if header := plain[0].cells[0].lower() in HEADERS and plain[0].cells[-1].lower() in HEADERS:
        plain[0].cells = []

    def whole(row: Row) -> bool:
        return len(row.cells) == width or 0 < least <= len(row.cells)

    usual = _sentences([row for row in rows if not row.text.startswith("#")], whole) or _sentences(rows, whole)
    for mark, name in ((",", "commas"), (";", "semicolons")):
        if not picked and layout.is_apart_by(mark, [row.text for row in plain]):
            raise CorpusError(
                f"{defects.where}: its columns are set apart by {name}",
                "write it with tabs between the columns and a blank line between the sentences",
            )
    if not usual and all(len(row.cells) == 1 for row in plain):
        raise CorpusError(
            f"{defects.where}: no line has two columns, the first is '{plain[0].text[:40]}'",
            "give a token and its tag on each line, set apart by a tab or a space; plain text has no labels to score",
        )
    if not usual:
        for row in plain[header:]:
            _odd(row, width, defects)
        return
    found = layout.find(usual, picked, defects)
    if found.others:
        others = ", ".join(str(i + 1) for i in found.others)
        defects.add("further-tags", plain[0].number, f"the tags of column {found.tag + 1} are read, not of {others}")
    block, before = Tagged(), 0
    for row in [*rows, Row(0, [], "")]:
        usable = whole(row) and not found.indexed and found.is_tag(row.cells)
        if row.text.startswith("#") and not block.tokens and not usable:  # a comment before a sentence
            continue
        if not row.cells:
            if block.tokens:
                yield block
            block, before = Tagged(), 0
        elif not whole(row) or not row.cells[found.token]:
            _odd(row, width, defects)
        elif not (found.indexed and layout.RANGE.fullmatch(row.cells[0])):
            if found.indexed and row.cells[0].isdecimal():
                if int(row.cells[0]) < before and block.tokens:  # numbered anew without a blank line
                    yield block
                    block = Tagged()
                before = int(row.cells[0])
            block.tokens.append(row.cells[found.token])
            block.tags.append(found.tag_of(row.cells))
            block.lines.append(row.number)


def _width(rows: list[list[str]]) -> int:
    """How many columns a file has: those that some row fills and all have, else as many as most rows fill."""
    filled = [max(i for i, cell in enumerate([" ", *cells]) if cell) for cells in rows]
    widest = max(filled)
    if all(len(cells) >= widest for cells in rows):
        return max(2, widest)
    return max(2, collections.Counter(filled).most_common(1)[0][0])


def _sentences(rows: list[Row], whole: object) -> list[list[list[str]]]:
    blocks: list[list[list[str]]] = [[]]
    for row in rows:
        if not row.cells:
            blocks.append([])
        elif whole(row):  # type: ignore[operator]
            blocks[-1].append(row.cells)
    return [block for block in blocks if block]


def _odd(row: Row, width: int, defects: Defects) -> None:
    count = len(row.cells)
    what = "one column" if count == 1 else f"{count} columns where the file has {width}"
    shown = "\t".join(row.cells)[:40]
    defects.add("columns", row.number, f"{what if row.cells[0] and count != width else 'no token'}, '{shown}'")


def _columns(line: str) -> list[str]:
    """Columns are separated by tabs, or by spaces where there is no tab; a token may itself be white space."""
    if match := WHITE_SPACE_TOKEN.fullmatch(line):
        return [match[1], match[2]]
    if "\t" in line.rstrip(" \t"):
        token, *others = line.split("\t")
        return [token if token.isspace() else token.strip(), *(column.strip() for column in others)]
    return re.split(" +", line.strip(" \t"))


def _positions(blocks: list[Tagged], defects: Defects) -> list[Tagged]:
    """Tokens without the digit behind each, if each has one."""
    tokens = [token for block in blocks for token in block.tokens]
    marked = [token for token in tokens if POSITION.fullmatch(token) and not token[:-1].isascii()]
    if len(tokens) < 3 or len(marked) < 0.7 * len(tokens):
        return blocks
    if any(not token[-1].isdigit() or len(token) < 2 for token in tokens):
        return blocks
    defects.add("position-digit", blocks[0].lines[0], f"{len(tokens):,} tokens such as '{tokens[0]}'")
    return [Tagged([token[:-1] for token in block.tokens], block.tags, block.lines) for block in blocks]


def _numbers(blocks: list[Tagged], defects: Defects) -> None:
    """Refuse numbers that count the tokens, and files that have nothing but numbers for tokens."""
    tokens = [token for block in blocks for token in block.tokens]
    numbers = sum(bool(NUMBER.fullmatch(token)) for token in tokens)
    if len(tokens) > 2 and (numbers == len(tokens) or (numbers > 0.5 * len(tokens) and all(map(_counts, blocks)))):
        defects.add("number-tokens", blocks[0].lines[0], f"{numbers:,} of {len(tokens):,} tokens are numbers")


def _counts(block: Tagged) -> bool:
    numbers = [int(token) for token in block.tokens if token.isdecimal()]
    return len(numbers) > 1 and all(a < b for a, b in itertools.pairwise(numbers))
