"""Every architecture through every built-in variant, against what transformers itself answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slimner.variants import VARIANTS, resolve_checkpoint
from slimner.variants.labels import spans
from slimner.variants.predictor import Predictor
from slimner.variants.reading import UNSPACED
from slimner.variants.variant import BuildContext
from tokenizers import Tokenizer

from .conftest import ARCHITECTURES, TAGS, TEXTS, some_text

NAMES = ("fp32", "dynamic-int8", "onnx-fp32", "onnx-int8")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def checkpoint(request: pytest.FixtureRequest, architecture: Callable[[str], Path]) -> Path:
    return architecture(request.param)


@pytest.fixture(scope="module")
def models(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each variant built and loaded in this process."""
    source = resolve_checkpoint(str(checkpoint))
    loaded = {}
    for name in NAMES:
        directory = tmp_path_factory.mktemp(name)
        variant = VARIANTS.get(name)
        variant.build(BuildContext(checkpoint=source, directory=directory, wide_dot_products=False))
        loaded[name] = variant.load(directory, 1)
    return loaded


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> Callable[[str], tuple[Any, np.ndarray]]:
    """Encoding and logits of a text, by the tokenizer and the model of transformers."""
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    module = AutoModelForTokenClassification.from_pretrained(checkpoint).eval()

    def answer(text: str) -> tuple[Any, np.ndarray]:
        encoding = tokenizer(text, return_tensors="pt", return_offsets_mapping=True, truncation=True)
        offsets = encoding.pop("offset_mapping")[0].tolist()
        with torch.inference_mode():
            logits = module(**encoding).logits[0].numpy()
        return (encoding.word_ids(0), offsets, encoding["input_ids"][0].numpy()), logits

    return answer


def test_logits_are_those_of_transformers(models: dict[str, Any], reference: Callable[[str], Any]) -> None:
    for text in TEXTS:
        (_, _, ids), expected = reference(text)
        for name in ("fp32", "onnx-fp32"):
            assert np.abs(models[name](ids) - expected).max() <= 1e-4, (name, text)


def test_eight_bits_stay_near(models: dict[str, Any], reference: Callable[[str], Any]) -> None:
    for name in ("dynamic-int8", "onnx-int8"):
        found, same, tokens = [], 0, 0
        for text in TEXTS:
            (_, _, ids), expected = reference(text)
            logits = models[name](ids)
            found.append(np.abs(logits - expected).mean() / expected.std())
            same += int((logits.argmax(1) == expected.argmax(1)).sum())
            tokens += len(ids)
        assert 0 < np.mean(found) < 0.2, name
        assert same / tokens > 0.7, name  # random weights: far less sure than trained ones


def test_entities_are_those_of_transformers(
    checkpoint: Path, models: dict[str, Any], reference: Callable[[str], Any]
) -> None:
    source = resolve_checkpoint(str(checkpoint))
    assert source.window == 64
    answered = 0
    for name in ("fp32", "onnx-fp32"):
        predictor = Predictor(Tokenizer.from_file(str(source.tokenizer)), models[name], source.labels, source.window)
        short = [" ".join(line.split()[:5]) for line in some_text(12)]
        for text in (*TEXTS[:-1], *short):  # the last is longer than the window, where transformers truncates
            (words, offsets, _), logits = reference(text)
            expected = entities(text, words, offsets, [TAGS[i] for i in logits.argmax(1)])
            found = [(e.start, e.end, e.type) for e in predictor(text)]
            assert found == expected, (name, text)
            answered += len(found)
    assert answered > 12


def entities(text: str, words: list[int | None], offsets: list[list[int]], tags: list[str]) -> list[tuple[Any, ...]]:
    """Entities by the first token of each word, but by each token that begins with an ideograph."""
    units: list[list[Any]] = []
    for index, (word, (start, end)) in enumerate(zip(words, offsets, strict=True)):
        here = text[start:end].lstrip()
        if word is None or not here:
            continue
        start = end - len(here)
        unspaced = any(UNSPACED.match(c) for c in text[max(0, start - 1) : start + 1])
        first = words.index(word)
        if units and units[-1][3] == word and (not unspaced or start < units[-1][1]):
            units[-1][1] = max(end, units[-1][1])
        else:
            units.append([start, end, tags[index if unspaced else first], word])
    return [(units[a][0], units[b - 1][1], kind) for a, b, kind in spans([unit[2] for unit in units])]
