"""A checkpoint does not choose code: keys that a loader would follow are refused by name, at any depth."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from slimner.core.errors import CheckpointError
from slimner.variants import resolve_checkpoint
from slimner.variants.foreign_code import CODE


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def configure(directory: Path, **keys: Any) -> None:
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, **keys}))


@pytest.mark.parametrize("value", ["somebody/kernel", {"": "eager", "text_config": "somebody/kernel"}])
@pytest.mark.parametrize(
    "key", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal", "_experts_implementation"]
)
def test_a_kernel_named_as_an_implementation_is_refused(copy: Path, key: str, value: Any) -> None:
    configure(copy, **{key: value})
    with pytest.raises(CheckpointError, match=f"{key}: somebody/kernel.*remove {key}"):
        resolve_checkpoint(str(copy))


@pytest.mark.parametrize("value", ["eager", "sdpa", None, {"": "eager"}])
def test_an_implementation_of_transformers_own_passes(copy: Path, value: Any) -> None:
    configure(copy, _attn_implementation=value)
    resolve_checkpoint(str(copy))


@pytest.mark.parametrize("key", CODE)
def test_keys_that_name_code_are_refused_wherever_they_stand(copy: Path, key: str) -> None:
    original = (copy / "config.json").read_text()
    for keys in ({key: {"x": "somebody/code"}}, {"text_config": {"deeper": [{key: True}]}}):
        (copy / "config.json").write_text(original)
        configure(copy, **keys)
        with pytest.raises(CheckpointError, match=rf"config\.json .*{key}"):
            resolve_checkpoint(str(copy))
    (copy / "config.json").write_text(original)
    configure(copy, **{key: None})
    resolve_checkpoint(str(copy))


def test_a_tokenizer_of_its_own_code_is_refused_where_there_is_no_file_of_it(copy: Path) -> None:
    (copy / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": ["tok.Mine", None]}}))
    resolve_checkpoint(str(copy))
    vocabulary = json.loads((copy / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    (copy / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n", encoding="utf-8")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json names code of its own"):
        resolve_checkpoint(str(copy))
