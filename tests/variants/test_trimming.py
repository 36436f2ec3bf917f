"""A trimmed checkpoint answers what it kept as before, to the last bit, in every variant; the rest is counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slimner import zoo
from slimner.core.errors import CheckpointError, UserError
from slimner.jobs import trim
from slimner.variants import Reader, open_predictor, resolve_checkpoint
from slimner.variants.trimming import Trimming
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from ..conftest import Shared, Slimner
from .conftest import some_text

TEXTS = ("外交部发言人在上海说。", "王芳在广州对记者说，会议今天举行。", "龘 is a word [SEP] of 2026")
OTHERS = ("外交部发言人说。", "云南昆明下雪了。")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "kept.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("variant", ["fp32", "onnx-int8"])
def test_logits_of_what_was_kept_are_the_same_to_the_last_bit(
    variant: str, artifacts: dict[str, Path], tiny_checkpoint: Path, shared: Shared, kept: Path
) -> None:
    small = shared.directory("tiny-trimmed", lambda path: trim(tiny_checkpoint, path, keep=[kept]))
    before, after = open_predictor(artifacts[variant]), open_predictor(shared.artifact(small, variant))
    assert len(after.tokenizer.get_vocab()) < 100 < len(before.tokenizer.get_vocab())
    for text in (*TEXTS, OTHERS[0]):  # the last is none of the kept texts, but all of its tokens are
        assert np.array_equal(before.logits(before.encode(text)), after.logits(after.encode(text)))
        assert before.tag(text) == after.tag(text)


def test_what_it_loses_is_counted_and_characters_are_kept(
    tiny_checkpoint: Path, tmp_path: Path, kept: Path, slimner: Slimner
) -> None:
    others, characters = tmp_path / "others.txt", tmp_path / "characters.txt"
    others.write_text("\n".join(OTHERS) + "\n", encoding="utf-8")
    characters.write_text("云南昆明\n下雪了\n", encoding="utf-8")
    call = ("trim", tiny_checkpoint, "--keep", kept, "--outside", others, "--json")
    counts = {}
    for name, more in (("few", ()), ("more", ("--characters", characters))):
        done = slimner(*call, "--out", name, *more)
        assert done.returncode == 0, done.stderr
        counts[name] = json.loads(done.stdout)
    assert counts["few"]["outside"]["changed"] == 1
    assert counts["few"]["outside"]["after"]["unknown"] == 7  # 云南昆明下雪了
    assert counts["more"]["outside"]["changed"] == 0
    assert counts["few"]["kept"] < counts["more"]["kept"] < counts["few"]["tokens"]
    assert counts["few"]["kept_bytes"] < counts["few"]["weights_bytes"]
    assert slimner(*call[:-1], "--out", "few").returncode == 2  # it is there
    shown = slimner(*call[:-1], "--out", "shown")
    assert "1 of 2 other texts are read otherwise" in shown.stdout


def test_a_corpus_can_say_what_is_kept(tiny_checkpoint: Path, tmp_path: Path, small_corpus: Path) -> None:
    made = trim(tiny_checkpoint, tmp_path / "out", corpus=small_corpus)
    assert made.texts == 12
    assert 0 < made.unseen < 1


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_wordpiece_of_the_usual_families_is_trimmed(
    name: str, architecture: Callable[[str], Path], tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(some_text(5)) + "\nBa-ker \u0416\u0416 lonmi\u0416 [MASK]\n", encoding="utf-8")
    made = trim(architecture(name), tmp_path / "out", keep=[texts])  # compares the logits itself
    assert made.kept < made.tokens
    small = resolve_checkpoint(made.out)
    config = json.loads((small.path / "config.json").read_text(encoding="utf-8"))
    assert config["vocab_size"] == made.kept
    vocabulary = Tokenizer.from_file(str(small.tokenizer)).get_vocab()
    assert config["pad_token_id"] == vocabulary["[PAD]"]
    assert sorted(vocabulary.values()) == list(range(made.kept))


@pytest.mark.parametrize(("name", "kind"), [("roberta", "BPE"), ("albert", "Unigram")])
def test_vocabularies_that_cannot_be_cut_soundly_are_refused_by_name(
    name: str, kind: str, architecture: Callable[[str], Path], tmp_path: Path, kept: Path
) -> None:
    with pytest.raises(CheckpointError, match=kind):
        trim(architecture(name), tmp_path / "out", keep=[kept])
    assert not (tmp_path / "out").exists()


def test_nothing_to_keep_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no texts to keep"):
        trim("news-zh", tmp_path / "out")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded checkpoint's configuration with a WordPiece of many overlapping entries, high special numbers."""
    directory = tmp_path_factory.mktemp("pieces")
    entries = [a + b + c for a in ("", "##") for b in "abc" for c in ("", "a", "bc", "cab", "bb")]
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]"]
    vocabulary = {token: i for i, token in enumerate([*dict.fromkeys(entries), *special])}
    del vocabulary["##c"]  # so that some words end where nothing fits
    vocabulary = {token: i for i, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.save(str(directory / "tokenizer.json"))
    content = json.loads((zoo.checkpoint() / "config.json").read_text(encoding="utf-8"))
    (directory / "config.json").write_text(json.dumps(content | {"pad_token_id": None}), encoding="utf-8")
    (directory / "model.safetensors").symlink_to(zoo.checkpoint() / "model.safetensors")
    return directory


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abcAx ", min_size=1, max_size=12), min_size=1, max_size=4), st.text("abc ", max_size=12))
def test_every_text_whose_tokens_stayed_is_split_as_before(
    pieces: Path, tmp_path_factory: pytest.TempPathFactory, texts: list[str], other: str
) -> None:
    trimming = Trimming(resolve_checkpoint(str(pieces)))
    encodings = [trimming.reader.encode(text) for text in texts]
    for text, encoding in zip(texts, encodings, strict=True):
        trimming.add(encoding, text)
    directory = tmp_path_factory.mktemp("trimmed")
    numbers = trimming.write(directory)
    small = Reader(Tokenizer.from_file(str(directory / "tokenizer.json")))
    for text, encoding in zip(texts, encodings, strict=True):
        assert small.encode(text).tokens == encoding.tokens
    before = trimming.reader.encode(other)
    if trimming.reader.unknown not in before.ids and set(before.ids) <= set(numbers):
        assert small.encode(other).tokens == before.tokens
        assert [numbers[i] for i in small.encode(other).ids] == before.ids
