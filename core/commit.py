"""The commit of a directory's checkout, from git; programs named in the checkout's configuration are not run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .records import Commit

TIMEOUT_S = 5.0

# Where CI systems check out a commit by itself: the variable with the commit they mean, and those with its branch.
_BRANCHES = {
    "GITHUB_SHA": ("GITHUB_HEAD_REF", "GITHUB_REF_NAME"),
    "CI_COMMIT_SHA": ("CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),
    "GIT_COMMIT": ("BRANCH_NAME", "GIT_BRANCH"),
}
_QUIET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_ALLOW_PROTOCOL": "",  # a partial clone fetches nothing
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}


def commit_of(directory: Path) -> Commit | None:
    """The commit of the checkout that the directory is in; None outside of one, without git, or if git is slow."""
    sha = _git(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not sha:
        return None
    branch = _git(directory, "symbolic-ref", "--quiet", "--short", "HEAD") or _ci_branch(sha)
    return Commit(sha=sha, branch=branch, clean=_clean(directory))


def _clean(directory: Path) -> bool | None:
    """Whether no tracked file differs from the commit; untracked files, such as a report, do not count."""
    listed = _git(directory, "config", "--show-scope", "--name-only", "--get-regexp", r"^filter\.")
    if listed is None:
        return None
    scoped = (line.split("\t", 1) for line in listed.splitlines())
    off = [name for scope, name in scoped if scope in ("local", "worktree")]  # programs that the checkout names
    environment = {"GIT_CONFIG_COUNT": str(len(off))}
    for i, name in enumerate(off):
        environment |= {f"GIT_CONFIG_KEY_{i}": name, f"GIT_CONFIG_VALUE_{i}": ""}
    changes = _git(
        directory,
        *("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"),
        environment=environment,
    )
    return None if changes is None else not changes


def _ci_branch(sha: str) -> str | None:
    for commit, names in _BRANCHES.items():
        if os.environ.get(commit) == sha:
            return next((value for name in names if (value := os.environ.get(name))), None)
    return None


def _git(directory: Path, *arguments: str, environment: Mapping[str, str] = {}) -> str | None:
    """What git prints, "" if it found nothing; None if it could not be run to its end."""
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", *arguments],
            cwd=directory,
            env={**os.environ, **_QUIET, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode not in (0, 1):  # 1: nothing found
        return None
    return done.stdout.decode("utf-8", "replace").strip()
