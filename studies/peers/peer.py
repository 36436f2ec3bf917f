"""One peer, in an environment without slimner: makes its model, serves it from a small application, or times it.

    python peer.py build ENGINE CHECKPOINT OUT TEXTS
    python peer.py time ENGINE MODEL TEXTS
    python peer.py serve ENGINE MODEL PORT      # in Flask's own server, threads
    gunicorn "peer:create_app()"                # with PEER_ENGINE and PEER_MODEL in the environment

An engine is a pair of functions: `build(checkpoint, out, texts)` writes what it serves from, and `load(model)` gives a
function from a text to (start, end, type) triples. All run on one thread a process.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

Entity = tuple[int, int, str]
Predict = Callable[[str], list[Entity]]

THREADS = 1
LONGEST = 512
MODELSCOPES = 128  # tokens to which its pipeline pads every text unless a model's configuration says otherwise
CALIBRATION = 100


def lines(path: str) -> list[str]:
    """The texts of a file, one a line."""
    return Path(path).read_text(encoding="utf-8").splitlines()


# What the engines without a pipeline of their own share: tokenizer, labels, and the best tag of each token.


def decoder(directory: Path) -> Callable[[str, Callable[[list[int]], Any]], list[Entity]]:
    """Reads a text with a directory's tokenizer and joins B- and I- tags, given a function from ids to logits."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    labels = [config["id2label"][str(i)] for i in range(len(config["id2label"]))]

    def predict(text: str, logits_of: Callable[[list[int]], Any]) -> list[Entity]:
        encoding = tokenizer.encode(text)
        best = logits_of(encoding.ids).argmax(-1)
        return list(_joined(encoding.offsets, [labels[int(i)] for i in best]))

    return predict


def _joined(offsets: Sequence[tuple[int, int]], tags: Sequence[str]) -> Iterator[Entity]:
    begun: tuple[int, int, str] | None = None
    for (start, end), tag in zip(offsets, tags, strict=True):
        if start == end:
            continue
        if begun and tag == f"I-{begun[2]}":
            begun = (begun[0], end, begun[2])
            continue
        if begun:
            yield begun
        begun = None if tag == "O" else (start, end, tag[2:])
    if begun:
        yield begun


def copy_tokenizer(checkpoint: str, out: Path) -> None:
    """Tokenizer and configuration beside the engine's own file."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (out / name).write_bytes((Path(checkpoint) / name).read_bytes())


def torch_model(checkpoint: str) -> Any:
    """The checkpoint in torch."""
    import torch
    from transformers import AutoModelForTokenClassification

    torch.set_num_threads(THREADS)
    return AutoModelForTokenClassification.from_pretrained(checkpoint).eval()


# Optimum: its exporter, its quantizer, its model class, in transformers' pipeline.


def build_optimum(checkpoint: str, out: Path, texts: list[str]) -> None:
    """Dynamic INT8 by channel for AVX-512 VNNI, as Optimum's documentation does it."""
    from optimum.onnxruntime import ORTModelForTokenClassification, ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    model = ORTModelForTokenClassification.from_pretrained(checkpoint, export=True)
    quantizer = ORTQuantizer.from_pretrained(model)
    quantizer.quantize(
        save_dir=out, quantization_config=AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=True)
    )
    copy_tokenizer(checkpoint, out)


def load_optimum(model: Path) -> Predict:
    """transformers' pipeline over Optimum's model."""
    import onnxruntime
    from optimum.onnxruntime import ORTModelForTokenClassification
    from transformers import AutoTokenizer, pipeline

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ORTModelForTokenClassification.from_pretrained(
        model, file_name="model_quantized.onnx", session_options=options
    )
    ner = pipeline("ner", session, tokenizer=AutoTokenizer.from_pretrained(model), aggregation_strategy="simple")
    return lambda text: [(int(e["start"]), int(e["end"]), e["entity_group"]) for e in ner(text)]


# OpenVINO: post-training INT8 by NNCF on a hundred texts, the rest in bf16 where the processor has it.


def build_openvino(checkpoint: str, out: Path, texts: list[str]) -> None:
    """Convert from torch, then quantize with NNCF for transformers."""
    import nncf
    import numpy as np
    import openvino
    import torch
    from tokenizers import Tokenizer

    copy_tokenizer(checkpoint, out)
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    example = {name: torch.ones((1, 8), dtype=torch.int64) for name in ("input_ids", "attention_mask")}
    graph = openvino.convert_model(torch_model(checkpoint), example_input=example)
    inputs = [np.array([tokenizer.encode(text).ids], dtype=np.int64) for text in texts[:CALIBRATION]]
    data = nncf.Dataset([{"input_ids": ids, "attention_mask": np.ones_like(ids)} for ids in inputs])
    quantized = nncf.quantize(graph, data, model_type=nncf.ModelType.TRANSFORMER)
    openvino.save_model(quantized, out / "model.xml")


