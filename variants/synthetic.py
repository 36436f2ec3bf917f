"""`synthetic:NAME`: a model of a known shape with random weights, to plan memory and speed before anything is trained.

    synthetic:bert-base-chinese?layers=4&hidden=256&vocab=FILE

Shapes are those of the published configurations of these names. The tokenizer is made here: every ideograph is a token
of its own, as in the vocabularies of Chinese models, so that lengths of Chinese texts in tokens are real for those of
WordPiece and upper bounds for the others; words in Latin letters fall into letters, unless `vocab` gives a real one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from ..core import child
from ..core.cache import cache_directory
from ..core.errors import CheckpointError, UnknownNameError
from ..core.outside import read_text
from ..core.store import directory_in_place, sha256_file, sha256_of, write_json
from .configuration import CONFIG, HOW_TO_NAME_TAGS, SYNTHETIC, TOKENIZER, TOKENIZER_CONFIG, LoadOptions
from .labels import Labels
from .preparing import TIMEOUT_S, require_transformers

LAYOUT = 2
SEED = 0
TYPES = ("PER", "LOC", "ORG")
HEAD = 64


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a model of that name: its family, its vocabulary, and what differs from the family's defaults."""

    family: str
    kind: str
    vocabulary: int
    changes: Mapping[str, Any] = {}
    crf: bool = False


_BASE: Mapping[str, Any] = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
_ROBERTA: Mapping[str, Any] = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
_DEBERTA: Mapping[str, Any] = {
    **_BASE,
    "num_hidden_layers": 12,
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
    "type_vocab_size": 0,
    "max_relative_positions": -1,
}

SHAPES: Mapping[str, Shape] = {
    "albert-base": Shape(family="albert", kind="unigram", vocabulary=30_000, changes=_BASE),
    "bert-base": Shape(family="bert", kind="wordpiece", vocabulary=30_522),
    "bert-base-chinese": Shape(family="bert", kind="wordpiece", vocabulary=21_128),
    "convbert-base": Shape(family="convbert", kind="wordpiece", vocabulary=30_522),
    "deberta-v3-base": Shape(family="deberta-v2", kind="unigram", vocabulary=128_100, changes=_DEBERTA),
    "distilbert": Shape(family="distilbert", kind="wordpiece", vocabulary=30_522),
    "electra-base": Shape(
        family="electra", kind="wordpiece", vocabulary=30_522, changes={**_BASE, "embedding_size": 768}
    ),
    "raner-base": Shape(family="bert", kind="wordpiece", vocabulary=21_128, crf=True),
    "roberta-base": Shape(family="roberta", kind="bpe", vocabulary=50_265, changes=_ROBERTA),
    "xlm-roberta-base": Shape(family="xlm-roberta", kind="unigram", vocabulary=250_002, changes=_ROBERTA),
}


def synthesized(name: str, options: LoadOptions) -> Path:
    """Directory of the model for a name such as `synthetic:bert-base-chinese?layers=4`, made once."""
    base, _, query = name.removeprefix(SYNTHETIC).partition("?")
    if base not in SHAPES:
        raise UnknownNameError("synthetic model", base, SHAPES)
    asked = dict(parse_qsl(query, keep_blank_values=True))
    sizes: dict[str, int] = {}
    for option in ("layers", "hidden"):
        if (value := asked.pop(option, None)) is not None:
            if not value.isdigit() or int(value) < 1:
                raise CheckpointError(f"'{name}': {option}={value} is not a number", f"write it as {option}=4")
            sizes[option] = int(value)
    if sizes.get("hidden", HEAD) % HEAD:
        raise CheckpointError(
            f"'{name}': hidden is not a multiple of {HEAD}", f"a head is {HEAD} wide; write hidden=256"
        )
    vocabulary = asked.pop("vocab", None)
    if asked:
        raise CheckpointError(f"'{name}': no option '{next(iter(asked))}'", "there are layers=N, hidden=N, vocab=FILE")
    if vocabulary is not None and not Path(vocabulary).is_file():
        raise CheckpointError(
            f"no vocabulary {vocabulary}", "give a vocab.txt, a word piece a line, or a tokenizer.json"
        )
    tags = options.labels or _tags(SHAPES[base])
    try:
        Labels.of({str(i): tag for i, tag in enumerate(tags)}, scheme=options.scheme)
    except ValueError as error:
        raise CheckpointError(f"'{name}': {error}", HOW_TO_NAME_TAGS) from None
    key = sha256_of([LAYOUT, base, sizes, tags, options.scheme, sha256_file(Path(vocabulary)) if vocabulary else None])
    target = cache_directory() / "checkpoints" / key[:16]
    if target.is_dir():
        return target
    require_transformers()
    with directory_in_place(target) as directory:
        size = _write_tokenizer(SHAPES[base], Path(vocabulary) if vocabulary else None, directory)
        child.call(make_in_child, base, sizes, size, tags, options.scheme, directory).run(timeout_s=TIMEOUT_S)
    return target


def _tags(shape: Shape) -> tuple[str, ...]:
    letters = "BIES" if shape.crf else "BI"
    return ("O", *(f"{letter}-{kind}" for kind in TYPES for letter in letters))


