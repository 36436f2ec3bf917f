from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from slimner import zoo
from slimner.core.errors import CheckpointError
from slimner.variants import resolve_checkpoint


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def edit(path: Path, **changes: object) -> None:
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, **changes}))


def test_the_embedded_checkpoint_is_what_its_card_says() -> None:
    checkpoint = resolve_checkpoint("news-zh")
    assert checkpoint.architecture == "ConvBert"
    assert set(checkpoint.labels.tags) == {"O", *(f"{p}-{t}" for p in "BI" for t in ("PER", "LOC", "ORG"))}
    assert checkpoint.labels.decoding == "constrained"
    assert checkpoint.window == 256
    assert (zoo.checkpoint() / "model.safetensors").stat().st_size <= 14_000_000
    card = (zoo.checkpoint() / "README.md").read_text(encoding="utf-8")
    assert f"{checkpoint.parameters:,}" in card


def test_the_hash_changes_with_anything_that_changes_an_answer(copy: Path) -> None:
    before = resolve_checkpoint(str(copy))
    edit(copy / "config.json", hidden_act="relu")
    after = resolve_checkpoint(str(copy))
    assert before.sha256 != after.sha256
    assert before.parameters == after.parameters


def test_a_missing_checkpoint_says_what_to_give() -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint 'nowhere'; .*news-zh"):
        resolve_checkpoint("nowhere")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(CheckpointError, match=f"has no {file}"):
        resolve_checkpoint(str(copy))


def test_a_pickled_checkpoint_is_not_loaded(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"pickle pytorch_model.bin, which is not loaded without permission.*--allow-pickle"
    ):
        resolve_checkpoint(str(copy))


def test_truncated_weights_are_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut short"):
        resolve_checkpoint(str(copy))


@pytest.mark.parametrize("content", [b"", b"\x00" * 4, b"\xff" * 64, b"\x02\x00\x00\x00\x00\x00\x00\x00[]"])
def test_weights_that_are_no_safetensors_are_refused(copy: Path, content: bytes) -> None:
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="safetensors"):
        resolve_checkpoint(str(copy))


def test_damaged_json_is_refused_with_its_file(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        resolve_checkpoint(str(copy))


def test_a_model_of_another_kind_is_refused(copy: Path) -> None:
    edit(copy / "config.json", architectures=["BertForMaskedLM"])
    with pytest.raises(CheckpointError, match="BertForMaskedLM does not classify tokens"):
        resolve_checkpoint(str(copy))


def test_unnamed_labels_are_refused_with_the_remedy(copy: Path) -> None:
    edit(copy / "config.json", id2label={"0": "LABEL_0", "1": "LABEL_1"})
    with pytest.raises(CheckpointError, match=r"LABEL_0.*--labels O,B-PER"):
        resolve_checkpoint(str(copy))


@pytest.mark.parametrize(
    "changes",
    [
        {"id2label": {"0": [1], "1": None}},
        {"max_position_embeddings": "256"},
        {"architectures": {"a": 1}},
        {"ner_decoding": 3},
    ],
)
def test_a_configuration_of_wrong_types_is_refused(copy: Path, changes: dict[str, object]) -> None:
    edit(copy / "config.json", **changes)
    with pytest.raises(CheckpointError, match=r"config\.json: Expected"):
        resolve_checkpoint(str(copy))


def test_a_damaged_tokenizer_is_found_before_anything_is_built(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        resolve_checkpoint(str(copy))
