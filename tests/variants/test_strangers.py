"""Checkpoints as people have them: opened rightly, or refused in one line with the cause and the next step."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slimner.core.errors import CheckpointError, UserError
from slimner.variants import VARIANTS, LoadOptions, resolve_checkpoint
from slimner.variants.building import libraries_may_fail
from slimner.variants.fitness import fitted, window_of
from tokenizers import Tokenizer

from .conftest import TAGS

Change = Callable[[Path], None]


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMNER_CACHE", str(cache))


@pytest.fixture
def copy(architecture: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(architecture("bert"), tmp_path / "copy"))


def configured(**changes: object) -> Change:
    def change(directory: Path) -> None:
        path = directory / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def with_weights(**extra: tuple[int, ...]) -> Change:
    """More weights, `__` for a dot in their names."""

    def change(directory: Path) -> None:
        from safetensors.numpy import load_file, save_file

        tensors = load_file(directory / "model.safetensors")
        tensors |= {name.replace("__", "."): np.ones(shape, np.float32) for name, shape in extra.items()}
        save_file(tensors, directory / "model.safetensors", {"format": "pt"})

    return change


def without(name: str) -> Change:
    def change(directory: Path) -> None:
        from safetensors.numpy import load_file, save_file

        tensors = {key: value for key, value in load_file(directory / "model.safetensors").items() if name not in key}
        save_file(tensors, directory / "model.safetensors", {"format": "pt"})

    return change


def tags(*names: object) -> Change:
    return configured(id2label={str(i): name for i, name in enumerate(names)})


def writing(name: str, content: str | bytes | dict[str, Any], instead_of: str = "model.safetensors") -> Change:
    def change(directory: Path) -> None:
        (directory / instead_of).unlink(missing_ok=True)
        raw = json.dumps(content) if isinstance(content, dict) else content
        (directory / name).write_bytes(raw if isinstance(raw, bytes) else raw.encode())

    return change


def in_parts(promised: str = "", held: str = "") -> Change:
    """The weights in one part, of which the index has one more, or the part."""

    def change(directory: Path) -> None:
        from safetensors.numpy import load_file, save_file

        part, tensors = "model-00001-of-00001.safetensors", load_file(directory / "model.safetensors")
        (directory / "model.safetensors").unlink()
        listed = {name: part for name in (*tensors, promised) if name}
        save_file(tensors | ({held: np.ones(1, np.float32)} if held else {}), directory / part, {"format": "pt"})
        (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))

    return change


def header(content: object, data: bytes = b"") -> bytes:
    raw = json.dumps(content).encode()
    return struct.pack("<Q", len(raw)) + raw + data


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 409100000\n"

REFUSED: dict[str, tuple[Change, str]] = {
    "a pointer of git": (
        writing("model.safetensors", POINTER),
        r"model\.safetensors is a Git LFS pointer.*git lfs pull",
    ),
    "a pointer for the tokenizer": (writing("tokenizer.json", POINTER), r"tokenizer\.json is a Git LFS pointer"),
    "TensorFlow": (writing("tf_model.h5", "x"), r"only TensorFlow's weights \(tf_model\.h5\).*from_tf=True"),
    "Flax": (writing("flax_model.msgpack", "x"), r"only Flax's weights.*from_flax=True"),
    "a missing part": (
        writing("model.safetensors.index.json", {"weight_map": {"a": "model-00001-of-00002.safetensors"}}),
        r"lacks model-00001-of-00002\.safetensors, 1 of 1 parts.*copy or download",
    ),
    "a part elsewhere": (
        writing("model.safetensors.index.json", {"weight_map": {"a": "../model.safetensors"}}),
        r"names a file elsewhere",
    ),
    "a part without a weight that the index has in it": (
        in_parts(promised="bert.no.weight"),
        r"index\.json has bert\.no\.weight in model-00001-of-00001\.safetensors, which does not hold it",
    ),
    "a part with a weight that the index has not": (
        in_parts(held="bert.more.weight"),
        r"00001\.safetensors holds bert\.more\.weight, which model\.safetensors\.index\.json does not have there",
    ),
    "llama.cpp": (writing("model.gguf", "GGUF"), r"only weights of llama\.cpp \(model\.gguf\); give the checkpoint"),
    "an adapter without its configuration": (
        writing("adapter_model.safetensors", "x", instead_of="nothing"),
        r"holds an adapter \(adapter_model\.safetensors\) that is not merged into the model; merge it",
    ),
    "two orders of tags": (
        configured(label2id={tag: 6 - number for number, tag in enumerate(TAGS)}),
        "O is 0 by id2label and 6 by label2id.*--labels",
    ),
    "parts without an index": (
        writing("model-00001-of-00002.safetensors", "x"),
        r"has model-00001-of-00002\.safetensors, but no model\.safetensors\.index\.json",
    ),
    "an adapter": (
        writing("adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "bert-base-chinese"}),
        r"is an adapter \(LORA\) of bert-base-chinese.*merge_and_unload",
    ),
    "an adapter beside weights": (
        writing("adapter_config.json", {}, instead_of="nothing"),
        r"is an adapter .*merge_and_unload",
    ),
    "a header of nonsense": (writing("model.safetensors", header([1])), "is not a whole safetensors file"),
    "a header longer than the file": (writing("model.safetensors", b"\xff" * 64), "header is longer than the file"),
    "offsets as text": (
        writing("model.safetensors", header({"a": {**F32, "data_offsets": ["0", "8"]}}, b"x" * 8)),
        "is not a whole safetensors file",
    ),
    "tensors that overlap": (
        writing("model.safetensors", header({"a": F32, "b": F32}, b"x" * 8)),
        "does not begin where the tensor before it ends",
    ),
    "a shape that is not its bytes": (
        writing("model.safetensors", header({"a": {**F32, "shape": [3]}}, b"x" * 8)),
        "a has 8 bytes, its shape makes 12",
    ),
    "more bytes than the header says": (
        writing("model.safetensors", header({"a": F32}, b"x" * 9)),
        "is longer than its header says",
    ),
    "no tensors": (writing("model.safetensors", header({})), "holds no tensors"),
    "quantized tensors": (
        writing("model.safetensors", header({"a": {"dtype": "I8", "shape": [8], "data_offsets": [0, 8]}}, b"x" * 8)),
        "holds I8: weights that were quantized before",
    ),
    "a quantization": (configured(quantization_config={"load_in_8bit": True}), "were quantized before"),
    "absurd layers": (configured(num_hidden_layers=10**9), r"num_hidden_layers is 1,000,000,000, but"),
    "an absurd vocabulary": (configured(vocab_size=10**12), r"vocab_size is 1,000,000,000,000, but"),
    "absurd positions": (configured(max_position_embeddings=10**10), r"max_position_embeddings is 10,000,000,000"),
    "no room for text": (
        writing("tokenizer_config.json", {"model_max_length": 2}, instead_of="tokenizer_config.json"),
        "at most 2 tokens leave no room beside 2 special ones; correct model_max_length",
    ),
    "fewer names than outputs": (tags(*TAGS[:5]), r"names 5 tags, the classifier has 7 outputs.*--labels.*--scheme"),
    "more names than outputs": (tags(*TAGS, "B-X", "I-X"), "names 9 tags, the classifier has 7 outputs"),
    "numbers for names": (tags(*range(7)), r"'0' is a number, not a name.*--labels.*--scheme"),
    "names of no scheme": (tags("O", *".,?!:;"), r"'\.' does not name a type of entity.*--labels.*--scheme"),
    "letters of no scheme": (tags("O", *(f"{p}-{t}" for t in "XYZ" for p in "IE")), r"E, I, are not those.*--scheme"),
    "another file of names": (
        writing("label_mapping.json", {"0": "O", "1": "B-PER"}, instead_of="nothing"),
        r"label_mapping\.json names 2 tags .* and config\.json 7 others",
    ),
}

UNFIT: dict[str, tuple[Change, str]] = {
    "a CRF": (
        with_weights(crf__transitions=(7, 7)),
        r"leave out the scores of a CRF \(crf\.transitions\).*ModelScope's",
    ),
    "a CRF in its class": (
        lambda path: [
            with_weights(crf__transitions=(7, 7))(path),
            configured(architectures=["BertCrfForTokenClassification"])(path),
        ][0],
        "leave out the scores of a CRF",
    ),
    "a recurrent layer": (with_weights(lstm__weight_ih_l0=(4, 4)), "leave out a recurrent layer"),
    "an adapter": (
        with_weights(bert__encoder__layer__0__attention__self__query__lora_A__weight=(8, 32)),
        r"leave out an adapter that is not merged.*merge_and_unload",
    ),
    "a second head": (with_weights(cls__predictions__bias=(500,)), "leave out a second head"),
    "weights of nobody": (with_weights(extra__weight=(3,)), r"leave out weights it has no place for \(extra\.weight\)"),
    "more layers": (configured(num_hidden_layers=1), r"layers: config\.json counts 1, the weights hold 2"),
    "fewer layers": (configured(num_hidden_layers=3), r"no weights for bert\.encoder\.layer\.2.* and \d+ more"),
    "no classifier": (without("classifier"), r"no weights for classifier\.bias, classifier\.weight.*fine-tuned"),
    "another size": (configured(intermediate_size=128), r"is 64 in the weights and 128 by config\.json"),
    "another class": (
        configured(architectures=["BertSpanForTokenClassification"]),
        "architecture BertSpanForTokenClassification, but model type 'bert' makes a BertForTokenClassification",
    ),
    "a width that heads do not divide": (configured(num_attention_heads=5), "transformers cannot load it"),
    "an activation of nobody": (configured(hidden_act="nobody"), "'nobody' that config.json has for 'hidden_act'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_a_whole_checkpoint_is_refused_before_anything_is_loaded(copy: Path, case: str) -> None:
    change, message = REFUSED[case]
    change(copy)
    with pytest.raises(CheckpointError, match=message) as refusal:
        resolve_checkpoint(str(copy))
    assert "\n" not in str(refusal.value)
    assert refusal.value.remedy


@pytest.mark.parametrize("case", UNFIT)
def test_weights_that_do_not_fit_the_class_are_refused_by_name(copy: Path, case: str) -> None:
    change, message = UNFIT[case]
    change(copy)
    with pytest.raises(CheckpointError, match=message) as refusal:
        fitted(resolve_checkpoint(str(copy)))
    assert "\n" not in str(refusal.value)
    assert refusal.value.remedy


HARMLESS: dict[str, Change] = {
    "a pooler and positions": with_weights(
        bert__pooler__dense__weight=(32, 32), bert__pooler__dense__bias=(32,), bert__embeddings__position_ids=(1, 64)
    ),
    "a class beside its backbone": configured(architectures=["BertModel", "BertForTokenClassification"]),
    "names in a list": configured(id2label=list(TAGS)),
    "a layer that the model has not": configured(max_window_layers=10**6),
    "no number": lambda path: (path / "config.json").write_text(
        (path / "config.json").read_text().replace('"hidden_size"', '"a": NaN, "b": Infinity, "hidden_size"')
    ),
    "no limit": writing("tokenizer_config.json", {"model_max_length": 10**30}, instead_of="tokenizer_config.json"),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_changes_no_answer_passes(copy: Path, architecture: Callable[[str], Path], case: str) -> None:
    HARMLESS[case](copy)
    source = fitted(resolve_checkpoint(str(copy)))
    assert (source.labels.tags, source.window) == (TAGS, 64)


def test_names_given_by_the_user_are_counted_against_the_classifier(copy: Path) -> None:
    tags(*TAGS[:5])(copy)
    assert resolve_checkpoint(str(copy), LoadOptions(labels=TAGS)).labels.tags == TAGS
    with pytest.raises(CheckpointError, match=r"--labels names 5 tags, .* has 7"):
        resolve_checkpoint(str(copy), LoadOptions(labels=TAGS[:5]))


@pytest.mark.parametrize("below", ["checkpoint-500", "models--org--ner/snapshots/0123", "models/damo/ner"])
def test_a_directory_above_checkpoints_names_them(copy: Path, tmp_path: Path, below: str) -> None:
    (tmp_path / "top" / below).parent.mkdir(parents=True)
    copy.rename(tmp_path / "top" / below)
    with pytest.raises(CheckpointError, match=rf"contains some; give one of them: .*{below}"):
        resolve_checkpoint(str(tmp_path / "top"))
    assert resolve_checkpoint(str(tmp_path / "top" / below)).labels.tags == TAGS


def test_a_trainers_last_checkpoint_is_named_last(tmp_path: Path) -> None:
    for step in (500, 1000, 1500, 20000):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"checkpoint-1000, .*checkpoint-1500, .*checkpoint-20000 and 1 more$"):
        resolve_checkpoint(str(tmp_path))


def test_a_link_into_a_cache_that_was_cleared_is_named(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors").symlink_to("../../blobs/gone")
    with pytest.raises(CheckpointError, match=r"model\.safetensors leads to .*gone, which is not there"):
        resolve_checkpoint(str(copy))


def test_a_token_without_a_row_is_refused_by_name(copy: Path) -> None:
    tokenizer = Tokenizer.from_file(str(copy / "tokenizer.json"))
    rows = tokenizer.get_vocab_size()
    tokenizer.add_tokens(["新冠"])
    tokenizer.save(str(copy / "tokenizer.json"))
    message = rf"gives '新冠' the number {rows:,}, the model has {rows:,} rows.*resize_token_embeddings"
    with pytest.raises(CheckpointError, match=message):
        fitted(resolve_checkpoint(str(copy)))


@pytest.mark.parametrize("name", ["roberta", "xlm-roberta", "bert", "deberta-v3"])
def test_the_window_is_what_the_model_answers(architecture: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    """RoBERTa counts positions from behind its padding index: of 66, 64 are for tokens."""
    directory = Path(shutil.copytree(architecture(name), tmp_path / name))
    limits = json.loads((directory / "tokenizer_config.json").read_text()) | {"model_max_length": 10**30}
    (directory / "tokenizer_config.json").write_text(json.dumps(limits))
    assert fitted(resolve_checkpoint(str(directory))).window == 64


@pytest.mark.parametrize("true", [0, 1, 63, 64, 100])
def test_the_longest_window_is_found_and_no_longer_one_than_is_asked_for(true: int) -> None:
    def model(ids: np.ndarray) -> np.ndarray:
        if len(ids) > true:
            raise IndexError("index out of range in self")
        return np.zeros((len(ids), 3))

    assert window_of(model, 7, 64) == min(true, 64)


def test_a_family_that_needs_more_than_text_is_refused_by_name_and_reason(copy: Path) -> None:
    from transformers import BrosConfig, BrosForTokenClassification

    config = BrosConfig(
        vocab_size=Tokenizer.from_file(str(copy / "tokenizer.json")).get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        id2label=dict(enumerate(TAGS)),
        label2id={tag: i for i, tag in enumerate(TAGS)},
    )
    BrosForTokenClassification(config).save_pretrained(copy)
    with pytest.raises(CheckpointError, match=r"Bros cannot run on text alone.*bbox") as caught:
        fitted(resolve_checkpoint(str(copy)))
    assert "places on a page" in caught.value.remedy


def test_what_a_library_raises_while_building_is_an_error_with_a_next_step_and_a_fault_of_ours_is_not(
    copy: Path,
) -> None:
    checkpoint, variant = resolve_checkpoint(str(copy)), VARIANTS.get("onnx-int8")
    said = r"Bert cannot be built as onnx-int8: LinAlgError: Singular matrix"
    with pytest.raises(UserError, match=said), libraries_may_fail(checkpoint, variant):
        np.linalg.inv(np.zeros((2, 2)))
    with pytest.raises(AttributeError), libraries_may_fail(checkpoint, variant):
        variant.build(None)
    with pytest.raises(CheckpointError), libraries_may_fail(checkpoint, variant):
        raise CheckpointError("its own words", "its own next step")


def test_a_narrow_classifier_made_wide_is_still_the_same_export(copy: Path, tmp_path: Path) -> None:
    """Logits forty times as large differ by forty times as much between two ways to add them up."""
    from safetensors.numpy import load_file, save_file
    from slimner.variants.building import FP32_TOLERANCE, USUAL_RANGE, build_in_child

    tensors = load_file(copy / "model.safetensors")
    tensors["classifier.weight"] *= 4000
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    (tmp_path / "out").mkdir()
    manifest = build_in_child(resolve_checkpoint(str(copy)), "fp32", tmp_path / "out", "k", "torchscript", None)
    assert manifest.parity.max_abs_logit_difference <= FP32_TOLERANCE * USUAL_RANGE
    assert manifest.parity.tag_agreement == 1
