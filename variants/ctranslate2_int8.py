"""`ctranslate2-int8`: the encoder in CTranslate2 with INT8 weights by channel, the classifier in NumPy in FP32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UserError
from .torch_model import load_reference
from .variant import BuildContext, Model, Variant

ENCODER, CLASSIFIER = "encoder", "classifier.npz"

# Model types whose encoders CTranslate2's converter reads, and which part of the token classifier it is to be given.
PARTS: Mapping[str, str] = {
    "bert": "bert",
    "camembert": "roberta",
    "distilbert": "distilbert",
    "roberta": "roberta",
    "xlm-roberta": "",  # the whole: it looks for the encoder inside
}

SESSION = {"compute_type": "int8_float32"}


class Ctranslate2Int8(Variant):
    """Activations are quantized row by row as they come."""

    name = "ctranslate2-int8"
    backend = "ctranslate2"
    precision = "int8"
    summary = "the encoder in CTranslate2 with INT8 weights by channel, for the BERT and RoBERTa families"
    run_needs = ("ctranslate2",)
    build_needs = ("torch", "transformers")
    extra = "ctranslate2"
    session = SESSION
    forks = False  # a thread of its own does the work, which a fork lacks: it waits for ever
    complexity = 2
    standard = False

    def build(self, context: BuildContext) -> None:
        module = load_reference(context.checkpoint.path)
        if module.config.model_type not in PARTS:
            raise UserError(
                f"{context.checkpoint.architecture} is not a family whose encoder CTranslate2 reads",
                f"leave {self.name} out (--variants); the families it reads: {', '.join(PARTS)}",
            )
        _convert(module, context.checkpoint.path, context.directory / ENCODER)
        weight, bias = (tensor.detach().numpy() for tensor in (module.classifier.weight, module.classifier.bias))
        np.savez(context.directory / CLASSIFIER, weight=weight, bias=bias)

    def load(self, directory: Path, threads: int) -> Model:
        import ctranslate2

        encoder = ctranslate2.Encoder(
            str(directory / ENCODER), "cpu", inter_threads=1, intra_threads=threads, **SESSION
        )
        with np.load(directory / CLASSIFIER) as classifier:
            weight, bias = classifier["weight"].T, classifier["bias"]

        def run(ids: np.ndarray) -> np.ndarray:
            hidden = np.asarray(encoder.forward_batch([ids.tolist()]).last_hidden_state)[0]
            logits: np.ndarray = hidden @ weight + bias
            return logits

        return run


def _convert(module: Any, checkpoint: Path, target: Path) -> None:
    """Write the encoder of a token classifier as CTranslate2's files."""
    from ctranslate2.converters import TransformersConverter
    from transformers.models.bert.modeling_bert import BertPooler

    config, part = module.config, PARTS[module.config.model_type]
    body = getattr(module, part) if part else module
    rows = module.get_input_embeddings().num_embeddings
    if not hasattr(config, "position_embedding_type"):  # gone from transformers 5, which knows this kind only
        config.position_embedding_type = "absolute"
    if config.model_type == "bert" and body.pooler is None:  # it wants one; nobody reads what comes out of it
        body.pooler = BertPooler(config)

    class Loaded(TransformersConverter):  # type: ignore[misc]  # it has no types
        """The converter with a module that is loaded already, and numbers in place of a tokenizer's words."""

        def load_model(self, *_: Any, **__: Any) -> Any:
            return body

        def load_tokenizer(self, *_: Any, **__: Any) -> Any:
            return _Numbers(rows)

    Loaded(str(checkpoint)).convert(str(target), quantization="int8")


class _Numbers:
    """What the converter asks of a tokenizer; ids are all that the encoder is given."""

    unk_token = "0"

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def get_vocab(self) -> dict[str, int]:
        return {str(number): number for number in range(self._rows)}


VARIANT = Ctranslate2Int8()
