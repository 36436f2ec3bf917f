"""Rows of tokens with tags, from datasets and JSON: their keys, and which rows are labelled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...core.errors import CorpusError
from ...variants.tags import OUTSIDE, Shape
from .columns import Tagged
from .defects import Defects

TOKENS = ("tokens", "words", "token", "text", "sentence")
TAGS = ("ner_tags", "tags", "labels", "ner", "label", "ner_labels", "ner_tag", "bio", "bio_tags", "iob_tags")
NOT_LABELLED = (None, -1, -100)  # ClassLabel's mark of a hidden test set; the one that losses ignore


def keys(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """The keys of the tokens and of the tags of a row; None if it is not a row of tokens."""
    tokens = next((key for key in TOKENS if _pieces(row.get(key)) is not None), None)
    if tokens is None:
        return None
    count = len(_pieces(row[tokens]) or ())
    characters = len(row[tokens]) if isinstance(row[tokens], str) else -1
    for key in TAGS:
        tags = row.get(key)
        if key == tokens or not isinstance(tags, list | tuple | str):
            continue
        tags = tags.split() if isinstance(tags, str) else tags
        if all(isinstance(tag, str | int) or tag is None for tag in tags) and (
            not isinstance(row[tokens], str) or (tags and len(tags) in (count, characters) and _like_tags(tags))
        ):
            return tokens, key
    return None


def _like_tags(tags: Sequence[Any]) -> bool:
    """Whether the labels of a text are tags, not the classes of the text: with letters, or O."""
    return all(isinstance(tag, str) and (tag in OUTSIDE or Shape("first").split(tag)) for tag in tags)


def _pieces(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return value.split()
    if isinstance(value, list | tuple) and all(isinstance(piece, str) for piece in value):
        return list(value)
    return None


def tagged(
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    found: tuple[str, str],
    defects: Defects,
    names: Sequence[str] | None = None,
) -> list[Tagged]:
    """Tokens and tags of numbered rows without the unlabelled ones; `names` are those of tags that are numbers."""
    token_key, tag_key = found
    blocks: list[Tagged] = []
    for number, row in rows:
        tags, tokens = row.get(tag_key) if isinstance(row, Mapping) else None, None
        if isinstance(row, Mapping):
            tokens = _pieces(row.get(token_key))
        tags = tags.split() if isinstance(tags, str) else tags
        if tokens is None:
            defects.add("malformed", number, f"'{token_key}' is not a list of strings")
            continue
        if isinstance(row[token_key], str) and tags and len(tags) == len(row[token_key]) != len(tokens):
            tokens = list(row[token_key])
        if tags is None or any(tag in NOT_LABELLED for tag in tags):
            missing = "no tags" if tags is None else f"a tag of {next(t for t in tags if t in NOT_LABELLED)}"
            defects.add("unlabelled", number, missing.replace("None", "null"))
            continue
        given = [_name(tag, names) for tag in tags]
        if any(not isinstance(tag, str) or tag.isdecimal() for tag in given):
            raise CorpusError(
                f"{defects.where}: the tags in '{tag_key}' are numbers without names",
                "cast the column to a list of ClassLabel, which carries the names, or write them as strings (B-PER)",
            )
        if len(given) != len(tokens):
            defects.add("lengths", number, f"{len(tokens)} tokens and {len(given)} tags")
        else:
            blocks.append(Tagged(tokens, given, [number] * len(given)))
    return blocks


def _name(tag: Any, names: Sequence[str] | None) -> Any:
    return names[tag] if names and isinstance(tag, int) and 0 <= tag < len(names) else tag
