"""Run with a bare install of the wheel: what it carries is all there, and its bundle answers without the lab."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path

for name in ("torch", "transformers", "scipy", "sklearn", "matplotlib", "optimum", "onnx", "seqeval", "pandas"):
    assert importlib.util.find_spec(name) is None, f"{name} is installed here, so this would prove nothing"

import slimner  # noqa: E402
from slimner import zoo  # noqa: E402
from slimner.variants import open_predictor  # noqa: E402

for path in (zoo.corpus(), zoo.workload(), zoo.checkpoint() / "model.safetensors", zoo.bundle() / "bundle.json"):
    assert path.is_file(), f"the wheel lacks {path.name}"
text = "外交部发言人说，法国总统马克龙将于下周访问上海。"
entities = open_predictor(zoo.bundle() / "model")(text)
assert ("马克龙", "PER") in [(entity.text, entity.type) for entity in entities], entities
with tempfile.TemporaryDirectory() as directory:
    (texts := Path(directory) / "texts.txt").write_text(f"{text}\n" * 100, encoding="utf-8")
    done = slimner.predict_file(zoo.bundle(), texts, Path(directory) / "found.jsonl")
    assert (done.texts, done.entities) == (100, 100 * len(entities)), done
installed = sum(
    file.stat().st_size
    for file in Path(importlib.util.find_spec("numpy").origin).parents[1].rglob("*")
    if file.is_file()
)
sys.stdout.write(f"{entities}\nsite-packages of the bare install: {installed / 1e6:.0f} MB\n")
