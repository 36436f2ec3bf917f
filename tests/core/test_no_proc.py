"""A system without /proc, as macOS is one: everything but measuring works, and measuring says why it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import Slimner

# Python's own reads fail as they do there; the libraries of other languages are those of this system.
HIDE = """
import sys

def hide(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith("/proc"):
        raise FileNotFoundError(2, "No such file or directory", str(arguments[0]))

sys.addaudithook(hide)
"""

IMPORTS = """
import importlib, pkgutil, slimner
for package in ("core", "variants", "eval", "bench", "reports", "jobs", "cli", "serve"):
    module = importlib.import_module(f"slimner.{package}")
    for found in pkgutil.walk_packages(module.__path__, module.__name__ + "."):
        if not found.name.endswith(("gunicorn_conf", "pytest_plugin", "import_hook", "worker")):
            importlib.import_module(found.name)
from slimner.core.machine import describe
from slimner.core.memory import can_measure, peak_bytes
print(can_measure(), peak_bytes() > 10_000_000, describe().cores > 0)
"""


@pytest.fixture
def hidden(tmp_path: Path) -> dict[str, str]:
    """The environment of a Python that finds no /proc."""
    directory = tmp_path / "hidden"
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(HIDE)
    return {"PYTHONPATH": str(directory)}


def test_everything_is_imported_and_the_machine_described(hidden: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS], env=hidden, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "True", "True"]


def test_building_and_scoring_work_and_measuring_says_what_it_lacks(
    hidden: dict[str, str], slimner: Slimner, tiny_checkpoint: Path, small_corpus: Path, tmp_path: Path
) -> None:
    own = {**hidden, "SLIMNER_CACHE": str(tmp_path / "cache")}
    built = slimner("build", tiny_checkpoint, "--variant", "fp32", "--out", "out", environment=own)
    assert built.returncode == 0, built.stderr
    assert ", peak " in built.stdout
    scored = slimner("eval", "out", "--corpus", small_corpus, environment=own)
    assert scored.returncode == 0, scored.stderr
    for command in (("bench", "out"), ("compare", "out", "out", "--corpus", small_corpus)):
        refused = slimner(*command, "--workload", small_corpus, environment=own)
        assert refused.returncode == 2, refused.stderr
        assert "memory is measured with Linux's /proc, which this system does not have" in refused.stderr
        assert "build, eval, diff and bundle work here" in refused.stderr
