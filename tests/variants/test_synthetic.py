from __future__ import annotations

import json
from pathlib import Path

import pytest
from slimner.core.errors import CheckpointError, UnknownNameError
from slimner.eval import read_corpus
from slimner.variants import LoadOptions, resolve_checkpoint
from slimner.variants.synthetic import SHAPES, _write_tokenizer, configured
from tokenizers import Tokenizer

# Weights of the published models without the layer that pools sentences, which token classification has not, and with
# a classifier of seven tags (768 * 7 + 7).
PUBLISHED = {
    "albert-base": 11_092_992,
    "bert-base": 108_891_648,
    "bert-base-chinese": 101_677_056,
    "deberta-v3-base": 183_831_552,
    "distilbert": 66_362_880,
    "electra-base": 108_891_648,
    "roberta-base": 124_055_040,
    "xlm-roberta-base": 277_453_056,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_synthetic_model_has_the_weights_of_the_published_one(name: str) -> None:
    import torch
    from transformers import AutoModelForTokenClassification

    with torch.device("meta"):
        config = configured(name, {}, SHAPES[name].vocabulary, ["O", *(f"B-{i}" for i in range(6))])
        module = AutoModelForTokenClassification.from_config(config)
    assert sum(p.numel() for p in module.parameters()) == PUBLISHED[name] + 768 * 7 + 7


@pytest.mark.parametrize("name", SHAPES)
def test_every_ideograph_is_a_known_token(name: str, tmp_path: Path) -> None:
    assert _write_tokenizer(SHAPES[name], None, tmp_path) == SHAPES[name].vocabulary
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = "新华社北京１１月２５日电，外交部发言人。"
    encoding = tokenizer.encode(text)
    unknown = {tokenizer.token_to_id(token) for token in ("[UNK]", "<unk>")}
    assert not unknown & set(encoding.ids)
    count = len(encoding.ids) - tokenizer.num_special_tokens_to_add(False)
    if SHAPES[name].kind == "wordpiece":
        assert count == len(text)
    else:
        assert len(text) <= count <= 3 * len(text) + 1


def test_the_usual_ideographs_lie_together(tmp_path: Path) -> None:
    _write_tokenizer(SHAPES["bert-base-chinese"], None, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    corpus = read_corpus("news-zh")
    numbers = {i for sentence in corpus.sentences for i in tokenizer.encode(sentence.text).ids}
    assert len(numbers) > 2000
    assert sum(number < 9_500 for number in numbers) > 0.99 * len(numbers)
    assert len(tokenizer.get_vocab()) == SHAPES["bert-base-chinese"].vocabulary  # nothing twice


def test_a_vocabulary_file_gives_its_tokens(tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocab.txt"
    # a line separator is a token of real vocabularies, not the end of a line
    vocabulary.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n\u2028\n北\n京\nbei\n##jing\n", encoding="utf-8")
    assert _write_tokenizer(SHAPES["bert-base-chinese"], vocabulary, tmp_path) == 9
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.encode("北京 Beijing").tokens == ["[CLS]", "北", "京", "bei", "##jing", "[SEP]"]
    vocabulary.write_text("[PAD]\n[UNK]\n[CLS]\n北\n", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"no \[SEP\]"):
        _write_tokenizer(SHAPES["bert-base-chinese"], vocabulary, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("synthetic:bert-base?layers=many", "layers=many is not a number"),
        ("synthetic:bert-base?layers=0", "layers=0 is not a number"),
        ("synthetic:bert-base?hidden=100", "not a multiple of 64"),
        ("synthetic:bert-base?heads=3", "no option 'heads'"),
        ("synthetic:bert-base?vocab=nowhere.txt", "no vocabulary nowhere.txt"),
    ],
)
def test_a_wrong_option_is_named(name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        resolve_checkpoint(name)


def test_an_unknown_shape_gives_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'bert-base-chinese'"):
        resolve_checkpoint("synthetic:bert-base-chines")


def test_tags_of_a_synthetic_model_are_the_users(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMNER_CACHE", str(cache))
    name = "synthetic:raner-base?layers=1&hidden=64"
    own = resolve_checkpoint(name, LoadOptions(labels=("O", "B-X", "I-X")))
    assert (own.labels.tags, own.labels.decoding, own.trained) == (("O", "B-X", "I-X"), "crf", False)
    with pytest.raises(CheckpointError, match="have no O"):
        resolve_checkpoint(name, LoadOptions(labels=("B-X", "I-X")))


def test_a_run_of_random_weights_has_no_f1_and_says_what_stands_in_its_place(slimner: object, tmp_path: Path) -> None:
    done = slimner(  # type: ignore[operator]
        *("run", "synthetic:bert-base-chinese?layers=1&hidden=64", "--variants", "onnx-int8", "--tie-budget", "0"),
        *("--repetitions", "1", "--samples", "20", "--warmup", "2"),
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert "random weights" in done.stderr
    assert "% same tags" in done.stdout
    assert "logits within" in done.stdout
    assert "F1 and constraints on it are not checked: random weights" in done.stdout
    results = json.loads((tmp_path / "slimner-report" / "results.json").read_text())
    assert (results["corpus"], results["evaluations"]) == (None, [])
    assert "random weights, so nothing is scored" in (tmp_path / "slimner-report" / "report.md").read_text()
