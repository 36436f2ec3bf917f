"""Train the embedded checkpoint `news-zh`: a small character ConvBERT for PER, LOC, ORG.

Three steps, all from random weights:

1. a character vocabulary and its `tokenizer.json`;
2. masked-language training of the encoder on raw text;
3. tagging, with character dropout, entity substitution, joined neighbouring
   sentences (so that every position is trained) and an exponential moving
   average of the weights, which is what is kept.

The run can be stopped at any time and started again with the same arguments:
it goes on from the last saved step in `--work`.

    python recipes/train_news_zh.py --train msra/train.bio --dev msra/dev.bio \
        --raw news_docs.txt --raw-bio cluener/train.bio \
        --lexicon cluener/train.bio --out zoo/news_zh/checkpoint --work .news-zh
"""

from __future__ import annotations

import argparse
import collections
import copy
import json
import math
import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import ConvBertConfig, ConvBertForTokenClassification, PreTrainedTokenizerFast

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
WINDOW = 256
LEXICON_TYPES = {
    "name": "PER",
    "address": "LOC",
    "company": "ORG",
    "organization": "ORG",
    "government": "ORG",
}

Sentence = tuple[list[str], list[str]]  # characters, tags


FOLD = normalizers.NFKC()


def read_bio(path: Path) -> list[Sentence]:
    """Sentences of a two-column file, blank lines between them, in the characters the tokenizer will make of them."""
    sentences: list[Sentence] = []
    characters: list[str] = []
    tags: list[str] = []
    for line in [*path.read_text(encoding="utf-8").splitlines(), ""]:
        if line.strip():
            character, tag = line.split()
            folded = FOLD.normalize_str(character)  # one character may become several: a name goes on in them
            characters.extend(folded)
            tags.extend([tag] + [tag.replace("B-", "I-")] * (len(folded) - 1))
        elif characters:
            sentences.append((characters, tags))
            characters, tags = [], []
    return sentences


def spans(tags: list[str]) -> list[tuple[int, int, str]]:
    """Entities (start, end, type) of a valid IOB2 sequence."""
    found: list[tuple[int, int, str]] = []
    for i, tag in enumerate([*tags, "O"]):
        if found and found[-1][1] < 0 and not tag.startswith("I-"):
            start, _, kind = found[-1]
            found[-1] = (start, i, kind)
        if tag.startswith("B-"):
            found.append((i, -1, tag[2:]))
    return found


def build_tokenizer(counts: collections.Counter[str], minimum: int) -> Tokenizer:
    """One token a visible character; full-width forms fold to half-width, offsets stay the text's."""
    vocabulary = SPECIAL + sorted(c for c, n in counts.items() if n >= minimum)
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


class Substitution:
    """Replaces an entity by another of its type, drawn from the training set and a second lexicon."""

    def __init__(self, sentences: list[Sentence], lexicon: list[Sentence], rate: float) -> None:
        self.rate = rate
        self.own: dict[str, list[list[str]]] = {"PER": [], "LOC": [], "ORG": []}
        self.other: dict[str, list[list[str]]] = {"PER": [], "LOC": [], "ORG": []}
        for characters, tags in sentences:
            for start, end, kind in spans(tags):
                self.own[kind].append(characters[start:end])
        for characters, tags in lexicon:
            for start, end, kind in spans(tags):
                mapped = LEXICON_TYPES.get(kind)
                if mapped and end - start <= 20:
                    self.other[mapped].append(characters[start:end])

    def __call__(self, sentence: Sentence, rng: random.Random) -> Sentence:
        characters, tags = sentence
        out_c: list[str] = []
        out_t: list[str] = []
        last = 0
        for start, end, kind in spans(tags):
            out_c += characters[last:start]
            out_t += tags[last:start]
            name = characters[start:end]
            if rng.random() < self.rate:
                other = self.other[kind]
                name = rng.choice(other if other and rng.random() < 0.4 else self.own[kind])
            out_c += name
            out_t += [f"B-{kind}"] + [f"I-{kind}"] * (len(name) - 1)
            last = end
        return out_c + characters[last:], out_t + tags[last:]


