"""The pytest plugin as a user meets it: a real pytest in a process of its own over a small suite."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import make_checkpoint

SUITE = """
import time

import pytest

TEXT = "第1次会议今天在上海举行。"


@pytest.fixture
def answer(slimner_predictor):
    def slowed(text):
        time.sleep({delay_s})
        return slimner_predictor(text)

    return slowed


def test_answer(answer, benchmark):
    for entity in benchmark(answer, TEXT):
        assert entity.text == TEXT[entity.start : entity.end]


def test_that_asks_for_no_predictor():
    pass
"""

QUICK = ("--benchmark-max-time=0.05", "--benchmark-min-rounds=3")

Pytest = Callable[..., "subprocess.CompletedProcess[str]"]


def write_suite(directory: Path, delay_s: float = 0.0) -> None:
    (directory / "test_suite.py").write_text(SUITE.format(delay_s=delay_s), encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Pytest:
    """Run pytest over the suite in an empty directory, as somebody who has slimner installed does."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    write_suite(tmp_path)

    def pytest_of_its_own(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "--color=no", *map(str, arguments)],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return pytest_of_its_own


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """onnx-fp32 of a checkpoint with other weights: the same variant, another artifact."""
    from slimner.variants import VARIANTS, resolve_checkpoint
    from slimner.variants.building import build

    source = resolve_checkpoint(str(make_checkpoint(tmp_path_factory.mktemp("checkpoints") / "again", seed=1)))
    return build(source, VARIANTS.get("onnx-fp32"), cache=cache, timeout_s=300)[0].path


def given(*artifacts: Path) -> list[str]:
    return [f"--slimner-artifact={artifact}" for artifact in artifacts]


