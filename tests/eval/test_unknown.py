"""The share of unknown tokens, counted by real tokenizers of three kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from slimner.eval import UNKNOWN_WARNED, unknown_in_corpus, unknown_in_texts
from slimner.eval.corpora.sentences import from_characters, from_words
from slimner.variants import Reader

from .made import byte_pairs, unigram, word_piece


def test_words_of_another_script_are_unknown_and_warned_of() -> None:
    reader = Reader(word_piece()[0])
    known = unknown_in_texts(["the Emma Watson of New York", ""], reader)
    assert (known.unknown, known.share, known.warned) == (0, 0.0, False)
    assert known.tokens >= 6
    mixed = unknown_in_texts(["the 京", "京 滬"], reader)
    assert (mixed.tokens, mixed.unknown, mixed.examples) == (4, 3, ("京", "滬"))
    assert mixed.share == 0.75 > UNKNOWN_WARNED
    assert mixed.warned


def test_a_corpus_is_counted_as_it_is_scored() -> None:
    reader = Reader(word_piece()[0])
    words = unknown_in_corpus([from_words(["the", "Emma京", "of"], [(1, 2, "PER")])], reader)
    assert words.unknown == 1
    assert words.examples == ("Emma京",)
    characters = unknown_in_corpus([from_characters(list("the京"), [])], reader)
    assert (characters.tokens, characters.unknown) == (2, 1)


@pytest.mark.parametrize(
    ("make", "share"), [(unigram, 0.5), (lambda: byte_pairs(space=True), 0.0), (lambda: byte_pairs(space=False), 0.0)]
)
def test_a_byte_level_tokenizer_knows_every_text(make: Callable[[], tuple[Any, dict[str, str]]], share: float) -> None:
    tokenizer = make()[0]
    counted = unknown_in_texts(["滬滬 滬"], Reader(tokenizer))
    assert counted.share >= share
    assert (Reader(tokenizer).unknown is None) == (counted.unknown == 0)


def test_nothing_at_all_has_no_share() -> None:
    assert unknown_in_texts([], Reader(word_piece()[0])).share == 0.0
