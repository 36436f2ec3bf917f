"""Small checkpoints of every architecture, made on the spot with tokenizers that are trained on the spot."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")

# transformers 5 rebuilds the normalizer of a class that it knows when it loads one; the general class takes the file as
# it is, which is what is compared here for the tokenizers that no such class has.
SPECIAL = {
    "wordpiece": {
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    },
    "bpe": {
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
    },
}
SPECIAL["unigram"] = SPECIAL["bpe"]

# name: (class in transformers, kind of tokenizer, class of tokenizer, what differs from the shared shape)
ARCHITECTURES: Mapping[str, tuple[str, str, str, Mapping[str, Any]]] = {
    "bert": ("Bert", "wordpiece", "BertTokenizerFast", {}),
    "convbert": ("ConvBert", "wordpiece", "ConvBertTokenizerFast", {"embedding_size": 32}),
    "distilbert": (
        "DistilBert",
        "wordpiece",
        "DistilBertTokenizerFast",
        {"dim": 32, "n_heads": 2, "n_layers": 2, "hidden_dim": 64},
    ),
    "electra": ("Electra", "wordpiece", "ElectraTokenizerFast", {"embedding_size": 16}),
    "roberta": ("Roberta", "bpe", "RobertaTokenizerFast", {"max_position_embeddings": 66, "type_vocab_size": 1}),
    "albert": ("Albert", "unigram", "PreTrainedTokenizerFast", {"embedding_size": 16}),
    "xlm-roberta": (
        "XLMRoberta",
        "unigram",
        "PreTrainedTokenizerFast",
        {"max_position_embeddings": 66, "type_vocab_size": 1},
    ),
    "deberta-v2": (
        "DebertaV2",
        "unigram",
        "PreTrainedTokenizerFast",
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "type_vocab_size": 2,
            "max_relative_positions": -1,
        },
    ),
    "deberta-v3": (
        "DebertaV2",
        "unigram",
        "PreTrainedTokenizerFast",
        {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "type_vocab_size": 0,
            "max_relative_positions": -1,
        },
    ),
}


def some_text(lines: int = 400) -> list[str]:
    """Lines of made-up English and Chinese words, the same each time."""
    draw = random.Random(7)
    syllables = ["ba", "ker", "lon", "mi", "rest", "o", "van", "tu", "shi", "el", "grad", "ny", "qu", "dor"]
    english = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(200)]
    ideographs = "王芳在广州新华社北京外交部发言人上海说会议公司今天举行李明记者中国银行大学"
    return [
        " ".join(
            draw.choice(english).capitalize() if draw.random() < 0.5 else "".join(draw.choices(ideographs, k=4)) + "，"
            for _ in range(12)
        )
        for _ in range(lines)
    ]


TEXTS = (
    "王芳在广州对新华社记者说，北京大学今天举行会议。",
    "Baker Lonmi visited Gradny-dor's office in 上海 on 11/25.",
    "  Tushi\tel\nQudor  王 芳 ",
    "ＡＢＣ公司（２０２５）café naïve ÀÉ 😀 émigré",
    "x",
    "。",
    "Vanrest " * 60 + "王芳在广州" * 20,
)


def train_tokenizer(kind: str) -> Any:
    """A tokenizer of that kind, trained by the tokenizers library."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    if kind == "wordpiece":
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer: Any = trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False)
        ends = ("[CLS]", "[SEP]")
    else:
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        ends = ("<s>", "</s>")
        if kind == "bpe":
            tokenizer = Tokenizer(models.BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.decoder = decoders.ByteLevel()
            trainer = trainers.BpeTrainer(
                vocab_size=500,
                special_tokens=special,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                show_progress=False,
            )
        else:
            tokenizer = Tokenizer(models.Unigram())
            tokenizer.normalizer = normalizers.NFKC()
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
            tokenizer.decoder = decoders.Metaspace()
            trainer = trainers.UnigramTrainer(
                vocab_size=500, special_tokens=special, unk_token="<unk>", show_progress=False
            )
    tokenizer.train_from_iterator(some_text(), trainer)
    numbers = [(token, tokenizer.token_to_id(token)) for token in ends]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{ends[0]} $A {ends[1]}", pair=f"{ends[0]} $A {ends[1]} $B {ends[1]}", special_tokens=numbers
    )
    return tokenizer


def make_architecture(name: str, directory: Path, tags: tuple[str, ...] = TAGS, **changes: Any) -> Path:
    """A checkpoint of that architecture, tiny and random, saved as its users save theirs."""
    import torch
    import transformers

    family, kind, tokenizer_class, differs = ARCHITECTURES[name]
    tokenizer = getattr(transformers, tokenizer_class)(
        tokenizer_object=train_tokenizer(kind), model_max_length=64, **SPECIAL[kind]
    )
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    }
    config = getattr(transformers, f"{family}Config")(
        **{
            **({} if family == "DistilBert" else shape),
            "max_position_embeddings": 64,
            **differs,
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
            "initializer_range": 0.4,
            "id2label": dict(enumerate(tags)),
            "label2id": {tag: i for i, tag in enumerate(tags)},
            **changes,
        }
    )
    torch.manual_seed(4)
    getattr(transformers, f"{family}ForTokenClassification")(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The checkpoint of an architecture, made once."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = make_architecture(name, tmp_path_factory.mktemp("architectures") / name)
        return made[name]

    return make
