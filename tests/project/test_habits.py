"""What runs before a commit is what `nox -s lint` runs."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]


def commands(session: str) -> list[list[str]]:
    """The commands that a session of the noxfile runs, read from its source."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == session)
    return [
        [ast.literal_eval(argument) for argument in node.args]
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "session.run"
    ]


def test_the_hooks_before_a_commit_run_the_commands_of_the_lint_session() -> None:
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in configuration["repos"] for hook in repository["hooks"]]
    assert [shlex.split(hook["entry"]) for hook in hooks] == commands("lint") != []
    assert all(hook["pass_filenames"] is False for hook in hooks)