def test_a_test_runs_once_for_each_artifact_under_its_variants_name(
    run: Pytest, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    saved = tmp_path / "saved.json"
    done = run("-v", *given(artifacts["onnx-fp32"], artifacts["onnx-int8"]), *QUICK, f"--benchmark-json={saved}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_suite.py::test_answer[onnx-fp32] PASSED" in done.stdout
    assert "test_suite.py::test_answer[onnx-int8] PASSED" in done.stdout
    assert "test_suite.py::test_that_asks_for_no_predictor PASSED" in done.stdout
    assert "3 passed" in done.stdout
    benchmarks = {bench["fullname"]: bench for bench in json.loads(saved.read_text())["benchmarks"]}
    assert set(benchmarks) == {"test_suite.py::test_answer[onnx-fp32]", "test_suite.py::test_answer[onnx-int8]"}
    assert benchmarks["test_suite.py::test_answer[onnx-fp32]"]["params"] == {"slimner_predictor": "onnx-fp32"}


def test_a_relative_directory_counts_from_where_pytest_was_started(
    run: Pytest, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(artifacts["onnx-fp32"], tmp_path / "models" / "lean")
    done = run("-v", "--benchmark-disable", "--slimner-artifact", "models/lean")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_suite.py::test_answer[onnx-fp32] PASSED" in done.stdout


def test_two_words_are_refused_where_pytest_may_have_chosen_another_root(
    run: Pytest, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    inside = Path(shutil.copytree(artifacts["onnx-fp32"], tmp_path / "other" / "models" / "lean"))
    (tmp_path / "other" / "pytest.ini").write_text("[pytest]\n")
    for directory in (artifacts["onnx-fp32"], inside):
        done = run("--benchmark-disable", "--slimner-artifact", directory)
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert f"write --slimner-artifact={directory}" in done.stderr
        assert "Traceback" not in done.stderr + done.stdout
        assert run("--benchmark-disable", f"--slimner-artifact={directory}").returncode == 0


def test_two_artifacts_of_one_variant_are_told_apart_by_their_names(
    run: Pytest, artifacts: dict[str, Path], rebuilt: Path
) -> None:
    done = run("-v", "--benchmark-disable", *given(artifacts["onnx-fp32"], rebuilt, artifacts["fp32"]))
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (artifacts["onnx-fp32"].name, rebuilt.name, "fp32"):
        assert f"test_suite.py::test_answer[{name}] PASSED" in done.stdout
    assert "4 passed" in done.stdout


def test_a_regression_against_a_saved_baseline_fails_for_each_variant_also_after_a_rebuild(
    run: Pytest, artifacts: dict[str, Path], rebuilt: Path, tmp_path: Path
) -> None:
    saved = run(*given(artifacts["onnx-fp32"], artifacts["onnx-int8"]), *QUICK, "--benchmark-save=base")
    assert saved.returncode == 0, saved.stdout + saved.stderr
    write_suite(tmp_path, delay_s=0.3)
    again = ("-v", *given(rebuilt, artifacts["onnx-int8"]), *QUICK, "--benchmark-compare=0001")
    slower = run(*again, "--benchmark-compare-fail=mean:5%")
    assert slower.returncode != 0, slower.stdout + slower.stderr
    said = slower.stdout + slower.stderr
    for variant in ("onnx-fp32", "onnx-int8"):
        assert f"test_answer[{variant}] PASSED" in said  # the tests pass, the comparison fails
        assert f"test_answer[{variant}] (0001_base) - Field 'mean' has failed PercentageRegressionCheck" in said
    generous = run(*again, "--benchmark-compare-fail=mean:60")
    assert generous.returncode == 0, generous.stdout + generous.stderr
    for variant in ("onnx-fp32", "onnx-int8"):
        assert f"test_answer[{variant}] (0001_base)" in generous.stdout
        assert f"test_answer[{variant}] (NOW)" in generous.stdout


def test_without_an_artifact_a_test_that_needs_one_fails_and_says_what_to_give(run: Pytest) -> None:
    done = run()
    assert done.returncode == 1
    assert "slimner_predictor has no artifact to open; give --slimner-artifact DIR" in done.stdout
    assert "1 passed, 1 error" in done.stdout
    assert "skipped" not in done.stdout


def test_asking_for_the_predictor_by_its_name_fails_with_what_to_do(
    run: Pytest, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "test_suite.py").write_text(
        "def test_dynamic(request):\n    request.getfixturevalue('slimner_predictor')\n"
    )
    done = run(*given(artifacts["onnx-fp32"]))
    assert done.returncode == 1
    assert "make it an argument of the test" in done.stdout


def test_a_directory_that_is_no_artifact_is_a_usage_error_that_names_it(run: Pytest, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, problem in (("nowhere", "no artifact at"), ("empty", "has no manifest.json")):
        done = run(*given(Path(name)))
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert f"ERROR: --slimner-artifact {name}: " in done.stderr
        assert problem in done.stderr
        assert "Traceback" not in done.stderr + done.stdout


def test_a_changed_artifact_is_a_usage_error_that_names_it_and_the_file(
    run: Pytest, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    changed = Path(shutil.copytree(artifacts["fp32"], tmp_path / "changed")) / "model.safetensors"
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 255
    changed.write_bytes(content)
    done = run(*given(artifacts["onnx-fp32"], Path("changed")))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: --slimner-artifact changed: {changed} was changed after it was built" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_one_artifact_in_two_places_is_a_usage_error(run: Pytest, artifacts: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(artifacts["onnx-fp32"], tmp_path / "copy")
    done = run(*given(artifacts["onnx-fp32"], Path("copy")))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"{artifacts['onnx-fp32']} is the same artifact, {artifacts['onnx-fp32'].name}" in done.stderr


def test_importing_the_plugin_imports_nothing_heavy() -> None:
    code = (
        "import sys; import slimner.bench.pytest_plugin as plugin; assert plugin.slimner_predictor;"
        "print([name for name in ('numpy', 'onnxruntime', 'torch', 'transformers', 'tokenizers', 'scipy', 'psutil',"
        " 'matplotlib', 'slimner.variants') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
