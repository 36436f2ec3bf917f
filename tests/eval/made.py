"""Small real tokenizers, trained on the spot."""

from __future__ import annotations

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

WORDS = [
    *("the", "a", "of", "don't", "U.S.", "'s", "I", "'m", "can", "n't", "@paulwalk", "#NYC", "http://t.co/xYz", "..."),
    *(
        "Emma",
        "Watson",
        "São",
        "Paulo",
        "naïve",
        "e\u0301clair",
        "New",
        "York",
        "10:30",
        "$5",
        "&",
        "gt",
        ";",
        "“",
        "”",
    ),
    *(
        "\u2764\ufe0f",
        "👍🏽",
        "\U0001f468\u200d\U0001f469",
        "🇨🇳",
        "\u200b",
        "\ufe0f",
        "Москве",
        "日本",
        "ＡＢ",
        "-",
        "--",
    ),
]


def word_piece() -> tuple[Tokenizer, dict[str, str]]:
    """A WordPiece tokenizer as BERT's, and the names of its special tokens."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(WORDS[:-12], trainers.WordPieceTrainer(vocab_size=120, special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer, {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


def byte_pairs(*, space: bool) -> tuple[Tokenizer, dict[str, str]]:
    """A byte-level BPE tokenizer as RoBERTa's, with the space before the first word or not, and its special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    special = ["<s>", "<pad>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=space)
    return tokenizer, {
        "unk_token": "<s>",
        "pad_token": "<pad>",
        "bos_token": "<s>",
        "cls_token": "<s>",
        "sep_token": "</s>",
    }


def unigram() -> tuple[Tokenizer, dict[str, str]]:
    """A Unigram tokenizer as XLM-RoBERTa's, and the names of its special tokens."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=110, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "cls_token": "<s>"}
    return tokenizer, {**names, "eos_token": "</s>", "sep_token": "</s>"}
