"""What the pipelines of others answer, run in an environment that has them and not slimner: `environments.ask`.

    python studies/others.py TASK [ARGUMENT ...] < texts.json

Texts come as a JSON list, the answer goes to standard output as JSON; what libraries print goes to standard error.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

LIBRARIES = ("modelscope", "optimum", "optimum-onnx", "onnxruntime", "transformers", "tokenizers", "torch")
KEPT = ("start", "end", "type", "entity", "entity_group", "index")


def versions() -> dict[str, str]:
    """Libraries of this environment and their versions."""
    installed = {found.metadata["Name"].lower() for found in importlib.metadata.distributions()}
    return {name: importlib.metadata.version(name) for name in LIBRARIES if name in installed}


def plain(value: Any) -> str | int:
    """A name or a number that JSON can hold."""
    return value if isinstance(value, str) else int(value)


def outcome(pipe: Callable[[str], Any], text: str) -> dict[str, Any]:
    """What a pipeline found in a text, or what it raised."""
    try:
        answer = pipe(text)
    except Exception as error:  # whatever it raises is what is looked for
        return {"found": None, "raised": f"{type(error).__name__}: {error}".partition("\n")[0][:70]}
    found = answer["output"] if isinstance(answer, dict) else answer
    kept = [{key: plain(one[key]) for key in KEPT if key in one} for one in found]
    return {"found": kept, "raised": ""}


def modelscope(texts: list[str], directory: str) -> list[dict[str, Any]]:
    """ModelScope's pipeline on a directory."""
    from modelscope.pipelines import pipeline

    ner = pipeline("named-entity-recognition", model=directory, device="cpu")
    return [outcome(ner, text) for text in texts]


def modelscope_tags(texts: list[str], directory: str) -> list[dict[str, Any] | None]:
    """Logits and decoded tags by ModelScope's own model and preprocessor, a text at a time; None where it raises."""
    import torch
    from modelscope.models import Model
    from modelscope.preprocessors import Preprocessor

    model = Model.from_pretrained(directory, device="cpu").eval()
    preprocess = Preprocessor.from_pretrained(directory)
    found: list[dict[str, Any] | None] = []
    for text in texts:
        try:
            inputs = preprocess(text)
            inputs.pop("text")
            with torch.no_grad():
                output = model.postprocess(model(**inputs))
            count = int(output.label_mask.sum())
            tags = output.predictions[0][output.label_mask[0].bool()]
            found.append({"logits": output.logits[0, :count].tolist(), "tags": tags.tolist()})
        except Exception:
            found.append(None)
    return found


def crf(texts: list[str]) -> list[dict[str, Any]]:
    """Random CRFs of 1 to 40 tags, each with five sequences of emissions and the paths that ModelScope's CRF finds."""
    import torch
    from modelscope.models.nlp.heads.crf_head import CRF

    torch.manual_seed(2)
    found = []
    for count in range(100):
        tags = 1 + count % 40
        one = CRF(tags, batch_first=True)
        torch.nn.init.normal_(one.transitions)
        batch = [torch.randn(1, 1 + (5 * count + 17 * i) % 97, tags) for i in range(5)]
        scores = (one.transitions, one.start_transitions, one.end_transitions)
        found.append(
            {
                "scores": [part.detach().tolist() for part in scores],
                "emissions": [emissions[0].tolist() for emissions in batch],
                "paths": [one.decode(emissions)[0, 0].tolist() for emissions in batch],
            }
        )
    return found


def full_size(texts: list[str], directory: str, vocabulary: str, longest: str) -> str:
    """A directory of full size with random weights."""
    import raner

    return str(raner.full_size(Path(directory), Path(vocabulary), longest=int(longest)))


def trained(texts: list[str], directory: str, vocabulary: str, examples: str, steps: str, longest: str) -> str:
    """A small directory, trained."""
    import raner

    read = json.loads(Path(examples).read_text(encoding="utf-8"))
    return str(raner.trained(Path(directory), Path(vocabulary), read, steps=int(steps), longest=int(longest)))


def optimum(texts: list[str], directory: str, *strategies: str) -> dict[str, list[dict[str, Any]]]:
    """Optimum's pipeline with the graph that it exports, by aggregation strategy."""
    from optimum.onnxruntime import ORTModelForTokenClassification
    from optimum.pipelines import pipeline
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory)
    with tempfile.TemporaryDirectory() as place:
        ORTModelForTokenClassification.from_pretrained(directory, export=True).save_pretrained(place)
        given = {"model": ORTModelForTokenClassification.from_pretrained(place), "tokenizer": tokenizer}
        pipes = {
            strategy: pipeline("token-classification", **given, aggregation_strategy=strategy, accelerator="ort")
            for strategy in strategies
        }
        return {strategy: [outcome(pipe, text) for text in texts] for strategy, pipe in pipes.items()}


TASKS: dict[str, Callable[..., Any]] = {
    "versions": lambda texts: versions(),
    "modelscope": modelscope,
    "modelscope-tags": modelscope_tags,
    "crf": crf,
    "full-size": full_size,
    "trained": trained,
    "optimum": optimum,
}


def main() -> None:
    """Answer, with standard output kept for the answer."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.environ.setdefault("MODELSCOPE_CACHE", tempfile.gettempdir())
    task, *arguments = sys.argv[1:]
    json.dump(TASKS[task](json.load(sys.stdin), *arguments), answer)
    answer.close()


if __name__ == "__main__":
    main()
