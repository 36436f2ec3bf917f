"""The character vocabulary: that of the checkpoint training starts from, and characters it had not seen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import ConvBertForTokenClassification, PreTrainedTokenizerFast

from .texts import FOLD, Traditional

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
WINDOW = 256
COMMON_ROWS = range(0xB0, 0xD8)  # the first level of GB 2312: the 3,755 characters of everyday text


def everyday() -> list[str]:
    """The characters of the first level of GB 2312."""
    codes = (bytes([row, cell]) for row in COMMON_ROWS for cell in range(0xA1, 0xFF))
    return [c for code in codes if (c := code.decode("gb2312", errors="ignore"))]


def build_tokenizer(vocabulary: list[str]) -> Tokenizer:
    """One token a visible character; full-width forms fold to half-width, offsets stay the text's."""
    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = FOLD
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def packed(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=WINDOW, **names)


def open_enlarged(path: Path, texts: Iterable[str]) -> tuple[ConvBertForTokenClassification, Tokenizer]:
    """The checkpoint and its tokenizer, with rows for every character of `texts`, everyday ones and traditional forms.

    A traditional character begins as a copy of the simplified one, any other as a copy of the unknown character, so
    that answers for texts of known characters stay what they were.
    """
    model: Any = ConvBertForTokenClassification.from_pretrained(path)
    known: dict[str, int] = Tokenizer.from_file(str(path / "tokenizer.json")).get_vocab()
    vocabulary = sorted(known, key=known.__getitem__)
    origin = {c: UNK for c in sorted({c for text in texts for c in text} | set(everyday())) if not c.isspace()}
    rewrite = Traditional()
    simplified = [c for c in dict.fromkeys([*vocabulary, *origin]) if len(c) == 1]
    for character in simplified:
        traditional = rewrite([character])[0]
        if traditional not in known:
            origin[traditional] = known.get(character, UNK)
    added = [c for c in origin if c not in known]
    rows = model.convbert.embeddings.word_embeddings.weight.detach()
    more = rows[[origin[c] for c in added]]
    weight = nn.Parameter(torch.cat([rows, more]))
    model.convbert.embeddings.word_embeddings = nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=PAD)
    model.config.vocab_size = len(weight)
    return model, build_tokenizer(vocabulary + added)


def blend(model: Any, ids: dict[str, int], other: Path, share: float) -> None:
    """Moves the weights towards those of another checkpoint of the same shape, by `share` of the way.

    What two checkpoints of one run know is mostly kept halfway between them. A character that the other lacks stays.
    """
    old: Any = ConvBertForTokenClassification.from_pretrained(other)
    known: dict[str, int] = Tokenizer.from_file(str(other / "tokenizer.json")).get_vocab()
    weights = old.state_dict()
    name = "convbert.embeddings.word_embeddings.weight"
    rows = model.state_dict()[name].clone()
    both = [(ids[c], row) for c, row in known.items() if c in ids]
    rows[[mine for mine, _ in both]] = weights[name][[row for _, row in both]]
    weights[name] = rows
    with torch.no_grad():
        for key, weight in model.state_dict().items():
            if weight.is_floating_point():
                weight.lerp_(weights[key], share)
