"""How a tokenizer is used: whole texts or words to tokens, and tokens to the units that get a tag each."""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections.abc import Sequence

from tokenizers import Encoding, Tokenizer

# Ideographs and kana: written without spaces, so white space does not tell their words.
UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

# What SentencePiece and byte-level tokenizers put in the place of the space before a word.
WORD_START = "\u2581\u0120 "
WRITTEN_MARKS = ("\u2581", "\u0120")

LONE_SURROGATE = re.compile("[\ud800-\udfff]")

LONG_CHARACTERS = 1000
"""Longer texts are encoded without the interpreter's lock, so that other threads go on; for shorter ones that costs
more than it gives."""


class Reader:
    """A tokenizer as a predictor uses it: for whole texts, without truncation or padding."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True  # "[SEP]" typed by a user is text
        self.tokenizer = tokenizer

    @functools.cached_property
    def unknown(self) -> int | None:
        """The id of the unknown token; None if there is none, as in byte-level tokenizers, which know every byte."""
        model = json.loads(self.tokenizer.to_str())["model"]
        if model.get("byte_fallback"):
            return None
        if isinstance(model.get("unk_id"), int):  # Unigram
            return int(model["unk_id"])
        name = model.get("unk_token")
        return self.tokenizer.token_to_id(name) if name else None

    def encode(self, text: str) -> Encoding:
        """Tokens of a text with special ones; a lone surrogate becomes U+FFFD, as it is not a character."""
        if not text.isascii():
            text = LONE_SURROGATE.sub("\ufffd", text)
        if len(text) > LONG_CHARACTERS:
            return self.tokenizer.encode_batch([text])[0]  # `encode` holds the lock
        return self.tokenizer.encode(text)

    def encode_words(self, text: str, words: Sequence[tuple[int, int]]) -> Encoding:
        """Tokens of words with special ones, `word_ids` counting the words.

        A byte-level tokenizer that writes the space before a word as part of it is given that space with every word,
        as transformers does with `add_prefix_space=True`, without which it refuses words.
        """
        text = LONE_SURROGATE.sub("\ufffd", text)
        space = "" if self._tokens("a a") == self._tokens("a") * 2 else " "
        return self.tokenizer.encode([space + text[start:end] for start, end in words], is_pretokenized=True)

    def _tokens(self, text: str) -> list[str]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).tokens)


def units_of(encoding: Encoding, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Indices, among the text's own tokens, of the first token of each word, and the words' offsets.

    What a tokenizer takes for a word may be a whole Chinese sentence (SentencePiece splits at white space only), so an
    ideograph begins a unit wherever it begins a token. The mark of a word's start, where it is a token by itself, is no
    text, but it is the word's first token and speaks for it; an ideograph behind it speaks for itself. A combining mark
    that the tokenizer composed away belongs to the unit before it, and so does what else a tokenizer made of a
    character.
    """
    units: list[int] = []
    offsets: list[tuple[int, int]] = []
    word: int | None = None
    mark: tuple[int, int | None] | None = None
    index = -1
    for special, token, (start, end), current in zip(
        encoding.special_tokens_mask, encoding.tokens, encoding.offsets, encoding.word_ids, strict=True
    ):
        if special:
            continue
        index += 1
        if not token.strip(WORD_START) and text[start:end] not in WRITTEN_MARKS:
            mark = (index, current)
            continue
        if text[start:end].isspace():
            continue  # between names or in one, but neither its beginning nor its end
        inside = bool(units) and start < offsets[-1][1]  # of a character that became several, "㎡" or the bytes of "京"
        # "##x" that does not stand in the text continues a word: WordPiece knows words, which kana may form
        unspaced = _unspaced(text, start) and not (token.startswith("##") and not text.startswith("##", start))
        if inside or (units and current is not None and current == word and not unspaced):
            offsets[-1] = (offsets[-1][0], max(offsets[-1][1], end))
        elif start < end:
            units.append(mark[0] if mark and mark[1] == current and not unspaced else index)
            offsets.append((start, end))
        word, mark = current, None
    for i, (start, end) in enumerate(offsets):
        limit = offsets[i + 1][0] if i + 1 < len(offsets) else len(text)
        while end < limit and unicodedata.category(text[end]).startswith("M"):
            end += 1
        offsets[i] = (start, end)
    return units, offsets


def _unspaced(text: str, index: int) -> bool:
    """Whether the script here has no spaces between words: there is an ideograph or kana on either side."""
    return any(UNSPACED.match(c) for c in text[max(0, index - 1) : index + 1])
