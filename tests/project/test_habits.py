"""What runs before a commit is what CI runs first."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]


def test_the_hook_before_a_commit_runs_a_session_of_nox_that_is_there() -> None:
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (hook,) = (hook for repository in configuration["repos"] for hook in repository["hooks"])
    assert hook["entry"].split()[:2] == ["nox", "-s"]
    assert hook["pass_filenames"] is False
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    assert hook["entry"].split()[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
