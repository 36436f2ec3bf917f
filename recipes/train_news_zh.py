"""Train the embedded checkpoint `news-zh`: a small character ConvBERT for PER, LOC, ORG.

It starts from the weights of the release before (`--start`), gives the vocabulary more characters, and goes on in
phases, each a call of this file that starts from what the phase before wrote. A phase mixes newswire (`--news`), web
text annotated after another guide (`--web`, its types mapped), sentences made from the lexicon beside this file
(`--made-share`), and raw text tagged by the model itself (`--raw`). What is kept is an exponential average of the
weights.

    python recipes/train_news_zh.py --start zoo/news_zh/checkpoint --news msra/train.bio --web cluener/train.bio \
        --dev msra/dev.bio --dev cluener/dev.bio --work .news-zh/first --out .news-zh/first/checkpoint

Stop it at any time: the same call goes on from `--work`. `zoo/news_zh/checkpoint/README.md` has the calls that were
made. Traditional characters need `pip install opencc-python-reimplemented`.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import torch
from news_zh import encoder
from news_zh.batches import Mixture, Source, without_conflicts
from news_zh.decoding import predict, score
from news_zh.made import Made, Names
from news_zh.names import Substitution
from news_zh.texts import Sentence, read_bio, read_lines
from news_zh.trainer import Trainer
from news_zh.vocabulary import blend, open_enlarged, packed
from torch import nn


def pseudo(model: Any, lines: list[str], ids: dict[str, int], least: float) -> list[Sentence]:
    """Raw sentences with the tags the model gives them, where it is sure of every one."""
    texts = [list(line) for line in lines if 8 <= len(line) <= 120]
    tags, sure = predict(model, texts, ids)
    return [(c, t) for c, t, least_sure in zip(texts, tags, sure, strict=True) if least_sure >= least]


def mixture(arguments: argparse.Namespace, model: Any, ids: dict[str, int]) -> Mixture:
    news = [s for path in arguments.news for s in read_bio(path)]
    web = [s for path in arguments.web for s in read_bio(path)]
    names = Names() if arguments.made_share else None
    substitution = Substitution(news + web, names.of_type if names else None, arguments.fresh)
    sources = [Source(sentences=news, share=arguments.news_share, substitution=arguments.substitution)]
    if web:
        guessed, _ = predict(model, [c for c, _ in web], ids)
        web = without_conflicts(web, guessed, arguments.kept, random.Random(arguments.seed))
        sources.append(Source(sentences=web, share=arguments.web_share, substitution=arguments.substitution))
    if arguments.raw:
        lines = [line for path in arguments.raw for line in read_lines(path)]
        lines = random.Random(arguments.seed).sample(lines, min(len(lines), arguments.raw_lines))
        raw = pseudo(model, lines, ids, arguments.sure)
        print(f"{len(raw)} raw sentences tagged by the model", flush=True)
        sources.append(Source(sentences=raw, share=arguments.raw_share, substitution=arguments.substitution))
    return Mixture(
        sources=sources,
        ids=ids,
        substitution=substitution,
        tokens=arguments.batch_tokens,
        seed=f"{arguments.seed}/{arguments.work.name}",
        made=Made(names) if names else None,
        templated=arguments.made_share,
    )


def write(model: Any, tokenizer: Any, out: Path, facts: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    packed(tokenizer).save_pretrained(out)
    (out / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def train(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    arguments.work.mkdir(parents=True, exist_ok=True)
    texts = ["".join(c) for path in (*arguments.news, *arguments.web) for c, _ in read_bio(path)]
    texts += [line for path in arguments.characters for line in read_lines(path)]
    model, tokenizer = open_enlarged(arguments.start, texts)
    ids = tokenizer.get_vocab()
    if arguments.blend:
        blend(model, ids, arguments.blend, arguments.blend_share)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(ids)} characters", flush=True)
    dev = {path.parent.name: read_bio(path) for path in arguments.dev}
    data = mixture(arguments, model, ids)
    model.train()
    trainer = Trainer(
        "tagging", model, arguments.work, arguments.steps, arguments.rate, decay=arguments.decay, mean=arguments.mean
    )
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    began, first = time.time(), trainer.step

    def report() -> None:
        scores = {name: score(trainer.average, sentences, ids) for name, sentences in dev.items()}
        for name, by_type in scores.items():
            figures = " ".join(f"{kind} {100 * f1:.2f}" for kind, f1 in by_type.items())
            print(f"step {trainer.step}: {name} {figures}", flush=True)
        facts = {"seed": arguments.seed, "steps": trainer.step, "rate": arguments.rate, "minutes": None}
        facts["minutes"] = round((time.time() - began) / 60)
        facts["dev_f1"] = {name: round(by_type["all"], 4) for name, by_type in scores.items()}
        write(trainer.average, tokenizer, arguments.out, facts)

    while trainer.step < trainer.steps and not stopped:
        for inputs, targets in data.chunk(trainer.chunk):
            while arguments.pause_file and arguments.pause_file.exists():
                time.sleep(5)
            with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
                scores = encoder.logits(model, inputs)
            loss = nn.functional.cross_entropy(
                scores.float().flatten(0, 1), targets.flatten(), ignore_index=-100, label_smoothing=0.02
            )
            trainer.update(loss)
            if stopped or trainer.step >= trainer.steps:
                break
        trainer.chunk += 1
        trainer.save()
        pace = (time.time() - began) / (trainer.step - first)
        left = pace * (trainer.steps - trainer.step) / 60
        print(
            f"chunk {trainer.chunk} step {trainer.step}/{trainer.steps} loss {trainer.loss:.4f} "
            f"{time.process_time():.0f} s of processor, {left:.0f} min left",
            flush=True,
        )
        if trainer.chunk % arguments.every == 0 and trainer.step < trainer.steps and not stopped:
            report()
    report()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    path = {"type": Path, "default": [], "action": "append", "metavar": "FILE"}
    parser.add_argument("--start", type=Path, required=True, help="checkpoint to go on from")
    parser.add_argument(
        "--blend", type=Path, help="another checkpoint, whose weights are mixed in before the first step"
    )
    parser.add_argument("--blend-share", type=float, default=0.5, help="how far towards --blend")
    parser.add_argument("--news", **path, help="two-column IOB2 file with PER, LOC, ORG")
    parser.add_argument("--web", **path, help="the same after another guide; see MAPPED in news_zh/texts.py")
    parser.add_argument("--raw", **path, help="sentences, one a line, tagged by --start")
    parser.add_argument("--characters", **path, help="text whose characters enter the vocabulary")
    parser.add_argument("--dev", **path, help="labelled file to report progress on, in a directory of its name")
    parser.add_argument("--out", type=Path, required=True, help="directory of the checkpoint")
    parser.add_argument("--work", type=Path, required=True, help="directory of the state to resume from")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--decay", type=float, default=0.0, help="last share of the steps in which the rate falls to 0")
    parser.add_argument("--rate", type=float, default=4e-4, help="peak learning rate")
    parser.add_argument("--mean", type=float, default=0.997, help="decay of the average of weights")
    parser.add_argument("--news-share", type=int, default=1000, help="sentences of --news in a chunk")
    parser.add_argument("--web-share", type=int, default=450, help="sentences of --web in a chunk")
    parser.add_argument("--raw-lines", type=int, default=4000, help="lines of --raw that are tagged, drawn at random")
    parser.add_argument("--raw-share", type=int, default=300, help="sentences of --raw in a chunk")
    parser.add_argument("--made-share", type=int, default=0, help="sentences made from templates in a chunk")
    parser.add_argument("--fresh", type=float, default=0.6, help="share of replacing names drawn from the lexicon")
    parser.add_argument("--substitution", type=float, default=0.2, help="share of names replaced by others")
    parser.add_argument("--kept", type=float, default=0.5, help="share of disputed names of --web taught as no name")
    parser.add_argument("--sure", type=float, default=0.6, help="least probability of a tag in a sentence of --raw")
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--every", type=int, default=12, help="chunks between two reports on --dev")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pause-file", type=Path, help="training sleeps while this file exists")
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, default=True)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
