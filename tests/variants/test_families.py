"""Families that need more of an exporter or a quantizer than BERT's do: built, and near what transformers answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slimner.variants import VARIANTS, resolve_checkpoint
from slimner.variants.torch_model import as_model, load_reference
from slimner.variants.variant import BuildContext
from tokenizers import Tokenizer

from .conftest import TAGS

SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64}
HEADS = {"num_key_value_heads": 2, "head_dim": 16}

# name: (class in transformers, the variant that needs more, what differs from the shared shape)
FAMILIES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "experts": ("Mixtral", "onnx-fp32", {**HEADS, "num_local_experts": 4, "num_experts_per_tok": 2}),
    "rotary positions side by side": ("Glm", "onnx-fp32", HEADS),
    "an operator that torch leaves out": ("Apertus", "onnx-fp32", {"num_key_value_heads": 2}),
    "a function with a gradient of its own": ("Bloom", "onnx-fp32", {"n_head": 2, "n_layer": 2}),
    "a product of what was looked up": ("Exaone4", "onnx-int8", HEADS),
    "a look-up of columns": ("LayoutLM", "dynamic-int8", {}),
}


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMNER_CACHE", str(cache))


@pytest.mark.parametrize("case", FAMILIES)
def test_a_family_is_built_and_answers_as_transformers_does(
    architecture: Callable[[str], Path], tmp_path: Path, case: str
) -> None:
    import torch
    import transformers

    family, name, changes = FAMILIES[case]
    directory = Path(shutil.copytree(architecture("bert"), tmp_path / "checkpoint"))
    config = getattr(transformers, f"{family}Config")(
        **{**SHAPE, "intermediate_size": 64, "initializer_range": 0.4, **changes},
        vocab_size=Tokenizer.from_file(str(directory / "tokenizer.json")).get_vocab_size(),
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
        id2label=dict(enumerate(TAGS)),
        label2id={tag: i for i, tag in enumerate(TAGS)},
    )
    torch.manual_seed(4)
    getattr(transformers, f"{family}ForTokenClassification")(config).save_pretrained(directory)
    source, variant, target = resolve_checkpoint(str(directory)), VARIANTS.get(name), tmp_path / "built"
    target.mkdir()
    variant.build(BuildContext(checkpoint=source, directory=target, wide_dot_products=True))
    model, reference = variant.load(target, 1), as_model(load_reference(source.path))
    for length in (1, 7, 64):
        ids = np.random.default_rng(length).integers(5, 300, length)
        expected = reference(ids)
        near = 1e-5 * np.ptp(expected) if variant.precision == "fp32" else 0.3 * expected.std()
        assert np.abs(model(ids) - expected).mean() <= near, length
