"""Hugging Face datasets: a directory of save_to_disk or of parquet files, one parquet file, or an id of the hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ...core.errors import CorpusError, MissingDependencyError
from ...core.install import install_hint
from . import columns, rows, tokens
from .defects import Defects
from .sentences import Sentence


def split_name(name: str) -> tuple[str, str | None]:
    """Name and split of `name` or `name:split`."""
    if ":" in name and not Path(name).exists():
        name, _, split = name.rpartition(":")
        return name, split
    return name, None


def read(name: str, defects: Defects) -> tuple[list[Sentence], str | None]:
    """The sentences of a dataset (of its split if the name ends in `:split`), and the scheme of its tags."""
    if importlib.util.find_spec("datasets") is None:
        raise MissingDependencyError(f"reading '{name}' needs datasets, not installed here", install_hint("datasets"))
    table = _one_split(*split_name(name))
    features: dict[str, Any] = table.features
    row = next(iter(table), None)
    found = _keys(features)
    if found:
        names = getattr(getattr(features[found[1]], "feature", None), "names", None)
        return columns.sentences(tokens.tagged(enumerate(table, 1), found, defects, names), defects)
    form = rows.form_of(row) or ("jsonl" if "text" in features and "entities" in features else None)
    if form is None:
        raise _unusable(name, features)
    return rows.read(enumerate(table, 1), form, defects)


def _keys(features: dict[str, Any]) -> tuple[str, str] | None:
    """The columns of tokens and of tags, by name and by being lists of strings and of tags."""
    lists = [key for key in features if getattr(features[key], "feature", None) is not None]
    token_key = next((key for key in tokens.TOKENS if key in lists), None)
    tag_key = next((key for key in tokens.TAGS if key in lists and not isinstance(features[key].feature, dict)), None)
    return (token_key, tag_key) if token_key and tag_key else None


def _unusable(name: str, features: dict[str, Any]) -> CorpusError:
    return CorpusError(
        f"{name}: its columns are {', '.join(features)}",
        f"a dataset has tokens ({' or '.join(tokens.TOKENS[:2])}) and tags ({', '.join(tokens.TAGS[:4])}), "
        "or text and entities",
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
