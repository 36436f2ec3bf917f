"""How much of a text a tokenizer knows."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import Tokenizer


def unknown_share(tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """Share of the texts' tokens that are the unknown one, special ones left out; 0 where there is no such token."""
    unknown = _unknown(tokenizer)
    total = lost = 0
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        total += len(ids)
        lost += ids.count(unknown) if unknown is not None else 0
    return lost / total if total else 0.0


def _unknown(tokenizer: Tokenizer) -> int | None:
    model = json.loads(tokenizer.to_str())["model"]
    if isinstance(number := model.get("unk_id"), int):  # Unigram
        return number
    token = model.get("unk_token")
    return tokenizer.token_to_id(token) if token else None
