"""An outside plugin is a distribution of its own: it is installed, listed, built and scored like a built-in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import Slimner

MODULE = '''
"""Variants for the tests of slimner."""

import shutil
import time

from slimner.variants.variant import Variant
from slimner.variants.torch_model import as_model, hold_threads, load_reference


class Rounded(Variant):
    """FP32 logits rounded to halves, or one of several ways to go wrong."""

    name = "rounded"
    backend = "torch"
    precision = "rounded"
    summary = "logits rounded to halves"
    run_needs = ("torch", "transformers")
    complexity = 5

    def build(self, context):
        for file in ("config.json", "model.safetensors"):
            shutil.copyfile(context.checkpoint.path / file, context.directory / file)

    def load(self, directory, threads):
        hold_threads(threads)
        model = as_model(load_reference(directory))
        return lambda ids: (model(ids) * 2).round() / 2


class Sleeper(Rounded):
    name = "sleeper"
    summary = "never answers once it is built"

    def load(self, directory, threads):
        model = super().load(directory, threads)

        def run(ids):
            if (directory / "manifest.json").exists():
                time.sleep(3600)
            return model(ids)

        return run


class Broken(Rounded):
    name = "broken"
    summary = "cannot be built"

    def build(self, context):
        raise RuntimeError("this graph has no nodes")


class Lacking(Rounded):
    name = "lacking"
    summary = "needs what is not there"
    run_needs = ("a_module_that_is_not_there",)


ROUNDED, SLEEPER, BROKEN, LACKING = Rounded(), Sleeper(), Broken(), Lacking()
'''

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "slimner-test-plugin"
version = "1.0"
[project.entry-points."slimner.variants"]
rounded = "slimner_test_plugin:ROUNDED"
sleeper = "slimner_test_plugin:SLEEPER"
broken = "slimner_test_plugin:BROKEN"
lacking = "slimner_test_plugin:LACKING"
misnamed = "slimner_test_plugin:ROUNDED"
unimportable = "slimner_no_such_module:VARIANT"
own-bf16 = "my_variants:VARIANT"
[tool.setuptools]
py-modules = ["slimner_test_plugin", "my_variants"]
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment in which the plugin's distribution is installed beside slimner."""
    source = tmp_path_factory.mktemp("plugin-source")
    (source / "slimner_test_plugin.py").write_text(MODULE)
    page = (Path(__file__).parents[2] / "docs" / "guide" / "plugin.md").read_text(encoding="utf-8")
    (source / "my_variants.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    (source / "pyproject.toml").write_text(PROJECT)
    target = tmp_path_factory.mktemp("plugin-site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target), str(source)], check=True
    )
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))}


def test_a_plugin_is_listed_with_what_it_lacks(slimner: Slimner, plugin: dict[str, str]) -> None:
    done = slimner("variants", "--json", environment=plugin)
    listed = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert listed["rounded"]["can_run"] is True
    assert listed["lacking"]["can_run"] is False
    assert "a_module_that_is_not_there" in listed["lacking"]["note"]


@pytest.mark.parametrize(("name", "farthest"), [("rounded", 0.25), ("own-bf16", 4)])
def test_a_plugin_and_the_one_in_the_docs_are_built_and_scored(
    slimner: Slimner,
    plugin: dict[str, str],
    tiny_checkpoint: Path,
    small_corpus: Path,
    tmp_path: Path,
    name: str,
    farthest: float,
) -> None:
    out = tmp_path / "artifact"
    built = slimner("build", tiny_checkpoint, "--variant", name, "--out", out, "--json", environment=plugin)
    assert built.returncode == 0, built.stderr
    assert 0 < json.loads(built.stdout)["parity"]["max_abs_logit_difference"] <= farthest
    scored = slimner("eval", out, "--corpus", small_corpus, "--json", environment=plugin)
    assert scored.returncode == 0, scored.stderr
    assert len(json.loads(scored.stdout)["sentences"]) == 12


def test_variants_that_break_hang_or_lack_something_are_rows_with_reasons_and_the_others_finish(
    slimner: Slimner,
    plugin: dict[str, str],
    tiny_checkpoint: Path,
    artifacts: dict[str, Path],
    small_corpus: Path,
    small_workload: Path,
    tmp_path: Path,
) -> None:
    for name in ("onnx-fp32", "onnx-int8"):
        assert artifacts[name].exists()  # built before, so that the time limit is for those that hang
    done = slimner(
        *("run", tiny_checkpoint, "--corpus", small_corpus, "--workload", small_workload, "--out", "report"),
        *("--variants", "onnx-fp32,onnx-int8,sleeper,broken,lacking", "--baseline", "onnx-fp32"),
        *("--samples", "10", "--repetitions", "1", "--tie-budget", "0"),
        *("--timeout", "20"),
        environment=plugin,
    )
    assert done.returncode == 4, done.stdout + done.stderr
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    failures = {failure["variant"]: failure for failure in results["failures"]}
    assert set(failures) == {"sleeper", "broken", "lacking"}
    assert failures["sleeper"]["kind"] == "timed-out"
    assert failures["sleeper"]["step"] == "evaluate"
    assert "this graph has no nodes" in failures["broken"]["reason"]
    assert "Traceback" in failures["broken"]["stderr_tail"]
    assert "a_module_that_is_not_there" in failures["lacking"]["reason"]
    assert {e["variant"] for e in results["evaluations"]} == {"onnx-fp32", "onnx-int8"}
    assert len([m for m in results["measurements"] if m["variant"] == "onnx-int8"]) == 2
    assert "not     sleeper: failed (evaluate: still running after 20 s" in done.stdout
    assert "this graph has no nodes" in (tmp_path / "report" / "report.md").read_text()


def test_plugins_that_cannot_be_loaded_do_not_stop_a_run_that_did_not_name_them(plugin: dict[str, str]) -> None:
    code = (
        "from slimner.jobs.running import _chosen; from slimner.variants import resolve_checkpoint;"
        "chosen, broken = _chosen(None, 'fp32', resolve_checkpoint('news-zh'));"
        "print([v.name for v in chosen][:2], {f.variant: f.reason for f in broken})"
    )
    environment = {**os.environ, **plugin}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert "['fp32', " in done.stdout, done.stderr
    assert "registered as 'misnamed' and calls itself 'rounded'" in done.stdout
    assert "'unimportable' (slimner_no_such_module:VARIANT) cannot be imported" in done.stdout
