"""The examples of docs/guide/api.md, run in order on a tiny checkpoint."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import slimner

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "api.md").read_text(encoding="utf-8")
EXAMPLES = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
POLICY = '[constraints]\nf1_max_drop = "100pp"\n[margins]\nsize = "10%"\n'
SWEEP = """
checkpoints = ["checkpoint"]
corpus = "test.jsonl"
workloads = ["texts.txt"]
variants = ["onnx-int8"]
baseline = "onnx-int8"
repetitions = 1
samples = 10
warmup = 1
tie_budget_s = 0
"""


def test_every_function_is_in_an_example() -> None:
    functions = {name for name in slimner.__all__ if name.islower() and not name.startswith("_")}
    assert functions
    assert {name for name in functions if f"slimner.{name}(" not in EXAMPLES} == set()


@pytest.mark.alone
def test_the_examples_run(
    tiny_checkpoint: Path,
    artifacts: dict[str, Path],
    small_corpus: Path,
    small_workload: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    # a cache of its own, in which nothing has to be built
    shutil.copytree(artifacts["onnx-int8"], tmp_path / "cache" / "artifacts" / artifacts["onnx-int8"].name)
    monkeypatch.setenv("SLIMNER_CACHE", str(tmp_path / "cache"))
    for name, place in {
        "checkpoint": tiny_checkpoint,
        "lean": artifacts["onnx-int8"],
        "before": artifacts["fp32"],
    }.items():
        shutil.copytree(place, tmp_path / name)
    shutil.copy(small_corpus, tmp_path / "test.jsonl")
    shutil.copy(small_workload, tmp_path / "texts.txt")
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "plan.toml").write_text(SWEEP, encoding="utf-8")
    known: dict[str, object] = {}
    exec(compile(EXAMPLES.replace("pairs=20", "pairs=5"), "docs/guide/api.md", "exec"), known)
    assert known["record"].exit_code == 1  # type: ignore[attr-defined]  # "before" is larger than "lean"
    assert (tmp_path / "report" / "results.json").is_file()
