"""From a text, the entities that are scored are the entities that are served, whatever characters are in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slimner import zoo
from slimner.eval.corpora.sentences import from_characters
from slimner.eval.scoring import predict
from slimner.variants import Predictor
from slimner.variants.labels import Labels, spans
from tokenizers import Tokenizer

from .made import byte_pairs, unigram, word_piece
from .written import CHARACTERS

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
# besides: characters that become several or none, half of a pair, and text that reads like special tokens
ODD = [*CHARACTERS, *"㎡ﬁ①½ｱ", "\ud800", "\ufffd", "\u00ad", "NBA", "Don't", "[SEP]", "</s>"]


def answers(ids: np.ndarray) -> np.ndarray:
    """Logits that depend on nothing but the tokens."""
    drawn: np.ndarray = np.random.default_rng(ids.tolist()).normal(size=(len(ids), len(TAGS))).astype(np.float32)
    return drawn


@pytest.fixture(scope="module", params=["characters", "WordPiece", "byte-level BPE", "Unigram"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    if request.param == "characters":
        return Tokenizer.from_file(str(zoo.checkpoint() / "tokenizer.json"))
    made = {"WordPiece": word_piece, "byte-level BPE": lambda: byte_pairs(space=True), "Unigram": unigram}
    tokenizer, _ = made[request.param]()
    return tokenizer


@settings(deadline=None, max_examples=100)
@given(text=st.lists(st.sampled_from(ODD), max_size=14).map("".join), constrained=st.booleans())
def test_what_is_served_is_what_is_scored(tokenizer: Tokenizer, text: str, constrained: bool) -> None:
    predictor = Predictor(tokenizer, answers, Labels(TAGS, "constrained" if constrained else "argmax"), 16)
    sentence = from_characters(list(text), [])
    scored = [
        (sentence.tokens[a][0], sentence.tokens[b - 1][1], kind)
        for a, b, kind in spans(predict(predictor, [sentence])[0])
    ]
    assert scored == [(entity.start, entity.end, entity.type) for entity in predictor(text)]
    assert all(text[entity.start : entity.end] == entity.text for entity in predictor(text))
