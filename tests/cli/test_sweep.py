"""`slimner sweep` in this process: cells, what is kept, and what reads its results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..conftest import Slimner
from ..schemas import check


@pytest.fixture
def plan(
    tmp_path: Path, tiny_checkpoint: Path, artifacts: dict[str, Path], small_corpus: Path, small_workload: Path
) -> Path:
    """Two cells, of which one asks for more threads than there are."""
    assert artifacts["onnx-fp32"].is_dir()  # built once, for all tests
    path = tmp_path / "plan.toml"
    path.write_text(
        f'checkpoints = ["{tiny_checkpoint}"]\ncorpus = "{small_corpus}"\nworkloads = ["{small_workload}"]\n'
        'variants = ["onnx-fp32"]\nbaseline = "onnx-fp32"\nthreads = [1, 9999]\n'
        "repetitions = 1\nsamples = 10\nwarmup = 1\ntie_budget_s = 0\n"
    )
    return path


def test_a_failed_cell_is_a_row_the_others_are_kept_and_read(slimner: Slimner, plan: Path, tmp_path: Path) -> None:
    done = slimner("sweep", plan, "--json")
    assert done.returncode == 4, done.stderr
    check("sweep", done.stdout)
    good, bad = json.loads(done.stdout)["cells"]
    assert "9999 threads on a machine of" in bad["failed"]
    assert bad["directory"] is None
    results = tmp_path / "slimner-sweep" / good["directory"] / "results.json"
    before = results.stat().st_mtime_ns

    plan.write_text(plan.read_text().replace("[1, 9999]", "[1]"))
    again = slimner("sweep", plan)
    assert again.returncode == 0, again.stderr
    assert "(kept)" in again.stderr
    assert results.stat().st_mtime_ns == before, "it was measured again"
    assert "onnx-fp32: there is one kind of machine" in " ".join(again.stdout.split())

    for arguments in (
        ("report", "slimner-sweep"),
        ("pick", "slimner-sweep"),
        ("compare", results.parent, results),
    ):
        read = slimner(*arguments)
        assert read.returncode in (0, 3), (arguments, read.stderr)


def test_a_sweep_of_several_results_names_them(slimner: Slimner, tmp_path: Path) -> None:
    (tmp_path / "swept").mkdir()
    (tmp_path / "swept" / "sweep.json").write_text("{}")
    for name in ("one", "two"):
        (tmp_path / "swept" / name).mkdir()
        (tmp_path / "swept" / name / "results.json").write_text("{}")
    done = slimner("pick", "swept")
    assert done.returncode == 2
    assert "swept/one, swept/two" in " ".join(done.stderr.split())
