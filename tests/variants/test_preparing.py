"""Checkpoints in other layouts: what they become, and what is refused."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slimner.core.errors import CheckpointError
from slimner.variants import VARIANTS, LoadOptions, resolve_checkpoint
from slimner.variants.predictor import Predictor
from slimner.variants.variant import BuildContext
from tokenizers import Tokenizer

from .conftest import TAGS, TEXTS, train_tokenizer

PICKLE = LoadOptions(allow_pickle=True)
BIOES = ("O", *(f"{letter}-{kind}" for kind in ("PER", "LOC") for letter in "BIES"))


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMNER_CACHE", str(cache))


@pytest.fixture
def copy(architecture: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(architecture("bert"), tmp_path / "copy"))


def edit(path: Path, **changes: object) -> None:
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, **changes}))


def weights(path: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(path / "model.safetensors")


def as_pickle(directory: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()


def test_a_pickle_and_a_bare_vocabulary_become_safetensors_and_a_fast_tokenizer(
    copy: Path, architecture: Callable[[str], Path]
) -> None:
    original = resolve_checkpoint(str(architecture("bert")))
    vocabulary = Tokenizer.from_file(str(copy / "tokenizer.json")).get_vocab()
    as_pickle(copy)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (copy / name).unlink(missing_ok=True)
    (copy / "vocab.txt").write_text("".join(f"{token}\n" for token in sorted(vocabulary, key=vocabulary.__getitem__)))
    prepared = resolve_checkpoint(str(copy), PICKLE)
    assert (prepared.name, prepared.labels, prepared.parameters) == ("copy", original.labels, original.parameters)
    ours, theirs = weights(prepared.path), weights(original.path)
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours)
    mine, fast = (Tokenizer.from_file(str(c.tokenizer)) for c in (prepared, original))
    for text in TEXTS:
        fast.no_truncation()
        assert mine.encode(text).ids == fast.encode(text).ids
        assert mine.encode(text).offsets == fast.encode(text).offsets
    assert resolve_checkpoint(str(copy), PICKLE).path == prepared.path


def test_safetensors_are_taken_before_a_pickle(copy: Path) -> None:
    (copy / "pytorch_model.bin").write_bytes(b"never read")
    assert resolve_checkpoint(str(copy), PICKLE).path == copy.resolve()


class Hostile:
    """A pickle that makes a directory when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_in_it_is_refused_and_the_code_not_run(copy: Path, tmp_path: Path, zipped: bool) -> None:
    import torch

    (copy / "model.safetensors").unlink()
    content = {"classifier.weight": Hostile(tmp_path / "trace")}
    if zipped:
        torch.save(content, copy / "pytorch_model.bin")
    else:
        (copy / "pytorch_model.bin").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: not read as weights"):
        resolve_checkpoint(str(copy), PICKLE)
    assert not (tmp_path / "trace").exists()


