"""Hugging Face datasets: a directory of save_to_disk or of parquet files, one parquet file, or an id of the hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ...core.errors import CorpusError, MissingDependencyError
from . import columns, rows
from .defects import Defects
from .sentences import Sentence

TOKENS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "labels", "ner")


def split_name(name: str) -> tuple[str, str | None]:
    """Name and split of `name` or `name:split`."""
    if ":" in name and not Path(name).exists():
        name, _, split = name.rpartition(":")
        return name, split
    return name, None


def read(name: str, defects: Defects) -> tuple[list[Sentence], str | None]:
    """The sentences of a dataset (of its split if the name ends in `:split`), and the scheme of its tags."""
    if importlib.util.find_spec("datasets") is None:
        raise MissingDependencyError(
            f"reading '{name}' needs datasets, not installed here", "pip install 'slimner[datasets]'"
        )
    table = _one_split(*split_name(name))
    features: dict[str, Any] = table.features
    if "text" in features:
        form = _form(features)
        if form is None:
            raise _unusable(name, features)
        return rows.read(enumerate(table, 1), form, defects), None
    tokens = next((column for column in TOKENS if column in features), None)
    tags = next((column for column in TAGS if column in features), None)
    if tokens is None or tags is None:
        raise _unusable(name, features)
    names = getattr(getattr(features[tags], "feature", None), "names", None)
    blocks: list[columns.Tagged] = []
    for number, row in enumerate(table, 1):
        given = [names[tag] if names and isinstance(tag, int) else tag for tag in row[tags]]
        if any(not isinstance(tag, str) for tag in given):
            raise CorpusError(
                f"{name}: the tags in '{tags}' are numbers without names",
                "cast the column to a list of ClassLabel, which carries the names, or to strings",
            )
        if len(given) != len(row[tokens]):
            defects.add("lengths", number, f"{len(row[tokens])} tokens and {len(given)} tags")
        else:
            blocks.append(columns.Tagged(list(row[tokens]), given, [number] * len(given)))
    return columns.sentences(blocks, defects)


def _form(features: dict[str, Any]) -> str | None:
    if "label" in features or "labels" in features:
        return "doccano"
    if "entities" not in features:
        return None
    return "doccano" if "start_offset" in str(features["entities"]) else "jsonl"


def _unusable(name: str, features: dict[str, Any]) -> CorpusError:
    return CorpusError(
        f"{name}: its columns are {', '.join(features)}",
        f"a dataset has tokens ({' or '.join(TOKENS)}) and tags ({', '.join(TAGS)}), or text and entities",
    )


def _one_split(name: str, split: str | None) -> Any:
    import datasets

    try:
        found = _load(Path(name), name)
    except Exception as error:  # whatever the library and the network can raise
        raise CorpusError(
            f"no dataset '{name}': {type(error).__name__}: {error}",
            "give a directory of save_to_disk, a parquet file, or an id of the hub that can be reached or is cached",
        ) from error
    if not isinstance(found, datasets.DatasetDict):
        if split:
            raise CorpusError(f"'{name}' has no splits", f"leave ':{split}' out")
        return found
    if split is None and len(found) == 1:
        return next(iter(found.values()))
    if split not in found:
        wrong = f"no split '{split}'" if split else "several splits"
        raise CorpusError(
            f"'{name}' has {wrong}: {', '.join(map(str, found))}", f"name one: {name}:{next(iter(found))}"
        )
    return found[split]


def _load(path: Path, name: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        return datasets.load_from_disk(str(path))
    if path.is_file():
        import pyarrow.parquet

        return datasets.Dataset(pyarrow.parquet.read_table(path))
    return datasets.load_dataset(name)
