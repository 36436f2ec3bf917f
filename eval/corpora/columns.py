"""Column files (CoNLL): a token, any columns, and its tag a line; blank lines or -DOCSTART- between sentences."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterator

import msgspec

from . import schemes
from .defects import Defects
from .sentences import Sentence, from_characters, from_words

LINE_END = re.compile(r"\r\n|\r|\n")
WHITE_SPACE_TOKEN = re.compile(r"(\s)[ \t](\S+)")


class Tagged(msgspec.Struct):
    """Tokens of one sentence with their tags as written and their lines."""

    tokens: list[str] = msgspec.field(default_factory=list)
    tags: list[str] = msgspec.field(default_factory=list)
    lines: list[int] = msgspec.field(default_factory=list)


def read(text: str, defects: Defects) -> tuple[list[Sentence], str]:
    """The sentences of a column file and the name of its scheme."""
    return sentences(list(_blocks(LINE_END.split(text), defects)), defects)


def sentences(blocks: list[Tagged], defects: Defects) -> tuple[list[Sentence], str]:
    """Sentences from tokens with tags: of characters if nine in ten tokens are one, else of words; and the scheme."""
    sizes = [len(token) for block in blocks for token in block.tokens]
    characters = sum(size == 1 for size in sizes) > 0.9 * len(sizes)
    scheme = schemes.recognise(block.tags for block in blocks)
    made: list[Sentence] = []
    for block in blocks:
        if not characters:
            block = _visible(block)
        for tag, line in zip(block.tags, block.lines, strict=True):
            if not schemes.known(tag, scheme):
                defects.add("tag", line, f"'{tag}' is not a tag of {scheme.name}")
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


def _blocks(lines: list[str], defects: Defects) -> Iterator[Tagged]:
    rows = [_columns(line) if line.strip() and not line.startswith("-DOCSTART-") else [] for line in lines]
    widths = collections.Counter(len(row) for row in rows if row)
    width = max(2, widths.most_common(1)[0][0]) if widths else 2
    block = Tagged()
    for number, row in enumerate([*rows, []], 1):
        if not row:
            if block.tokens:
                yield block
            block = Tagged()
        elif len(row) != width or not row[0]:
            count = "one column" if len(row) == 1 else f"{len(row)} columns where the file has {width}"
            shown = "\t".join(row)[:40]
            defects.add("columns", number, f"{count if row[0] else 'no token'}, '{shown}'")
        else:
            block.tokens.append(row[0])
            block.tags.append(row[-1])
            block.lines.append(number)


def _columns(line: str) -> list[str]:
    """Columns are set apart by tabs, or by spaces where there is no tab; a token may be white space itself."""
    if match := WHITE_SPACE_TOKEN.fullmatch(line):
        return [match[1], match[2]]
    if "\t" in line:
        token, *others = line.split("\t")
        return [token if token.isspace() else token.strip(), *(column.strip() for column in others)]
    return re.split(" +", line.strip(" "))
