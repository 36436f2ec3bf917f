"""Hugging Face datasets: of save_to_disk, of parquet files, and by an id of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from slimner.core.errors import CorpusError
from slimner.eval import CorpusSource, read_corpus

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()

TAGS = ["O", "B-PER", "I-PER", "B-LOC"]
ROWS = {
    "tokens": [["Emma", "Watson", "isn't", "in", "U.S."], ["Nobody", "spoke"]],
    "ner_tags": [[1, 2, 0, 0, 3], [0, 0]],
}
ENTITIES = [[(0, 11, "PER"), (21, 25, "LOC")], []]


def table(rows: dict[str, Any] | None = None, tags: list[str] | None = None) -> Any:
    names = TAGS if tags is None else tags
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=names) if names else datasets.Value("int64")),
        }
    )
    return datasets.Dataset.from_dict(rows or ROWS, features=features)


def read(name: object, **source: Any) -> Any:
    return read_corpus(CorpusSource(name=str(name), **source))


def test_a_directory_of_save_to_disk(tmp_path: Path) -> None:
    table().save_to_disk(tmp_path / "saved")
    corpus = read(tmp_path / "saved")
    assert [sentence.entities for sentence in corpus.sentences] == ENTITIES
    assert [sentence.text for sentence in corpus.sentences] == ["Emma Watson isn't in U.S.", "Nobody spoke"]
    assert (corpus.format, corpus.scheme, corpus.sentences[0].words) == ("dataset", "IOB2", True)


def test_a_parquet_file_and_a_directory_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    table().to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    one = read(tmp_path / "data" / "test-00000-of-00001.parquet")
    assert [sentence.entities for sentence in one.sentences] == ENTITIES
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    assert read(tmp_path / "data").sha256 == one.sha256


def test_a_split_is_named_behind_a_colon(tmp_path: Path) -> None:
    part = table({"tokens": [["Emma"]], "ner_tags": [[1]]})
    datasets.DatasetDict({"train": table(), "test": part}).save_to_disk(tmp_path / "saved")
    assert len(read(f"{tmp_path / 'saved'}:test").sentences) == 1
    assert len(read(f"{tmp_path / 'saved'}:train").sentences) == 2
    with pytest.raises(CorpusError, match=r"several splits: train, test; name one: .*saved:train"):
        read(tmp_path / "saved")
    with pytest.raises(CorpusError, match="no split 'dev': train, test"):
        read(f"{tmp_path / 'saved'}:dev")


def test_texts_with_entities_and_tags_in_another_scheme(tmp_path: Path) -> None:
    rows = [{"text": "王芳在京", "entities": [{"start": 0, "end": 2, "type": "PER"}]}]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "spans")
    sentence = read(tmp_path / "spans").sentences[0]
    assert (sentence.entities, sentence.words) == ([(0, 2, "PER")], False)
    names = ["O", "B-PER", "E-PER", "S-LOC"]
    table(tags=names).save_to_disk(tmp_path / "bioes")
    corpus = read(tmp_path / "bioes")
    assert (corpus.scheme, [sentence.entities for sentence in corpus.sentences]) == ("BIOES", ENTITIES)


def test_an_id_of_the_hub_comes_from_the_cache_when_no_hub_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is what the library itself leaves behind a download: prepared under owner___name."""
    (tmp_path / "data").mkdir()
    table().to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    cache = tmp_path / "cache"
    builder = datasets.load_dataset_builder(str(tmp_path / "data"), cache_dir=str(cache))
    builder.repo_id, builder.dataset_name = "owner/words", "words"
    builder._cache_dir = str(cache / "owner___words" / "default" / "0.0.0" / "0123456789abcdef")
    builder.download_and_prepare()
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", cache)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    corpus = read("owner/words:test", format="dataset")
    assert [sentence.entities for sentence in corpus.sentences] == ENTITIES
    assert corpus.name == "owner/words:test"
    with pytest.raises(CorpusError, match="no dataset 'owner/others'"):
        read("owner/others", format="dataset")


def test_nothing_is_fetched_unless_a_dataset_is_asked_for() -> None:
    with pytest.raises(CorpusError, match=r"no corpus 'owner/words'.*--format dataset"):
        read("owner/words")


def test_numbers_without_names_and_rows_of_unequal_length_are_refused(tmp_path: Path) -> None:
    table(tags=[]).save_to_disk(tmp_path / "numbers")
    with pytest.raises(CorpusError, match=r"tags in 'ner_tags' are numbers without names; cast"):
        read(tmp_path / "numbers")
    table({"tokens": [["a", "b"], ["a", "b"]], "ner_tags": [[0, 0], [0]]}).save_to_disk(tmp_path / "unequal")
    with pytest.raises(CorpusError, match="unequal:2: 2 tokens and 1 tags"):
        read(tmp_path / "unequal")
    datasets.Dataset.from_dict({"a": [1]}).save_to_disk(tmp_path / "other")
    with pytest.raises(CorpusError, match="its columns are a; a dataset has tokens"):
        read(tmp_path / "other")
