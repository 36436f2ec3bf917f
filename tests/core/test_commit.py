from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from slimner.core.commit import commit_of


def git(directory: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit on the branch `topic/one`, away from this one and from CI's variables."""
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    directory = tmp_path / "checkout"
    directory.mkdir()
    git(directory, "init", "-q", "-b", "topic/one")
    (directory / "tracked").write_text("one\n")
    git(directory, "add", "tracked")
    git(directory, "commit", "-q", "-m", "first")
    return directory


def test_a_checkout_is_recorded_with_branch_and_whether_it_is_clean(checkout: Path) -> None:
    sha = git(checkout, "rev-parse", "HEAD")
    below = checkout / "below"
    below.mkdir()
    (checkout / "report").write_text("git does not know this file")
    found = commit_of(below)
    assert found is not None
    assert (found.sha, found.branch, found.clean) == (sha, "topic/one", True)
    (checkout / "tracked").write_text("two\n")
    changed = commit_of(checkout)
    assert changed is not None
    assert changed.clean is False


def test_a_commit_checked_out_by_itself_has_the_branch_that_ci_names_for_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = git(checkout, "rev-parse", "HEAD")
    git(checkout, "checkout", "-q", "--detach")
    alone = commit_of(checkout)
    assert alone is not None
    assert alone.branch is None
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    monkeypatch.setenv("GITHUB_SHA", "0" * 40)
    other = commit_of(checkout)
    assert other is not None
    assert other.branch is None
    monkeypatch.setenv("GITHUB_SHA", sha)
    named = commit_of(checkout)
    assert named is not None
    assert named.branch == "main"
    monkeypatch.setenv("GITHUB_HEAD_REF", "topic/two")
    proposed = commit_of(checkout)
    assert proposed is not None
    assert proposed.branch == "topic/two"


def test_there_is_no_commit_outside_of_a_checkout_before_the_first_one_and_without_git(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert commit_of(tmp_path) is None
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    assert commit_of(tmp_path / "empty") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(checkout) is None


def test_no_program_that_the_checkout_names_is_run(checkout: Path) -> None:
    ran = checkout / "ran"
    (checkout / ".gitattributes").write_text("* filter=a=b\n")
    git(checkout, "add", ".gitattributes")
    git(checkout, "commit", "-q", "-m", "second")
    program = checkout / "program"
    program.write_text(f"#!/bin/sh\necho $0 >> {ran}\ncat\n")
    program.chmod(0o755)
    with (checkout / ".git" / "config").open("a") as file:
        file.write(f'[filter "a=b"]\n\tclean = {program}\n\tprocess = {program}\n\trequired = true\n')
    git(checkout, "config", "core.fsmonitor", str(program))
    git(checkout, "config", "core.hooksPath", str(checkout))
    (checkout / "tracked").write_text("two\n")  # as long as before, so that git has to read it
    found = commit_of(checkout)
    assert not ran.exists()
    assert found is not None
    assert found.clean is False
    subprocess.run(["git", "status"], cwd=checkout, check=False, capture_output=True)
    assert ran.exists()  # git by itself would have run it


def test_slow_git_is_not_waited_for(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:/usr/bin:/bin")
    monkeypatch.setattr("slimner.core.commit.TIMEOUT_S", 0.2)
    assert commit_of(checkout) is None
