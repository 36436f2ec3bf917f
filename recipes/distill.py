"""Distil a token classifier into one with fewer layers, from its own answers on unlabelled text and a labelled corpus.

    python recipes/distill.py TEACHER --layers 2 --train train.bio --dev dev.bio --text sentences.txt \
        --out student --work .student

TEACHER is a directory with a `...ForTokenClassification` checkpoint and a fast tokenizer. The student has its
configuration but for the number of layers, and begins with the teacher's embeddings, head, and layers taken evenly from
first to last. It learns the teacher's probabilities of every token (softened by `--temperature`), and beside them the
labels of `--train`. Labels of the corpus are those of the teacher; `slimner corpus` says how to rename others. The
average of the weights over the last steps is what is kept. The F1 printed is slimner's own, on `--dev`; a run can be
stopped and goes on from the last epoch saved in `--work`.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
from pathlib import Path
from typing import Any

import torch
from finetune import WINDOW, Row, dev_f1, predictor_of, rows
from news_zh.batches import batches, pad
from news_zh.trainer import Trainer
from slimner.eval import read_corpus
from torch import nn
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerFast


def layers_of(model: Any) -> nn.ModuleList:
    """The encoder's layers: the only list of modules as long as the configuration says."""
    wanted = model.config.num_hidden_layers
    lists = [m for m in model.base_model.modules() if isinstance(m, nn.ModuleList) and len(m) == wanted]
    if not lists:
        raise SystemExit(f"{type(model).__name__} has no list of {wanted} layers, so it cannot be made shorter here")
    return lists[0]


def shortened(teacher: Any, layers: int) -> Any:
    """A copy of the teacher with `layers` of its layers, evenly from first to last."""
    total = teacher.config.num_hidden_layers
    if not 1 <= layers <= total:
        raise SystemExit(f"--layers is {layers}; the teacher has {total}")
    student = copy.deepcopy(teacher)
    kept = [round(i * (total - 1) / max(1, layers - 1)) for i in range(layers)]
    inside = layers_of(student)
    chosen = [inside[i] for i in kept]
    del inside[:]
    inside.extend(chosen)
    student.config.num_hidden_layers = layers
    print(f"layers {', '.join(str(i + 1) for i in kept)} of {total} are kept", flush=True)
    return student


def unlabelled(path: Path, fast: PreTrainedTokenizerFast, window: int) -> list[Row]:
    """Token ids of every line, without targets."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    encoded = (fast(line, truncation=True, max_length=window)["input_ids"] for line in lines if line)
    return [(ids, [-100] * len(ids)) for ids in encoded]


def train(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.work.mkdir(parents=True, exist_ok=True)
    teacher: Any = AutoModelForTokenClassification.from_pretrained(arguments.teacher).eval()
    fast = PreTrainedTokenizerFast.from_pretrained(arguments.teacher)
    corpus, dev = read_corpus(arguments.train), read_corpus(arguments.dev)
    student = shortened(teacher, arguments.layers)
    own = predictor_of(teacher, fast)
    unknown = sorted(set(corpus.types) - set(own.labels.types))
    if unknown:
        raise SystemExit(f"types the teacher does not know: {', '.join(unknown)}; rename or drop them in the corpus")
    data = rows(corpus, own) + [row for path in arguments.text for row in unlabelled(path, fast, WINDOW)]
    lengths = [len(ids) for ids, _ in data]
    per_epoch = int(len(batches(lengths, arguments.batch_tokens, random.Random(0))) * 0.98)
    trainer = Trainer("student", student, arguments.work, per_epoch * arguments.epochs, arguments.rate)
    print(f"teacher: dev F1 {dev_f1(own, dev):.4f}, {sum(p.numel() for p in teacher.parameters()):,} parameters")
    print(f"student: {sum(p.numel() for p in student.parameters()):,} parameters, {len(data):,} texts", flush=True)
    begun, soft = time.time(), arguments.temperature
    for epoch in range(trainer.step // per_epoch, arguments.epochs):
        student.train()
        rng = random.Random(f"{arguments.seed}/{epoch}")
        torch.manual_seed(rng.randrange(2**31))
        for group in batches(lengths, arguments.batch_tokens, rng)[:per_epoch]:
            inputs = pad([data[n][0] for n in group], fast.pad_token_id)
            targets = pad([data[n][1] for n in group], -100)
            mask = pad([[1] * lengths[n] for n in group], 0)
            with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
                with torch.no_grad():
                    expected = teacher(input_ids=inputs, attention_mask=mask).logits.float()
                logits = student(input_ids=inputs, attention_mask=mask).logits.float()
            real = mask.bool()
            loss = soft**2 * nn.functional.kl_div(
                (logits[real] / soft).log_softmax(-1),
                (expected[real] / soft).log_softmax(-1),
                reduction="batchmean",
                log_target=True,
            )
            if (targets != -100).any():
                gold = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
                loss = loss + arguments.gold * gold
            trainer.update(loss)
        trainer.save()
        f1 = dev_f1(predictor_of(trainer.average.eval(), fast), dev)
        print(f"epoch {epoch + 1}/{arguments.epochs}: dev F1 {f1:.4f}, {time.time() - begun:.0f} s", flush=True)

    trainer.average.save_pretrained(arguments.out)
    fast.save_pretrained(arguments.out)
    facts = {"dev_f1": round(dev_f1(predictor_of(trainer.average.eval(), fast), dev), 4)}
    facts |= {key: getattr(arguments, key) for key in ("seed", "layers", "epochs", "rate", "temperature", "gold")}
    (arguments.out / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"dev F1 {facts['dev_f1']}; written to {arguments.out}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher", type=Path, help="directory of the checkpoint to learn from")
    parser.add_argument("--layers", type=int, required=True, help="layers of the student")
    parser.add_argument("--train", required=True, help="labelled corpus, of the teacher's types")
    parser.add_argument("--dev", required=True, help="the same, to report F1 on")
    parser.add_argument("--text", type=Path, action="append", default=[], help="unlabelled text, a sentence a line")
    parser.add_argument("--out", type=Path, required=True, help="directory of the finished checkpoint")
    parser.add_argument("--work", type=Path, required=True, help="directory of the state to resume from")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=4e-4, help="peak learning rate")
    parser.add_argument("--temperature", type=float, default=2.0, help="softens the teacher's probabilities")
    parser.add_argument("--gold", type=float, default=0.5, help="weight of the labels beside the teacher's answers")
    parser.add_argument("--batch-tokens", type=int, default=1536)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="quicker, on processors that compute in it")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
