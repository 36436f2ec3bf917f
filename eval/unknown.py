"""How much of a corpus or a workload a tokenizer does not know, so that no model is judged on the wrong language."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from tokenizers import Encoding

from ..core.records import Record
from ..variants import Reader
from .corpora import Sentence

# The share of unknown tokens above which a score or a measurement says little about the model. A tokenizer knows all
# but a few tokens in a thousand of the language it was made for; of another script it knows hardly any.
UNKNOWN_WARNED = 0.05
EXAMPLES = 5


class Unknown(Record, frozen=True, kw_only=True):
    """Tokens of texts, special ones not counted, and how many of them are unknown; the most frequent of those."""

    tokens: int
    unknown: int
    examples: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Unknown tokens of all, in 0..1; 0 without any token."""
        return self.unknown / self.tokens if self.tokens else 0.0

    @property
    def warned(self) -> bool:
        """Whether the share is above UNKNOWN_WARNED."""
        return self.share > UNKNOWN_WARNED


def unknown_in_texts(texts: Iterable[str], reader: Reader) -> Unknown:
    """The unknown tokens of texts, tokenized as they are when they are served."""
    return _count(((text, reader.encode(text), None) for text in texts), reader.unknown)


def unknown_in_corpus(sentences: Iterable[Sentence], reader: Reader) -> Unknown:
    """The unknown tokens of sentences, tokenized as they are when they are scored: word by word if they have words."""
    encoded = (
        (s.text, reader.encode_words(s.text, s.tokens), s.tokens) if s.words else (s.text, reader.encode(s.text), None)
        for s in sentences
    )
    return _count(encoded, reader.unknown)


def _count(encoded: Iterable[tuple[str, Encoding, tuple[tuple[int, int], ...] | None]], unknown: int | None) -> Unknown:
    tokens = 0
    found: collections.Counter[str] = collections.Counter()
    for text, encoding, words in encoded:
        for number, special, (start, end), word in zip(
            encoding.ids, encoding.special_tokens_mask, encoding.offsets, encoding.word_ids, strict=True
        ):
            if special:
                continue
            tokens += 1
            if number == unknown:
                if words is not None and word is not None:
                    start, end = words[word]
                found[text[start:end]] += 1
    examples = tuple(name for name, _ in found.most_common(EXAMPLES))
    return Unknown(tokens=tokens, unknown=found.total(), examples=examples)
