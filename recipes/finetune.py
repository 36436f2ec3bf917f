"""Train a tagger on any labelled corpus that slimner reads: from a checkpoint that is there, or a small BERT.

    python recipes/finetune.py zoo/news_zh/checkpoint --train cluener/train.bio --dev cluener/dev.bio \
        --out cluener-checkpoint --work .cluener
    python recipes/finetune.py wordpiece --train wnut17/train.bio --dev wnut17/dev.bio \
        --out wnut17-checkpoint --work .wnut17 --epochs 10

The first continues a checkpoint: its encoder and tokenizer, and a new head for the types of the training file. The
second starts from random weights: a cased WordPiece vocabulary made from the training file, and a small BERT of
`--layers` and `--width`; `characters` in place of `wordpiece` makes a token of every character. With a checkpoint,
`--layers` changes their number: a deep model learns fastest as a shallow one that grows. The average of the weights
over the last steps is what is kept. The F1 printed is slimner's own, on `--dev`. Ctrl-C stops a run, and the same
command goes on from `--work`.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import running
import torch
from layers import with_layers
from news_zh.batches import pad
from news_zh.trainer import Trainer
from news_zh.vocabulary import build_tokenizer, packed
from slimner.eval import Corpus, read_corpus
from slimner.eval.scoring import predict, score
from slimner.variants.labels import Labels
from slimner.variants.predictor import Predictor
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import (
    AutoModelForTokenClassification,
    BertConfig,
    BertForTokenClassification,
    PreTrainedTokenizerFast,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SCRATCH = ("wordpiece", "characters")
WINDOW = 256

Row = tuple[list[int], list[int]]  # token ids with special ones, and the tag of each, -100 where none is asked for


def word_pieces(corpus: Corpus, size: int) -> PreTrainedTokenizerFast:
    """A cased WordPiece tokenizer made from the corpus's texts, as BERT's is built."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator((sentence.text for sentence in corpus.sentences), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=WINDOW, **names)


def character_pieces(corpus: Corpus, size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of single characters: the `size` most frequent ones of the corpus's texts."""
    seen = Counter(c for sentence in corpus.sentences for c in sentence.text if not c.isspace())
    return packed(build_tokenizer([*SPECIAL, *(c for c, _ in seen.most_common(size - len(SPECIAL)))]))


def small_bert(vocabulary: int, tags: list[str], layers: int = 4, width: int = 256) -> BertForTokenClassification:
    """A BERT of random weights. Positions begin as sines, so that little data is enough to learn what near means."""
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        max_position_embeddings=WINDOW,
        id2label=dict(enumerate(tags)),
        label2id={tag: i for i, tag in enumerate(tags)},
        pad_token_id=0,
    )
    model = BertForTokenClassification(config)
    angles = torch.arange(WINDOW)[:, None] / 1000 ** (torch.arange(0, width, 2) / width)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    with torch.no_grad():
        model.bert.embeddings.position_embeddings.weight.copy_(waves * config.initializer_range)
    return model


def begin_vectors(model: Any, fast: PreTrainedTokenizerFast, other: str) -> None:
    """The vectors of tokens that another checkpoint knows begin as its own, turned at random to the model's width."""
    known = PreTrainedTokenizerFast.from_pretrained(other).get_vocab()
    theirs = AutoModelForTokenClassification.from_pretrained(other).get_input_embeddings().weight.detach()
    mine = model.get_input_embeddings().weight.detach()
    width = max(mine.shape[1], theirs.shape[1])
    turn = torch.linalg.qr(torch.randn(width, width)).Q[: theirs.shape[1], : mine.shape[1]]
    turned = (theirs - theirs.mean(0)) @ turn
    for token, place in fast.get_vocab().items():
        if token in known:
            mine[place] = turned[known[token]] * (model.config.initializer_range / turned.std())


def predictor_of(model: Any, fast: PreTrainedTokenizerFast) -> Predictor:
    """What slimner opens of an artifact, on a model that is still being trained."""
    names = model.config.id2label
    labels = Labels(tuple(names[i] for i in range(len(names))), "constrained")

    @torch.inference_mode()
    def logits(ids: np.ndarray) -> np.ndarray:
        result: np.ndarray = model(input_ids=torch.from_numpy(ids)[None]).logits[0].float().numpy()
        return result

    return Predictor(Tokenizer.from_str(fast.backend_tokenizer.to_str()), logits, labels, WINDOW)


