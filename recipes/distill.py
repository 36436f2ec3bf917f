"""Distil a token classifier into one with fewer layers, from its own answers on unlabelled text and a labelled corpus.

    python recipes/distill.py TEACHER --layers 2 --train train.bio --dev dev.bio --text sentences.txt \
        --out student --work .student

TEACHER is a directory with a `...ForTokenClassification` checkpoint and a fast tokenizer. The student has its
configuration but for the number of layers, and begins with the teacher's embeddings, head, and layers taken evenly from
first to last. It learns the teacher's probabilities of every token (softened by `--temperature`), and beside them the
labels of `--train`. `--text` is what makes the student good: as much as there is of the text you will serve, a sentence
a line; `--train` may be small. Labels of the corpus are those of the teacher; `slimner corpus` says how to rename
others. The average of the weights over the last steps is what is kept.

The F1 printed is slimner's own, on `--dev`. Ctrl-C stops a run, and the same command goes on from `--work`. The
teacher is asked once for every text; its answers are kept in memory, two bytes a token and tag.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import running
import torch
from finetune import WINDOW, Row, dev_f1, predictor_of, rows
from layers import with_layers
from news_zh.batches import pad
from news_zh.trainer import Trainer
from slimner.eval import Corpus, read_corpus
from torch import nn
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerFast


def unlabelled(path: Path, fast: PreTrainedTokenizerFast, window: int) -> list[Row]:
    """Token ids of every line, without targets."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    encoded = (fast(line, truncation=True, max_length=window)["input_ids"] for line in lines if line)
    return [(ids, [-100] * len(ids)) for ids in encoded]


class Answers:
    """The teacher's logits of the texts, each computed when it is first asked for."""

    def __init__(self, teacher: Any, bfloat16: bool) -> None:
        self.teacher, self.bfloat16 = teacher.eval(), bfloat16
        self.known: dict[int, torch.Tensor] = {}

    def __call__(self, group: list[int], inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Logits of the real tokens of a batch (those of `mask`), one text after the other."""
        if any(n not in self.known for n in group):
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                logits = self.teacher(input_ids=inputs, attention_mask=mask).logits.half()
            for n, row, real in zip(group, logits, mask.bool(), strict=True):
                self.known[n] = row[real].clone()
        return torch.cat([self.known[n] for n in group]).float()


def loss_of(
    logits: torch.Tensor, expected: torch.Tensor, mask: torch.Tensor, targets: torch.Tensor, soft: float, gold: float
) -> torch.Tensor:
    """How far the student's logits are from the teacher's, and `gold` times how far from the labels, where any are."""
    loss = soft**2 * nn.functional.kl_div(
        (logits[mask.bool()] / soft).log_softmax(-1),
        (expected / soft).log_softmax(-1),
        reduction="batchmean",
        log_target=True,
    )
    if (targets != -100).any():
        named = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
        loss = loss + gold * named
    return loss


def opened(path: Path) -> tuple[Any, PreTrainedTokenizerFast]:
    """The teacher and its tokenizer; SystemExit that says what is missing."""
    if not (path / "config.json").is_file():
        raise SystemExit(f"{path} is not a checkpoint: it has no config.json")
    if not (path / "tokenizer.json").is_file():
        raise SystemExit(f"{path} has no tokenizer.json; save its fast tokenizer there with save_pretrained")
    return AutoModelForTokenClassification.from_pretrained(path), PreTrainedTokenizerFast.from_pretrained(path)


def check(arguments: argparse.Namespace, teacher: Any, known: set[str], corpora: dict[str, Corpus]) -> None:
    """Refuses what could only fail later."""
    total = teacher.config.num_hidden_layers
    if not 1 <= arguments.layers <= total:
        raise SystemExit(f"--layers is {arguments.layers}; the teacher has {total}")
    for name, corpus in corpora.items():
        if unknown := sorted(set(corpus.types) - known):
            raise SystemExit(
                f"{name} has types the teacher does not know: {', '.join(unknown)} "
                f"(it knows {', '.join(sorted(known))}); rename or drop them, see slimner corpus --help"
            )
    for path in arguments.text:
        if not path.is_file():
            raise SystemExit(f"--text {path}: no such file")


def train(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    teacher, fast = opened(arguments.teacher)
    corpus, dev = read_corpus(arguments.train), read_corpus(arguments.dev)
    own = predictor_of(teacher.eval(), fast)
    check(arguments, teacher, set(own.labels.types), {"--train": corpus, "--dev": dev})
    running.same_settings(arguments)
    student = with_layers(teacher, arguments.layers)
    data = rows(corpus, own)
    labelled = len(data)
    data += [row for path in arguments.text for row in unlabelled(path, fast, WINDOW)]
    lengths = [len(ids) for ids, _ in data]
    epochs = running.Epochs(lengths, arguments, lambda: dev_f1(predictor_of(trainer.average.eval(), fast), dev))
    trainer = Trainer("student", student, arguments.work, epochs.steps, arguments.rate)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (teacher, student)]
    print(f"teacher {sizes[0]:,} parameters, student {sizes[1]:,}", flush=True)
    print(f"{labelled:,} labelled texts, {len(data) - labelled:,} without labels, {trainer.steps:,} steps", flush=True)
    answers = Answers(teacher, arguments.bfloat16)
    student.train()
    for group in running.steps(trainer, epochs, arguments.pause_file):
        inputs = pad([data[n][0] for n in group], fast.pad_token_id or 0)
        mask = pad([[1] * lengths[n] for n in group], 0)
        expected = answers(group, inputs, mask)
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            logits = student(input_ids=inputs, attention_mask=mask).logits.float()
        targets = pad([data[n][1] for n in group], -100)
        trainer.update(loss_of(logits, expected, mask, targets, arguments.temperature, arguments.gold))

    f1 = epochs.f1
    print("scoring the teacher", flush=True)
    scores = {"teacher": round(dev_f1(own, dev), 4), "student": f1}
    facts: dict[str, Any] = {"dev_f1": scores}
    facts |= {key: getattr(arguments, key) for key in ("seed", "layers", "epochs", "rate", "temperature", "gold")}
    trainer.average.save_pretrained(arguments.out)
    fast.save_pretrained(arguments.out)
    (arguments.out / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    told = ", ".join(f"{name} {score:.4f}" for name, score in scores.items())
    print(f"dev F1: {told}; next: slimner run {arguments.out} --corpus {arguments.dev}", flush=True)


def options() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher", type=Path, help="directory of the checkpoint to learn from")
    parser.add_argument("--layers", type=int, required=True, help="layers of the student; half of them keep most F1")
    parser.add_argument("--train", required=True, help="labelled corpus, of the teacher's types")
    parser.add_argument("--dev", required=True, help="the same, to report F1 on; not in --train or --text")
    parser.add_argument("--text", type=Path, action="append", default=[], help="unlabelled sentences, one a line")
    parser.add_argument("--temperature", type=float, default=2.0, help="softens the teacher's probabilities (2)")
    parser.add_argument("--gold", type=float, default=0.5, help="weight of the labels of --train (0.5)")
    running.add_options(parser, epochs=3, rate=4e-4)
    return parser


def main() -> None:
    train(options().parse_args())


if __name__ == "__main__":
    main()
