"""Admission: how many requests and texts may wait, and how many tokens a text and a request may have."""

from __future__ import annotations

import contextlib
import math
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from .schemas import MOST_REQUEST_TOKENS, MOST_TEXT_TOKENS

if TYPE_CHECKING:
    from tokenizers import Encoding

    from ..variants import Predictor

TEXTS_A_PLACE = 8
"""Texts that may be inside for each request that may wait."""

SEVERAL_SHARE = 0.75
"""The share of both that requests of several texts may take; the rest is for requests of one text."""

COUNTED_CHARACTERS = 1000
"""A text that may become far longer is counted in pieces first: all its tokens at once would need time and memory."""

KEPT_TOKENS = 8192
"""Encodings are kept for inference while they are so small; beyond, a text is encoded again when it is its turn."""


class QueueFullError(Exception):
    """The queue is full; `retry_s` is how long it will take to clear."""

    def __init__(self, texts: int, retry_s: int) -> None:
        super().__init__(texts, retry_s)
        self.texts = texts
        self.retry_s = retry_s


class TooLongError(Exception):
    """Too many tokens: in one text, with its index, or in the whole request (None)."""

    def __init__(self, most: int, index: int | None) -> None:
        super().__init__(most, index)
        self.most = most
        self.index = index


class Queue:
    """Limits what is inside: one request being answered, `places` waiting ones, and their number of texts."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.most_texts = max(1, places * TEXTS_A_PLACE)
        self.requests = 0
        self.texts = 0
        self._several = 0
        self._text_s = 0.0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def place(self, texts: int) -> Iterator[None]:
        """A place for a request with that many texts; QueueFullError if there is none."""
        several = int(texts > 1)
        with self._lock:
            full = self.requests > self.places
            if several and self._several and not full:
                full = (
                    self.texts + texts > self.most_texts * SEVERAL_SHARE
                    or self.requests + 1 > (self.places + 1) * SEVERAL_SHARE
                )
            if full:
                raise QueueFullError(self.texts, self.retry_s())
            self.requests += 1
            self.texts += texts
            self._several += several
        try:
            yield
        finally:
            with self._lock:
                self.requests -= 1
                self.texts -= texts
                self._several -= several

    def took(self, seconds: float, texts: int) -> None:
        """Record a number of answered texts and their total time."""
        each = seconds / max(1, texts)
        self._text_s += (each - self._text_s) / 8 if self._text_s else each

    def retry_s(self) -> int:
        """Seconds until everything inside is answered."""
        return max(1, math.ceil(self.texts * self._text_s))


def tokenized(
    predict: Predictor, texts: Sequence[str], step: Callable[[str], None]
) -> tuple[list[Encoding | None], int]:
    """Encodings of texts, None where they are too much to keep, and the number of tokens.

    TooLongError before anything is inferred.
    """
    special = predict.tokenizer.num_special_tokens_to_add(False)
    kept: list[Encoding | None] = []
    total = 0
    for index, text in enumerate(texts):
        counted = 0
        for piece in _pieces(text):
            counted += len(predict.encode(piece).ids) - special
            if counted > 2 * MOST_TEXT_TOKENS:  # twice, since a cut may make two tokens of one
                raise TooLongError(MOST_TEXT_TOKENS, index)
            step("tokenize")
        encoding = predict.encode(text)
        tokens = len(encoding.ids) - special
        step("tokenize")
        total += tokens
        if tokens > MOST_TEXT_TOKENS:
            raise TooLongError(MOST_TEXT_TOKENS, index)
        if total > MOST_REQUEST_TOKENS:
            raise TooLongError(MOST_REQUEST_TOKENS, None)
        kept.append(encoding if total <= KEPT_TOKENS else None)
    return kept, total


def _pieces(text: str) -> Iterator[str]:
    """Pieces of a text that a tokenizer may make far longer: U+FDFA is decomposed into 18 characters.

    Decomposed in pieces too, since the time that this takes grows with the square of a row of combining marks.
    """
    pieces = [text[start : start + COUNTED_CHARACTERS] for start in range(0, len(text), COUNTED_CHARACTERS)]
    if len(pieces) > 1 and sum(len(unicodedata.normalize("NFKD", piece)) for piece in pieces) > 2 * len(text):
        yield from pieces