def make_in_child(
    shape: str, sizes: dict[str, int], vocabulary: int, tags: tuple[str, ...], scheme: str | None, directory: Path
) -> None:
    """The child's job: the weights, and the configuration."""
    import torch
    from transformers import AutoModelForTokenClassification

    given = SHAPES[shape]
    torch.manual_seed(SEED)
    AutoModelForTokenClassification.from_config(configured(shape, sizes, vocabulary, tags)).save_pretrained(directory)
    own: dict[str, Any] = {"ner_random": True}
    if scheme:
        own["ner_scheme"] = scheme
    if given.crf:
        draw = torch.Generator().manual_seed(SEED)

        def scores(*shape: int) -> Any:
            return torch.empty(shape).uniform_(-0.1, 0.1, generator=draw).tolist()

        count = len(tags)
        own |= {
            "ner_decoding": "crf",
            "ner_crf": {"start": scores(count), "end": scores(count), "transitions": scores(count, count)},
        }
    path = Path(directory) / CONFIG
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | own)


def configured(shape: str, sizes: Mapping[str, int], vocabulary: int, tags: Sequence[str]) -> Any:
    """The configuration, as transformers has it, of a shape with other sizes."""
    from transformers import AutoConfig

    given = SHAPES[shape]
    changes = {**given.changes, "vocab_size": vocabulary}
    if "layers" in sizes:
        changes["n_layers" if given.family == "distilbert" else "num_hidden_layers"] = sizes["layers"]
    if "hidden" in sizes:
        changes |= _width(given.family, sizes["hidden"])
    names = dict(enumerate(tags))
    return AutoConfig.for_model(given.family, **changes, id2label=names, label2id={t: i for i, t in names.items()})


def _width(family: str, hidden: int) -> dict[str, int]:
    if family == "distilbert":
        return {"dim": hidden, "hidden_dim": 4 * hidden, "n_heads": hidden // HEAD}
    width = {"hidden_size": hidden, "intermediate_size": 4 * hidden, "num_attention_heads": hidden // HEAD}
    if family in ("convbert", "electra"):
        width["embedding_size"] = hidden
    return width


def _write_tokenizer(shape: Shape, vocabulary: Path | None, directory: Path) -> int:
    """Write `tokenizer.json`; returns the number of its entries."""
    if vocabulary is None:
        tokenizer = _KINDS[shape.kind](shape.vocabulary)
    elif vocabulary.suffix == ".json":
        tokenizer = Tokenizer.from_file(str(vocabulary))
    else:
        tokenizer = wordpiece(read_text(vocabulary, error=CheckpointError).rstrip("\n").split("\n"))
    tokenizer.save(str(directory / TOKENIZER))
    write_json(directory / TOKENIZER_CONFIG, {"model_max_length": 512})
    return int(tokenizer.get_vocab_size())


def _characters(count: int) -> list[str]:
    """The first `count` characters of a made vocabulary: printable ASCII, CJK marks, full-width forms, ideographs.

    The usual ideographs (those of GB 2312, and of the first level of Big5) come before the rest, in the order of their
    codes: so the rows of the embedding that Chinese text needs lie together, as with real vocabularies. How much of it
    is mapped depends on that.
    """
    marks = ((0x21, 0x7F), (0x3001, 0x3012), (0xFF01, 0xFF60))
    others = ((0x4E00, 0xA000), (0x3400, 0x4DC0), (0xAC00, 0xD7A4))
    usual = sorted(_cells("gb2312", 0xB0, 0xF8, 0xA1) | _cells("big5", 0xA4, 0xC7, 0x40))
    return list(dict.fromkeys((*_span(marks), *usual, *_span(others))))[:count]


def _cells(encoding: str, first_row: int, end_row: int, first_cell: int) -> set[str]:
    """Ideographs in these rows of an encoding of two bytes."""
    cells = (bytes((row, cell)) for row in range(first_row, end_row) for cell in range(first_cell, 0xFF))
    return {each for cell in cells for each in cell.decode(encoding, "ignore") if "\u4e00" <= each <= "\u9fff"}


def _span(ranges: tuple[tuple[int, int], ...]) -> list[str]:
    return [chr(code) for first, end in ranges for code in range(first, end)]


def wordpiece(vocabulary: list[str]) -> Tokenizer:
    """A BERT tokenizer of a vocabulary with [PAD], [UNK], [CLS] and [SEP]; lower-cased, an ideograph a token."""
    numbers = {token: i for i, token in enumerate(vocabulary)}
    if lacking := [token for token in ("[UNK]", "[CLS]", "[SEP]") if token not in numbers]:
        raise CheckpointError(f"the vocabulary has no {lacking[0]}", "give the vocab.txt of a BERT model")
    tokenizer = Tokenizer(models.WordPiece(vocab=numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(
        [token for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if token in numbers]
    )
    return tokenizer


def _made_wordpiece(size: int) -> Tokenizer:
    letters = [chr(first + code) for first in (0, 0xFEE0) for code in (*range(0x30, 0x3A), *range(0x61, 0x7B))]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"##{letter}" for letter in letters)]
    return wordpiece(_filled([*tokens, *_characters(size - len(tokens))], size))


def _made_unigram(size: int) -> Tokenizer:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokens = _filled([*special, "▁", *_characters(size - len(special) - 1)], size)
    tokenizer = Tokenizer(models.Unigram([(token, -float(i > 3)) for i, token in enumerate(tokens)], unk_id=3))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return _roberta_ends(tokenizer)


def _made_bpe(size: int) -> Tokenizer:
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokens = _filled([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())], size)
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _roberta_ends(tokenizer)


def _roberta_ends(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    return tokenizer


def _filled(tokens: list[str], size: int) -> list[str]:
    """The tokens, filled up with unused ones to the given size."""
    return [*tokens, *(f"<unused{i}>" for i in range(size - len(tokens)))][:size]


_KINDS: Mapping[str, Callable[[int], Tokenizer]] = {
    "wordpiece": _made_wordpiece,
    "unigram": _made_unigram,
    "bpe": _made_bpe,
}
