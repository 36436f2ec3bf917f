"""Word corpora: what slimner scores is what transformers answers, asked word by word, to the last tag."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from slimner.eval import Sentence, read_corpus
from slimner.eval.scoring import evaluate, predict, score
from slimner.variants import VARIANTS, Predictor, resolve_checkpoint
from slimner.variants.building import build
from slimner.variants.fitness import fitted
from tokenizers import Tokenizer

from .made import WORDS, byte_pairs, unigram, word_piece

TAGS = ["O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC", "creative-work") for prefix in "BI")]
WINDOW = 96


def sentences(number: int, longest: int, seed: int) -> str:
    """A column file of random words with random entities."""
    draw = random.Random(seed)
    lines: list[str] = []
    for _ in range(number):
        kind = ""
        for _ in range(draw.randint(1, longest)):
            kind = draw.choice([kind, kind, "", "PER", "LOC", "creative-work"])
            begins = not lines or not lines[-1].endswith(f"-{kind}") or draw.random() < 0.3
            tag = f"{'B' if begins else 'I'}-{kind}" if kind else "O"
            lines.append(f"{draw.choice(WORDS)}\t{tag}")
        lines.append("")
    return "\n".join(lines)


def write(directory: Path, text: str) -> str:
    path = directory / "words.bio"
    path.write_text(text, encoding="utf-8")
    return str(path)


def make_checkpoint(directory: Path, tokenizer: Any, names: dict[str, str], architecture: str) -> Path:
    import torch
    import transformers

    fast = getattr(transformers, f"{architecture}TokenizerFast")(tokenizer_object=tokenizer, **names)
    torch.manual_seed(3)
    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=len(fast),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=WINDOW + 2,
        initializer_range=0.5,
        id2label=dict(enumerate(TAGS)),
        label2id={tag: i for i, tag in enumerate(TAGS)},
        pad_token_id=fast.pad_token_id,
    )
    getattr(transformers, f"{architecture}ForTokenClassification")(config).save_pretrained(directory)
    fast.save_pretrained(directory)
    return directory


CHECKPOINTS = ("WordPiece", "byte-level BPE", "byte-level BPE without prefix space", "Unigram")


@pytest.fixture(scope="module", params=CHECKPOINTS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("checkpoints") / "words"
    if request.param == "WordPiece":
        return make_checkpoint(directory, *word_piece(), "Bert")
    if request.param == "Unigram":
        return make_checkpoint(directory, *unigram(), "XLMRoberta")
    return make_checkpoint(directory, *byte_pairs(space="without" not in request.param), "Roberta")


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    """The checkpoint as it is, through the variant that runs it unchanged."""
    source = fitted(resolve_checkpoint(str(checkpoint)))
    model = VARIANTS.get("fp32").load(checkpoint, 1)
    return Predictor(Tokenizer.from_file(str(source.tokenizer)), model, source.labels, source.window)


def asked_of_transformers(checkpoint: Path, corpus: tuple[Sentence, ...]) -> list[list[str]]:
    """Tags as transformers' own examples take them: the first token of each word, a word without tokens O."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerFast

    # transformers 5 makes XLM-R's tokenizer anew from the vocabulary; what was trained is in the file
    kind = PreTrainedTokenizerFast if "xlm" in (checkpoint / "config.json").read_text() else AutoTokenizer
    tokenizer = kind.from_pretrained(checkpoint, add_prefix_space=True)
    model = AutoModelForTokenClassification.from_pretrained(checkpoint).eval()
    predicted: list[list[str]] = []
    for sentence in corpus:
        words = [sentence.text[start:end] for start, end in sentence.tokens]
        encoded = tokenizer(words, is_split_into_words=True, return_tensors="pt", truncation=True, max_length=WINDOW)
        with torch.inference_mode():
            best = model(**encoded).logits[0].argmax(-1).tolist()
        tags = ["O"] * len(words)
        for token, word in reversed(list(enumerate(encoded.word_ids()))):
            if word is not None:
                tags[word] = TAGS[best[token]]
        predicted.append(tags)
    return predicted


def test_every_word_is_tagged_as_in_transformers(checkpoint: Path, predictor: Predictor, tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path, sentences(120, 14, seed=1)))
    theirs = asked_of_transformers(checkpoint, corpus.sentences)
    assert predict(predictor, corpus.sentences) == theirs
    assert len({tag for tags in theirs for tag in tags}) >= 3


def test_a_sentence_longer_than_the_model_keeps_its_answers(
    checkpoint: Path, predictor: Predictor, tmp_path: Path
) -> None:
    sentence = read_corpus(write(tmp_path, sentences(1, 400, seed=5))).sentences[0]
    assert len(sentence.tokens) > 2 * WINDOW
    theirs = asked_of_transformers(checkpoint, (sentence,))[0]
    assert all(tag == "O" for tag in theirs[WINDOW:])
    assert any(tag != "O" for tag in predict(predictor, [sentence])[0][-WINDOW // 2 :])


def test_an_artifact_scores_on_words_what_transformers_scores(tmp_path: Path, cache: Path) -> None:
    checkpoint = make_checkpoint(tmp_path / "words", *word_piece(), "Bert")
    artifact = build(resolve_checkpoint(str(checkpoint)), VARIANTS.get("fp32"), cache=cache, timeout_s=300)[0].path
    corpus = read_corpus(write(tmp_path, sentences(100, 14, seed=2)))
    gold = [list(sentence.tags) for sentence in corpus.sentences]
    ours = evaluate(artifact, corpus, 1)
    assert (ours.strict, ours.strict_by_type, ours.default) == score(
        gold, asked_of_transformers(checkpoint, corpus.sentences)
    )
    assert ours.strict.support > 200
    longer = read_corpus(write(tmp_path, sentences(4, 400, seed=3)))
    assert evaluate(artifact, longer, 1).strict.support == longer.facts.entities > 100


def test_words_that_the_tokenizer_makes_nothing_of_have_no_tag(predictor: Predictor) -> None:
    text = "Emma \u200b Watson"
    words = ((0, 4), (5, 6), (7, 13))
    tagging = predictor.tag_words(text, words)
    tokens = {word for word in predictor.encode_words(text, words).word_ids if word is not None}
    assert tagging.offsets == tuple(words[i] for i in sorted(tokens))
    assert predictor.tag_words("", ()).tags == ()
