"""Labelled sentences as characters and IOB2 tags, and how they are read, cut and changed."""

from __future__ import annotations

from pathlib import Path

from tokenizers import normalizers

TYPES = ("PER", "LOC", "ORG")
LABELS = ["O", *(f"{prefix}-{kind}" for kind in TYPES for prefix in "BI")]
FOLD = normalizers.NFKC()

# the types of CLUENER that have a counterpart here; the others become O
MAPPED = {
    "name": "PER",
    "address": "LOC",
    "scene": "LOC",
    "company": "ORG",
    "government": "ORG",
    "organization": "ORG",
} | {kind: kind for kind in TYPES}

Sentence = tuple[list[str], list[str]]  # characters, tags


def mapped(tag: str) -> str:
    kind = MAPPED.get(tag[2:])
    return f"{tag[:2]}{kind}" if kind else "O"


def read_bio(path: Path) -> list[Sentence]:
    """Sentences of a two-column file, blank lines between them, in the characters the tokenizer will make of them."""
    sentences: list[Sentence] = []
    characters: list[str] = []
    tags: list[str] = []
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if line.strip():
            character, tag = line.split()
            folded = FOLD.normalize_str(character)  # one character may become several: a name goes on in them
            tag = mapped(tag)
            characters.extend(folded)
            tags.extend([tag] + [tag.replace("B-", "I-")] * (len(folded) - 1))
        elif characters:
            sentences.append((characters, tags))
            characters, tags = [], []
    return sentences


def read_lines(path: Path) -> list[str]:
    """Plain text, a sentence or a document a line, in folded characters without white space."""
    lines = (FOLD.normalize_str("".join(line.split())) for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def spans(tags: list[str]) -> list[tuple[int, int, str]]:
    """Entities (start, end, type) of a valid IOB2 sequence."""
    found: list[tuple[int, int, str]] = []
    for i, tag in enumerate([*tags, "O"]):
        if found and found[-1][1] < 0 and not tag.startswith("I-"):
            start, _, kind = found[-1]
            found[-1] = (start, i, kind)
        if tag.startswith("B-"):
            found.append((i, -1, tag[2:]))
    return found


def tags_of(length: int, kind: str) -> list[str]:
    return [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)


class Traditional:
    """Rewrites a sentence in traditional characters, one for one."""

    def __init__(self) -> None:
        import opencc  # pip install opencc-python-reimplemented

        self._converter = opencc.OpenCC("s2t")

    def __call__(self, characters: list[str]) -> list[str]:
        converted = list(self._converter.convert("".join(characters)))
        return converted if len(converted) == len(characters) else characters
