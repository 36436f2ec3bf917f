"""BRAT standoff: a text in NAME.txt, its entities in NAME.ann beside it, or a directory of such pairs."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from ...core.errors import CorpusError
from ...core.outside import read_bytes
from . import encoding as encodings
from .columns import LINE_END
from .defects import Defects
from .sentences import Mention, Sentence, from_text

ENTITY = re.compile(r"T\S+\t(\S+) (\d+ \d+(?:;\d+ \d+)*)(?:\t(.*))?")
BEGINS = re.compile(r"\ufeff?[TREAMN*#]\S*\t")


def pairs(path: Path) -> list[tuple[Path, Path]] | None:
    """The (text, annotation) files that a path names; None if it is not BRAT's. CorpusError if a text is missing."""
    if path.is_dir():
        found = sorted(path.glob("*.ann"))
        return [(_text_of(ann), ann) for ann in found] or None
    if path.suffix == ".ann" and path.is_file():
        return [(_text_of(path), path)]
    beside = path.with_suffix(".ann")
    if path.suffix == ".txt" and path.is_file() and beside.is_file():
        content = read_bytes(beside, error=CorpusError)[:200].decode("utf-8", "replace")
        return [(path, beside)] if not content.strip() or BEGINS.match(content) else None
    return None


def _text_of(ann: Path) -> Path:
    text = ann.with_suffix(".txt")
    if not text.is_file():
        raise CorpusError(
            f"{ann}: BRAT's annotations, but the text they belong to, {text.name}, is missing",
            f"put {text.name} beside it",
        )
    return text


def read(found: list[tuple[Path, Path]], defects: Defects, encoding: str | None) -> tuple[list[Sentence], str]:
    """The sentences of all pairs, a line of text each (lines that an entity joins are one), and the encoding."""
    made: list[Sentence] = []
    name = "utf-8"
    for text_file, ann_file in found:
        own = Defects(str(ann_file), strict=defects.strict)
        text, name = encodings.decode(
            read_bytes(text_file, error=CorpusError), Defects(str(text_file), strict=False), encoding
        )
        ann, _ = encodings.decode(read_bytes(ann_file, error=CorpusError), own, encoding)
        made += _document(text, ann, own)
        for defect in own.found:
            detail = defect.detail if len(found) == 1 else f"{ann_file.name}: {defect.detail}"
            defects.add(defect.rule, defect.line, detail)
    return made, name


def _document(text: str, ann: str, defects: Defects) -> list[Sentence]:
    mentions: list[tuple[int, Mention]] = []
    for number, line in enumerate(LINE_END.split(ann), 1):
        if line.startswith("T"):
            if match := ENTITY.fullmatch(line.rstrip()):
                if mention := _mention(text, match, number, defects):
                    mentions.append((number, mention))
            else:
                defects.add("malformed", number, f"not T1, a tab, a type and offsets: '{line[:40]}'")
        elif line.strip() and not BEGINS.match(line):
            defects.add("malformed", number, f"not a line of BRAT's: '{line[:40]}'")
    sentences: list[Sentence] = []
    for start, end in _lines(text, mentions):
        inside = [(n, m) for n, m in mentions if start <= m.start < end]
        moved = [Mention(m.start - start, m.end - start, m.type, m.surface) for _, m in inside]
        sentence = from_text(text[start:end], moved, inside[0][0] if inside else 1, defects)
        if sentence.tokens:
            sentences.append(sentence)
    return sentences


def _mention(text: str, match: re.Match[str], line: int, defects: Defects) -> Mention | None:
    """The entity of a line of annotation; pieces that white space sets apart are one."""
    pieces = [tuple(map(int, piece.split())) for piece in match[2].split(";")]
    start, end = pieces[0][0], pieces[-1][1]
    if not 0 <= start < end <= len(text):
        defects.add("outside", line, f"entity {start}..{end} is outside the text of {len(text)} characters")
        return None
    for (_, left), (right, _) in itertools.pairwise(pieces):
        if right < left or text[left:right].strip():
            defects.add("discontinuous", line, f"{match[1]} in {len(pieces)} pieces, '{match[3] or match[2]}'")
            return None
    there = text[start:end]
    stated = match[3]
    same = stated is None or " ".join(stated.split()) == " ".join(there.split())
    return Mention(start, end, match[1], there if same else stated)


def _lines(text: str, mentions: list[tuple[int, Mention]]) -> list[tuple[int, int]]:
    """Where the lines of a text begin and end; a line break inside an entity is not one."""
    ends = [m.start() for m in LINE_END.finditer(text)]
    starts = [0, *(m.end() for m in LINE_END.finditer(text))]
    spans: list[tuple[int, int]] = []
    begin = 0
    for end, following in zip([*ends, len(text)], [*starts[1:], len(text)], strict=True):
        if any(m.start < following and m.end > end for _, m in mentions) and end < len(text):
            continue
        spans.append((begin, end))
        begin = following
    return spans