def load_openvino(model: Path) -> Predict:
    """One stream of one thread."""
    import numpy as np
    import openvino

    compiled = openvino.Core().compile_model(
        model / "model.xml", "CPU", {"INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    )
    read = decoder(model)

    def logits(ids: list[int]) -> Any:
        array = np.array([ids], dtype=np.int64)
        return compiled({"input_ids": array, "attention_mask": np.ones_like(array)})[0][0]

    return lambda text: read(text, logits)


# CTranslate2: the encoder in INT8, the classifier in numpy.


def build_ctranslate2(checkpoint: str, out: Path, texts: list[str]) -> None:
    """Convert the encoder; keep the classifier beside it."""
    import ctranslate2
    import numpy as np

    model = torch_model(checkpoint)
    encoder = out / "encoder"
    copy_tokenizer(checkpoint, encoder)
    if model.bert.pooler is None:  # its converter wants one; nobody reads what comes out of it
        from transformers.models.bert.modeling_bert import BertPooler

        model.bert.pooler = BertPooler(model.config)
    model.bert.save_pretrained(encoder)
    ctranslate2.converters.TransformersConverter(str(encoder)).convert(
        str(out / "int8"), quantization="int8", force=True
    )
    copy_tokenizer(checkpoint, out)
    np.savez(
        out / "classifier.npz",
        weight=model.classifier.weight.detach().numpy(),
        bias=model.classifier.bias.detach().numpy(),
    )


def load_ctranslate2(model: Path) -> Predict:
    """One thread."""
    import ctranslate2
    import numpy as np

    encoder = ctranslate2.Encoder(str(model / "int8"), compute_type="int8_float32", intra_threads=THREADS)
    classifier = np.load(model / "classifier.npz")
    weight, bias = classifier["weight"].T, classifier["bias"]
    read = decoder(model)
    return lambda text: read(
        text, lambda ids: np.asarray(encoder.forward_batch([ids]).last_hidden_state)[0] @ weight + bias
    )


# torch: as it is, in bf16, and with dynamic INT8.


def build_torch(checkpoint: str, out: Path, texts: list[str]) -> None:
    """The checkpoint itself."""
    out.symlink_to(Path(checkpoint).resolve())


def _load_torch(model: Path, kind: str) -> Predict:
    import torch

    module = torch_model(str(model))
    if kind == "bf16":
        module = module.to(torch.bfloat16)
    if kind == "int8":
        module = torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8)
    read = decoder(model)

    def logits(ids: list[int]) -> Any:
        with torch.inference_mode():
            return module(input_ids=torch.tensor([ids])).logits[0].float().numpy()

    return lambda text: read(text, logits)


# ModelScope: its own pipeline on a RaNER of the same size, with dynamic INT8 and as it was.


def build_modelscope(checkpoint: str, out: Path, texts: list[str]) -> None:
    """A RaNER of BERT-base size with random weights: `checkpoint` gives the vocabulary."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from raner import full_size

    vocabulary = json.loads((Path(checkpoint) / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    file = out.parent / "vocab.txt"
    file.write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n", encoding="utf-8")
    full_size(out, file, longest=MODELSCOPES)


def _load_modelscope(model: Path, *, int8: bool) -> Predict:
    import torch
    from modelscope.pipelines import pipeline

    torch.set_num_threads(THREADS)
    ner = pipeline("named-entity-recognition", str(model))
    if int8:
        ner.model = torch.ao.quantization.quantize_dynamic(ner.model, {torch.nn.Linear}, dtype=torch.qint8)
    return lambda text: [(int(e["start"]), int(e["end"]), e["type"]) for e in ner(text)["output"]]


ENGINES: dict[str, tuple[Callable[[str, Path, list[str]], None], Callable[[Path], Predict]]] = {
    "optimum-int8": (build_optimum, load_optimum),
    "openvino-int8": (build_openvino, load_openvino),
    "ctranslate2-int8": (build_ctranslate2, load_ctranslate2),
    "torch-fp32": (build_torch, lambda model: _load_torch(model, "fp32")),
    "torch-bf16": (build_torch, lambda model: _load_torch(model, "bf16")),
    "torch-int8": (build_torch, lambda model: _load_torch(model, "int8")),
    "modelscope-int8": (build_modelscope, lambda model: _load_modelscope(model, int8=True)),
    "modelscope-fp32": (build_modelscope, lambda model: _load_modelscope(model, int8=False)),
}


def create_app(engine: str = "", model: str = "") -> Any:
    """The same small application for every engine: POST /predict with {"text": ...}."""
    from flask import Flask, request

    predict = ENGINES[engine or os.environ["PEER_ENGINE"]][1](Path(model or os.environ["PEER_MODEL"]))
    application = Flask(__name__)

    @application.post("/predict")
    def _predict() -> Any:
        found = predict(request.get_json()["text"])
        return {"entities": [{"start": start, "end": end, "type": kind} for start, end, kind in found]}

    return application


def time_it(predict: Predict, texts: list[str]) -> float:
    """Median milliseconds a text, after one pass that is not counted."""
    for text in texts:
        predict(text)
    spent: list[float] = []
    for _ in range(3):
        for text in texts:
            begun = time.perf_counter()
            predict(text)
            spent.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(spent)


def main() -> None:
    """See the top of the file."""
    task, engine, *rest = sys.argv[1:]
    build, load = ENGINES[engine]
    if task == "build":
        checkpoint, out, texts = rest
        build(checkpoint, Path(out), lines(texts))
    elif task == "time":
        model, texts = rest
        predict = load(Path(model))
        answers = [predict(text) for text in lines(texts)]
        print(json.dumps({"p50_ms": time_it(predict, lines(texts)), "answers": answers}))
    elif task == "serve":
        model, port = rest
        create_app(engine, model).run("127.0.0.1", int(port), threaded=True)


if __name__ == "__main__":
    main()