def test_weights_in_parts_become_one(copy: Path, architecture: Callable[[str], Path]) -> None:
    from safetensors.numpy import save_file

    tensors = weights(copy)
    (copy / "model.safetensors").unlink()
    parts = [dict(itertools.islice(tensors.items(), i, None, 2)) for i in range(2)]
    names = {}
    for i, part in enumerate(parts, 1):
        save_file(part, copy / f"model-0000{i}-of-00002.safetensors")
        names |= dict.fromkeys(part, f"model-0000{i}-of-00002.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    prepared = weights(resolve_checkpoint(str(copy)).path)
    assert all((prepared[name] == tensors[name]).all() for name in tensors)


def test_code_of_a_checkpoint_is_never_run(copy: Path) -> None:
    edit(copy / "config.json", auto_map={"AutoModelForTokenClassification": "modeling.Mine"})
    (copy / "modeling.py").write_text("raise SystemExit('run')")
    with pytest.raises(CheckpointError, match=r"names code of its own \(auto_map\), which slimner never runs"):
        resolve_checkpoint(str(copy))


def test_unnamed_tags_are_named_by_the_user(copy: Path) -> None:
    edit(copy / "config.json", id2label={str(i): f"LABEL_{i}" for i in range(7)})
    with pytest.raises(CheckpointError, match=r"'LABEL_0' is a number, not a name.*--labels O,B-PER,I-PER"):
        resolve_checkpoint(str(copy))
    named = resolve_checkpoint(str(copy), LoadOptions(labels=TAGS))
    assert named.labels.tags == TAGS
    assert (named.path / "model.safetensors").samefile(copy / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"--labels names 6 tags, .* has 7"):
        resolve_checkpoint(str(copy), LoadOptions(labels=TAGS[:6]))


def test_a_checkpoint_that_was_moved_is_prepared_again(copy: Path, tmp_path: Path) -> None:
    given = LoadOptions(scheme="IOB1")
    before = resolve_checkpoint(str(copy), given)
    after = resolve_checkpoint(str(copy.rename(tmp_path / "elsewhere")), given)
    assert (after.sha256, after.path) == (before.sha256, before.path)


def test_a_modelscope_directory_in_the_layout_of_transformers_takes_its_own_names(copy: Path) -> None:
    edit(copy / "config.json", id2label={str(i): f"LABEL_{i}" for i in range(7)})
    (copy / "configuration.json").write_text(json.dumps({"task": "named-entity-recognition"}))
    (copy / "label_mapping.json").write_text(json.dumps({tag: i for i, tag in enumerate(TAGS)}))
    assert resolve_checkpoint(str(copy)).labels.tags == TAGS


def test_a_scheme_named_by_the_user_is_part_of_the_checkpoint(copy: Path) -> None:
    plain, named = resolve_checkpoint(str(copy)), resolve_checkpoint(str(copy), LoadOptions(scheme="IOB1"))
    assert (plain.labels.scheme, named.labels.scheme) == ("IOB2", "IOB1")
    assert plain.sha256 != named.sha256
    with pytest.raises(CheckpointError, match="are not BMES"):
        resolve_checkpoint(str(copy), LoadOptions(scheme="BMES"))


def modelscope(directory: Path, *, crf: bool) -> tuple[Any, Any, dict[str, Any]]:
    """A directory as ModelScope lays it out; its encoder, its head and its weights."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(5)
    tokenizer = train_tokenizer("wordpiece")
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.4,
    )
    encoder, head = BertModel(config).eval(), torch.nn.Linear(32, len(BIOES))
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    layer = "linear" if crf else "classifier"
    tensors |= {f"head.{layer}.{name}": tensor for name, tensor in head.state_dict().items()}
    if crf:
        count = len(BIOES)
        tensors |= {
            "head.crf.start_transitions": torch.randn(count),
            "head.crf.end_transitions": torch.randn(count),
            "head.crf.transitions": torch.randn(count, count) * 2,
        }
    directory.mkdir()
    torch.save(tensors, directory / "pytorch_model.bin")
    vocabulary = tokenizer.get_vocab()
    (directory / "vocab.txt").write_text("".join(f"{t}\n" for t in sorted(vocabulary, key=vocabulary.__getitem__)))
    kind = "transformer-crf" if crf else "token-classification"
    for name, content in (
        ("config.json", {**config.to_dict(), "architectures": ["BertModel"]}),
        ("configuration.json", {"task": "named-entity-recognition", "model": {"type": kind}}),
        ("label_mapping.json", {tag: i for i, tag in enumerate(BIOES)}),
    ):
        (directory / name).write_text(json.dumps(content))
    return encoder, head, tensors


@pytest.mark.parametrize("crf", [True, False])
def test_a_modelscope_directory_answers_as_its_own_weights_say(tmp_path: Path, crf: bool) -> None:
    import torch

    encoder, head, tensors = modelscope(tmp_path / "raner", crf=crf)
    with pytest.raises(CheckpointError, match="--allow-pickle"):
        resolve_checkpoint(str(tmp_path / "raner"))
    source = resolve_checkpoint(str(tmp_path / "raner"), PICKLE)
    assert (source.name, source.architecture, source.window) == ("raner", "Bert", 64)
    assert (source.labels.tags, source.labels.scheme) == (BIOES, "BIOES")
    assert source.labels.decoding == ("crf" if crf else "argmax")
    found = 0
    for name in ("fp32", "onnx-fp32"):
        (tmp_path / name).mkdir()
        variant = VARIANTS.get(name)
        variant.build(BuildContext(checkpoint=source, directory=tmp_path / name, wide_dot_products=False))
        predictor = Predictor(
            Tokenizer.from_file(str(source.tokenizer)), variant.load(tmp_path / name, 1), source.labels, source.window
        )
        for text in ("王芳在广州。", "Baker Lonmi", "新华社北京上海"):
            ids = torch.tensor([predictor.encode(text).ids])
            with torch.inference_mode():
                emissions = head(encoder(ids).last_hidden_state)[0, 1:-1]
            assert np.abs(predictor.logits(predictor.encode(text)) - emissions.numpy()).max() <= 1e-4
            starts = [i for i, t in enumerate(predictor.encode(text).tokens[1:-1]) if not t.startswith("##")]
            path = emissions[starts].argmax(1).tolist()
            if crf:
                path = decoded_by_torch(emissions[starts], *(tensors[f"head.crf.{key}"] for key in CRF))
            assert predictor.tag(text).tags == source.labels.iob2(path)
            found += len(predictor(text))
    assert found or not crf


CRF = ("start_transitions", "end_transitions", "transitions")


def decoded_by_torch(emissions: Any, start: Any, end: Any, transitions: Any) -> list[int]:
    """The best path, by torch, the history kept as whole paths."""
    score, paths = start + emissions[0], [[tag] for tag in range(len(start))]
    for emission in emissions[1:]:
        best, origin = (score[:, None] + transitions + emission[None, :]).max(0)
        paths = [[*paths[int(origin[tag])], tag] for tag in range(len(start))]
        score = best
    return paths[int((score + end).argmax())]


def test_the_scores_of_a_crf_are_in_the_sealed_manifest_of_a_real_build(tmp_path: Path, slimner: Any) -> None:
    *_, tensors = modelscope(tmp_path / "raner", crf=True)
    done = slimner("build", tmp_path / "raner", "--allow-pickle", "--variant", "onnx-int8", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    from slimner.variants import verify

    labels = verify(tmp_path / "out").manifest.labels
    assert labels.crf is not None
    for mine, key in ((labels.crf.start, CRF[0]), (labels.crf.end, CRF[1]), (labels.crf.transitions, CRF[2])):
        assert (np.asarray(mine) == tensors[f"head.crf.{key}"].double().numpy()).all()
    text = (tmp_path / "out" / "manifest.json").read_text()
    assert json.loads(text)["labels"]["decoding"] == "crf"


def test_a_backbone_that_transformers_has_not_is_refused(tmp_path: Path) -> None:
    modelscope(tmp_path / "raner", crf=True)
    edit(tmp_path / "raner" / "config.json", model_type="structbert")
    with pytest.raises(CheckpointError, match="ModelScope backbone 'structbert' is not a model of transformers"):
        resolve_checkpoint(str(tmp_path / "raner"), PICKLE)