def rows(corpus: Corpus, predictor: Predictor) -> list[Row]:
    """Token ids and targets; the first token of a scored word or character carries its tag, as it does when served."""
    number = {tag: i for i, tag in enumerate(predictor.labels.tags)}
    made: list[Row] = []
    for sentence in corpus.sentences:
        left = dict(enumerate(sentence.tags))
        if sentence.words:
            encoding = predictor.encode_words(sentence.text, sentence.tokens)
            places = encoding.word_ids
        else:
            encoding = predictor.encode(sentence.text)
            begins = {start: i for i, (start, _) in enumerate(sentence.tokens)}
            places = [begins.get(start) for start, _ in encoding.offsets]
        special = encoding.special_tokens_mask
        tags = [
            left.pop(place, None) if place is not None and not s else None
            for place, s in zip(places, special, strict=True)
        ]
        made.append((encoding.ids[:WINDOW], [-100 if tag is None else number[tag] for tag in tags][:WINDOW]))
    return made


def dev_f1(predictor: Predictor, corpus: Corpus) -> float:
    gold = [list(sentence.tags) for sentence in corpus.sentences]
    strict, _, _ = score(gold, predict(predictor, corpus.sentences))
    return strict.f1


def train(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    running.same_settings(arguments)
    corpus, dev = read_corpus(arguments.train), read_corpus(arguments.dev)
    tags = ["O", *(f"{prefix}-{kind}" for kind in corpus.types for prefix in "BI")]
    if arguments.base in SCRATCH:
        pieces = word_pieces if arguments.base == "wordpiece" else character_pieces
        fast = pieces(corpus, arguments.vocabulary)
        model: Any = small_bert(len(fast), tags, arguments.layers or 4, arguments.width)
        if arguments.vectors:
            begin_vectors(model, fast, arguments.vectors)
    else:
        fast = PreTrainedTokenizerFast.from_pretrained(arguments.base)
        model = AutoModelForTokenClassification.from_pretrained(
            arguments.base,
            id2label=dict(enumerate(tags)),
            label2id={tag: i for i, tag in enumerate(tags)},
            num_labels=len(tags),
            ignore_mismatched_sizes=True,
        )
        if arguments.layers:
            model = with_layers(model, arguments.layers)
    model.config.ner_decoding = "constrained"
    unknown, pad_id = fast.unk_token_id, fast.pad_token_id
    data = rows(corpus, predictor_of(model, fast))
    lengths = [len(ids) for ids, _ in data]
    epochs = running.Epochs(lengths, arguments, lambda: dev_f1(predictor_of(trainer.average.eval(), fast), dev))
    trainer = Trainer("tagging", model, arguments.work, epochs.steps, arguments.rate)
    print(
        f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tags)} tags, {trainer.steps} steps",
        flush=True,
    )
    model.train()
    rng = random.Random(f"{arguments.seed}/{trainer.step}")
    torch.manual_seed(rng.randrange(2**31))
    for group in running.steps(trainer, epochs, arguments.pause_file):
        inputs = pad(
            [
                [
                    unknown if t != -100 and rng.random() < arguments.dropout else i
                    for i, t in zip(*data[n], strict=True)
                ]
                for n in group
            ],
            pad_id,
        )
        targets = pad([data[n][1] for n in group], -100)
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            logits = model(input_ids=inputs, attention_mask=(inputs != pad_id).long()).logits
            loss = nn.functional.cross_entropy(
                logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100, label_smoothing=0.02
            )
        trainer.update(loss)

    out: Path = arguments.out
    trainer.average.save_pretrained(out, safe_serialization=True)
    fast.save_pretrained(out)
    facts = {"dev_f1": epochs.f1}
    facts |= {key: getattr(arguments, key) for key in ("seed", "epochs", "rate", "dropout")}
    (out / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"dev F1 {facts['dev_f1']}; written to {out}", flush=True)


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help=f"directory of a checkpoint to continue, or {' or '.join(SCRATCH)}")
    parser.add_argument("--train", required=True, help="labelled corpus; its types become the model's")
    parser.add_argument("--dev", required=True, help="the same, to report F1 on")
    parser.add_argument("--layers", type=int, help="layers of the model (those of the checkpoint, or 4)")
    parser.add_argument("--width", type=int, default=256, help="width of a new model, a multiple of 64 (256)")
    parser.add_argument("--vectors", help="checkpoint whose vectors of tokens a new model begins with")
    parser.add_argument("--dropout", type=float, default=0.08, help="share of tokens made unknown (0.08)")
    parser.add_argument("--vocabulary", type=int, default=8000, help="most entries of a new vocabulary (8000)")
    running.add_options(parser, epochs=12, rate=6e-4)
    return parser


def main() -> None:
    train(options().parse_args())


if __name__ == "__main__":
    main()
