"""Makes ModelScope directories of the kind `transformer-crf` (RaNER): one of full size, and a small trained one.

Runs in ModelScope's environment, without slimner (`others.py`).
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TYPES = ("PER", "LOC", "ORG")
TAGS = ("O", *(f"{letter}-{kind}" for kind in TYPES for letter in "BIES"))
FORBIDDEN = -100.0
WIDTH = 128
LEARNING = (1e-3, 1e-2)  # of the network, of the CRF
LONGEST_TRAINED = 60


def bioes(tags: Sequence[str]) -> list[str]:
    """IOB2 tags as BIOES tags."""
    result = []
    for tag, after in zip(tags, (*tags[1:], "O"), strict=True):
        ends = after != f"I-{tag[2:]}"
        letter = {"B": "S" if ends else "B", "I": "E" if ends else "I"}.get(tag[0], "O")
        result.append("O" if letter == "O" else f"{letter}-{tag[2:]}")
    return result


def may_follow(before: str | None, after: str | None) -> bool:
    """Whether a BIOES tag may follow another; None is the edge of the text."""
    inside = before is not None and before[0] in "BI"
    if after is None or after[0] in "OBS":
        return not inside
    return inside and before is not None and before[2:] == after[2:]


def write_directory(
    directory: Path, config: dict[str, Any], tensors: dict[str, Any], vocabulary: Path, longest: int
) -> Path:
    """A directory as ModelScope lays it out; its pipeline cuts texts at `longest` tokens."""
    import torch

    directory.mkdir(parents=True)
    shutil.copy(vocabulary, directory / "vocab.txt")
    torch.save(tensors, directory / "pytorch_model.bin")
    for name, content in (
        ("config.json", {**config, "model_type": "bert", "architectures": ["BertModel"]}),
        ("label_mapping.json", {tag: i for i, tag in enumerate(TAGS)}),
        (
            "configuration.json",
            {
                "framework": "pytorch",
                "task": "named-entity-recognition",
                "model": {
                    "type": "transformer-crf",
                    "backbone": {**config, "type": "bert", "prefix": "encoder"},
                    "head": {
                        "type": "transformer-crf",
                        "hidden_size": config["hidden_size"],
                        "hidden_dropout_prob": config["hidden_dropout_prob"],
                    },
                },
                "preprocessor": {"type": "sequence-labeling-tokenizer", "max_length": longest},
                "pipeline": {"type": "named-entity-recognition"},
            },
        ),
    ):
        (directory / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
    return directory


def tensors_of(encoder: Any, linear: Any, crf: Any) -> dict[str, Any]:
    """All weights under the names that ModelScope gives them."""
    return {
        f"{prefix}.{name}": tensor.detach()
        for prefix, part in (("encoder", encoder), ("head.linear", linear), ("head.crf", crf))
        for name, tensor in part.state_dict().items()
    }


def full_size(directory: Path, vocabulary: Path, *, longest: int, **changes: Any) -> Path:
    """BERT of base size with random weights, a head that uses all tags, and a CRF that knows the scheme."""
    import torch
    from modelscope.models.nlp.heads.crf_head import CRF
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    entries = len(vocabulary.read_text(encoding="utf-8").rstrip("\n").split("\n"))
    config = BertConfig(vocab_size=entries, **changes)
    linear = torch.nn.Linear(config.hidden_size, len(TAGS))
    torch.nn.init.normal_(linear.weight, std=0.1)
    crf = CRF(len(TAGS), batch_first=True)
    with torch.no_grad():
        for i, before in enumerate(TAGS):
            crf.start_transitions[i] += 0.0 if may_follow(None, before) else FORBIDDEN
            crf.end_transitions[i] += 0.0 if may_follow(before, None) else FORBIDDEN
            for j, after in enumerate(TAGS):
                crf.transitions[i, j] += 0.0 if may_follow(before, after) else FORBIDDEN
    encoder = BertModel(config, add_pooling_layer=False)
    return write_directory(directory, config.to_dict(), tensors_of(encoder, linear, crf), vocabulary, longest)


def trained(
    directory: Path, vocabulary: Path, sentences: Sequence[tuple[list[str], list[str]]], *, steps: int, longest: int
) -> Path:
    """A BERT of three layers of 128 with a CRF, trained from nothing on sentences: characters and their IOB2 tags."""
    import torch
    from modelscope.models.nlp.heads.crf_head import CRF
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(1)
    tokenizer = BertTokenizerFast(str(vocabulary))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=4 * WIDTH,
    )
    encoder = BertModel(config, add_pooling_layer=False)
    linear = torch.nn.Linear(WIDTH, len(TAGS))
    crf = CRF(len(TAGS), batch_first=True)
    examples = []
    for words, names in sentences:
        ids = [tokenizer.convert_tokens_to_ids(word.lower()) for word in words[:LONGEST_TRAINED]]
        examples.append((ids, [TAGS.index(tag) for tag in bioes(names[:LONGEST_TRAINED])]))
    parts = [encoder, linear, crf]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for part in parts[:2] for p in part.parameters()], "lr": LEARNING[0]},
            {"params": list(crf.parameters()), "lr": LEARNING[1]},
        ]
    )
    draw, step, size = random.Random(1), 0, 32
    for part in parts:
        part.train()
    while step < steps:
        pool = draw.sample(examples, size * 20)
        pool.sort(key=lambda example: len(example[0]))  # like lengths together: less padding
        batches = [pool[i : i + size] for i in range(0, len(pool), size)]
        draw.shuffle(batches)
        for batch in batches:
            for group, peak in zip(optimizer.param_groups, LEARNING, strict=True):
                group["lr"] = peak * min(1.0, (step + 1) / 100) * max(0.02, 1 - step / steps)
            width = max(len(ids) for ids, _ in batch)
            ids = torch.zeros((len(batch), width + 2), dtype=torch.int64)
            tags = torch.zeros((len(batch), width), dtype=torch.int64)
            mask = torch.zeros((len(batch), width), dtype=torch.uint8)
            for row, (tokens, gold) in enumerate(batch):
                ends = [tokenizer.cls_token_id, *tokens, tokenizer.sep_token_id]
                ids[row, : len(ends)] = torch.tensor(ends)
                tags[row, : len(gold)] = torch.tensor(gold)
                mask[row, : len(gold)] = 1
            emissions = linear(encoder(ids, attention_mask=(ids != 0).long()).last_hidden_state[:, 1:-1])
            loss = -crf(emissions, tags, mask)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for part in parts for p in part.parameters()], 1.0)
            optimizer.step()
            step += 1
        print(f"step {step} of {steps}, loss {float(loss):.2f}", flush=True)
    return write_directory(directory, config.to_dict(), tensors_of(encoder, linear, crf), vocabulary, longest)