def batches(lengths: list[int], tokens: int, rng: random.Random) -> list[list[int]]:
    """Indices grouped by similar length into batches of about `tokens` padded tokens, shuffled."""
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] + rng.random() * 8)
    grouped: list[list[int]] = []
    current: list[int] = []
    for i in order:
        if current and (len(current) + 1) * (lengths[i] + 2) > tokens:
            grouped.append(current)
            current = []
        current.append(i)
    if current:
        grouped.append(current)
    rng.shuffle(grouped)
    return grouped


def pad(rows: list[list[int]], value: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])


class Encoder:
    def __init__(self, tokenizer: Tokenizer) -> None:
        self.ids = tokenizer.get_vocab()

    def __call__(self, characters: list[str]) -> list[int]:
        return [self.ids.get(c, UNK) for c in characters]


def masked_batches(
    texts: list[list[int]], tokens: int, size: int, rng: random.Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for group in batches([len(t) for t in texts], tokens, rng):
        inputs: list[list[int]] = []
        targets: list[list[int]] = []
        for i in group:
            ids = list(texts[i])
            target = [-100] * len(ids)
            position = 0
            while position < len(ids):  # mask short runs: characters inside one word give each other away
                if rng.random() < 0.085:
                    for p in range(position, min(len(ids), position + rng.choice((1, 1, 2, 2, 3)))):
                        target[p] = ids[p]
                        draw = rng.random()
                        ids[p] = MASK if draw < 0.8 else rng.randrange(5, size) if draw < 0.9 else ids[p]
                        position = p
                position += 1
            inputs.append([CLS, *ids, SEP])
            targets.append([-100, *target, -100])
        yield pad(inputs, PAD), pad(targets, -100)


def tagging_batches(
    sentences: list[Sentence], encode: Encoder, substitute: Substitution, tokens: int, rng: random.Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    ready: list[Sentence] = []
    i = 0
    while i < len(sentences):
        characters, tags = substitute(sentences[i], rng)
        i += 1
        while i < len(sentences) and rng.random() < 0.3:
            more, more_tags = substitute(sentences[i], rng)
            if len(characters) + len(more) > WINDOW - 2:
                break
            characters, tags = characters + more, tags + more_tags
            i += 1
        ready.append((characters[: WINDOW - 2], tags[: WINDOW - 2]))
    label = {name: n for n, name in enumerate(LABELS)}
    for group in batches([len(c) for c, _ in ready], tokens, rng):
        inputs = [[CLS, *(UNK if rng.random() < 0.08 else t for t in encode(ready[i][0])), SEP] for i in group]
        targets = [[-100, *(label[t] for t in ready[i][1]), -100] for i in group]
        yield pad(inputs, PAD), pad(targets, -100)


def allowed_transitions() -> torch.Tensor:
    """0 where a tag may follow another in IOB2, minus infinity where it may not; last row is the start."""
    allowed = torch.zeros(len(LABELS) + 1, len(LABELS))
    for to, name in enumerate(LABELS):
        if name.startswith("I-"):
            for origin in range(len(LABELS) + 1):
                if origin == len(LABELS) or LABELS[origin][2:] != name[2:]:
                    allowed[origin, to] = -math.inf
    return allowed


def viterbi(scores: torch.Tensor, allowed: torch.Tensor) -> list[int]:
    best = scores[0] + allowed[-1]
    back: list[torch.Tensor] = []
    for row in scores[1:]:
        value, origin = (best[:, None] + allowed[:-1]).max(0)
        back.append(origin)
        best = value + row
    path = [int(best.argmax())]
    for origin in reversed(back):
        path.append(int(origin[path[-1]]))
    return path[::-1]


@torch.inference_mode()
def score(model: nn.Module, sentences: list[Sentence], encode: Encoder) -> float:
    """Strict entity F1 with constrained decoding; sentences cut at the window (a progress figure only)."""
    model.eval()
    allowed = allowed_transitions()
    right = predicted = gold = 0
    rng = random.Random(0)
    for group in batches([min(len(c), WINDOW - 2) for c, _ in sentences], 4096, rng):
        rows = [[CLS, *encode(sentences[i][0])[: WINDOW - 2], SEP] for i in group]
        inputs = pad(rows, PAD)
        logits = model(input_ids=inputs, attention_mask=(inputs != PAD).long()).logits.float()
        for row, i in zip(logits.log_softmax(-1), group, strict=True):
            n = min(len(sentences[i][0]), WINDOW - 2)
            tags = [LABELS[t] for t in viterbi(row[1 : n + 1], allowed)]
            a, b = set(spans(tags)), set(spans(sentences[i][1]))
            right += len(a & b)
            predicted += len(a)
            gold += len(b)
    model.train()
    return 2 * right / max(1, predicted + gold)


class MaskedHead(nn.Module):
    """Predicts masked characters through the tied input embedding."""

    def __init__(self, config: ConvBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)
        self.norm = nn.LayerNorm(config.embedding_size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        return self.norm(nn.functional.gelu(self.dense(hidden))) @ embedding.T + self.bias


class Trainer:
    """One phase of training: AdamW, warm-up then cosine, average of weights, saved every `every` steps."""

    def __init__(self, name: str, model: nn.Module, work: Path, steps: int, rate: float) -> None:
        self.name, self.model, self.steps, self.rate = name, model, steps, rate
        self.path = work / f"{name}.pt"
        matrices = [p for p in model.parameters() if p.ndim > 1]
        vectors = [p for p in model.parameters() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}],
            lr=rate,
            betas=(0.9, 0.98),
        )
        self.average = copy.deepcopy(model)
        self.step = 0
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]
            print(f"{name}: resumed at step {self.step}", flush=True)

    def save(self) -> None:
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        torch.save(state, self.path.with_suffix(".tmp"))
        os.replace(self.path.with_suffix(".tmp"), self.path)

    def update(self, loss: torch.Tensor) -> None:
        warm = max(1, min(1000, self.steps // 20))
        done = min(1.0, self.step / self.steps)
        factor = min(1.0, (self.step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * max(factor, 0.005)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        decay = min(0.9985, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)


def train(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    sentences = read_bio(arguments.train)
    dev = read_bio(arguments.dev)
    lexicon = [s for path in arguments.lexicon for s in read_bio(path)]

    raw = ["".join(c) for c, _ in sentences]
    raw += ["".join(c) for path in arguments.raw_bio for c, _ in read_bio(path)]
    for path in arguments.raw:
        for line in path.read_text(encoding="utf-8").splitlines():
            raw += [s for s in re.split(r"(?<=[。！？])", re.sub(r"\s", "", line)) if s]
    raw = [FOLD.normalize_str(t) for t in raw]
    counts = collections.Counter(c for t in raw for c in t)
    tokenizer = build_tokenizer(counts, arguments.minimum_count)
    encode = Encoder(tokenizer)
    size = tokenizer.get_vocab_size()

    torch.manual_seed(arguments.seed)
    config = ConvBertConfig(
        vocab_size=size,
        embedding_size=128,
        hidden_size=256,
        num_hidden_layers=5,
        num_attention_heads=4,
        intermediate_size=512,
        conv_kernel_size=9,
        max_position_embeddings=WINDOW,
        type_vocab_size=1,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        classifier_dropout=0.1,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={name: n for n, name in enumerate(LABELS)},
        pad_token_id=PAD,
        ner_decoding="constrained",
    )
    model = ConvBertForTokenClassification(config)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {size} characters", flush=True)

    texts: list[list[int]] = []
    joined: list[int] = []
    for text in raw:  # neighbouring sentences share a row, as in running text
        ids = encode(list(text))[: WINDOW - 2]
        if joined and len(joined) + len(ids) > 126:
            texts.append(joined)
            joined = []
        joined = joined + ids
    texts.append(joined)

    def run(trainer: Trainer, epochs: int, make: Any, loss_of: Any) -> None:
        start, first, seen, mean = time.time(), trainer.step, 0, 0.0
        epoch_steps = trainer.steps // epochs
        for epoch in range(trainer.step // epoch_steps, epochs):
            rng = random.Random(f"{arguments.seed}/{trainer.name}/{epoch}")
            torch.manual_seed(rng.randrange(2**31))
            for n, (inputs, targets) in enumerate(make(rng)):
                if n >= epoch_steps:
                    break
                if epoch * epoch_steps + n < trainer.step:
                    continue
                with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
                    loss = loss_of(inputs, targets)
                trainer.update(loss)
                seen += inputs.numel()
                mean = 0.99 * mean + 0.01 * loss.item() if mean else loss.item()
                if trainer.step % 200 == 0:
                    spent = time.time() - start
                    left = spent / (trainer.step - first) * (trainer.steps - trainer.step) / 60
                    print(
                        f"{trainer.name} step {trainer.step}/{trainer.steps} loss {mean:.4f} "
                        f"{seen / spent:,.0f} tokens/s, {left:.0f} min left",
                        flush=True,
                    )
                if trainer.step % 1000 == 0:
                    trainer.save()
            trainer.step = max(trainer.step, (epoch + 1) * epoch_steps)
            trainer.save()
            if trainer.name == "tagging":
                f1 = score(trainer.average, dev, encode)
                print(f"epoch {epoch + 1}/{epochs}: dev F1 {f1:.4f} (average of weights)", flush=True)

    if arguments.masked_epochs:
        head = MaskedHead(config)
        pair = nn.ModuleList([model.convbert, head])
        groups = len(batches([len(t) for t in texts], arguments.batch_tokens * 2, random.Random(0)))
        masked = Trainer("masked", pair, work, groups * arguments.masked_epochs, arguments.rate)

        def masked_loss(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            hidden = model.convbert(input_ids=inputs, attention_mask=(inputs != PAD).long())[0]
            wanted = targets != -100
            logits = head(hidden[wanted], model.convbert.embeddings.word_embeddings.weight)
            return nn.functional.cross_entropy(logits.float(), targets[wanted])

        run(
            masked,
            arguments.masked_epochs,
            lambda rng: masked_batches(texts, arguments.batch_tokens * 2, size, rng),
            masked_loss,
        )
        model.convbert.load_state_dict(masked.average[0].state_dict())

    substitute = Substitution(sentences, lexicon, arguments.substitution)
    groups = sum(1 for _ in tagging_batches(sentences, encode, substitute, arguments.batch_tokens, random.Random(0)))
    tagging = Trainer("tagging", model, work, int(groups * 0.99) * arguments.epochs, arguments.rate * 0.8)

    def tagging_loss(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = model(input_ids=inputs, attention_mask=(inputs != PAD).long()).logits
        return nn.functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=-100, label_smoothing=0.02
        )

    run(
        tagging,
        arguments.epochs,
        lambda rng: tagging_batches(sentences, encode, substitute, arguments.batch_tokens, rng),
        tagging_loss,
    )

    f1 = score(tagging.average, dev, encode)
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    finished: Any = tagging.average
    types = finished.convbert.embeddings.token_type_embeddings
    types.weight = nn.Parameter(types.weight.repeat(2, 1))  # exporters feed two segments; here they mean the same
    types.num_embeddings = finished.config.type_vocab_size = 2
    finished.save_pretrained(out, safe_serialization=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=WINDOW,
    )
    fast.save_pretrained(out)
    facts = {"seed": arguments.seed, "dev_f1": round(f1, 4), "epochs": arguments.epochs}
    facts |= {"masked_epochs": arguments.masked_epochs, "rate": arguments.rate}
    (out / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"dev F1 {f1:.4f}; written to {out}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="two-column IOB2 file with PER, LOC, ORG")
    parser.add_argument("--dev", type=Path, required=True, help="the same, to report progress on")
    parser.add_argument("--raw", type=Path, action="append", default=[], help="plain text, a document a line")
    parser.add_argument("--raw-bio", type=Path, action="append", default=[], help="column file used as text only")
    parser.add_argument("--lexicon", type=Path, action="append", default=[], help="column file to draw names from")
    parser.add_argument("--out", type=Path, required=True, help="directory of the finished checkpoint")
    parser.add_argument("--work", type=Path, required=True, help="directory of the state to resume from")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--masked-epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    parser.add_argument("--substitution", type=float, default=0.2, help="share of entities replaced")
    parser.add_argument("--batch-tokens", type=int, default=1536)
    parser.add_argument("--minimum-count", type=int, default=3, help="rarer characters become [UNK]")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, default=True)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
