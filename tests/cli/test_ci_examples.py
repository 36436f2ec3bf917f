"""The examples for CI: valid for those who read them, and run as far as that goes without GitHub or GitLab."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..conftest import make_checkpoint

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "ci"
POLICY = '[constraints]\nf1_max_drop = "0.5pp"\n[margins]\nmemory = "50%"\nsize = "1%"\n'  # few processes, busy machine


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("action.yml", "github-actions"),
        ("examples/ci/slimner-gate.yml", "github-workflows"),
        ("examples/ci/gitlab-ci.yml", "gitlab-ci"),
    ],
)
def test_each_file_has_the_schema_of_the_service_that_reads_it(path: str, kind: str) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}", str(ROOT / path)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_workflow_gives_the_action_inputs_that_it_has_and_goes_on_after_a_failed_gate() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    job = yaml.safe_load((EXAMPLES / "slimner-gate.yml").read_text())["jobs"]["gate"]
    gates = [step for step in job["steps"] if step.get("uses", "").startswith("OWNER/slimner@")]
    assert len(gates) == 2
    for gate in gates:
        assert gate["continue-on-error"] is True
        assert set(gate["with"]) <= set(action["inputs"])
        assert {name for name, told in action["inputs"].items() if told.get("required")} <= set(gate["with"])
    verdict = job["steps"][-1]
    outcomes = {"success": 0, "failure": 1, "skipped": 1}
    for one in outcomes:
        for two in outcomes:
            done = subprocess.run(
                ["bash", "-e", "-c", verdict["run"]], env={"RECORDED": one, "PAIRS": two}, check=False
            )
            assert done.returncode == max(outcomes[one], outcomes[two])
    cached = [step["with"]["path"] for step in job["steps"] if "cache" in step.get("uses", "")]
    assert cached == ["~/.cache/pip", ".slimner"]


@pytest.fixture
def repository(tmp_path: Path, small_corpus: Path) -> Path:
    """A repository with a model in it, as the examples expect it."""
    where = tmp_path / "repository"
    make_checkpoint(where / "model")
    shutil.copy(small_corpus, where / "test.jsonl")
    (where / "policy.toml").write_text(POLICY)
    return where


def environment(cache: Path, where: Path) -> dict[str, str]:
    """Where `slimner` and its Python are found first."""
    shim = where / "bin" / "slimner"
    shim.parent.mkdir(exist_ok=True)
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from slimner.cli.main import main; main()" "$@"\n')
    shim.chmod(0o755)
    return {**os.environ, "SLIMNER_CACHE": str(cache), "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"}


def resolved(step: dict[str, Any], given: dict[str, str]) -> dict[str, str]:
    """The environment of a step of the action, its inputs put in, those that are not given by their defaults."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    values = {name: given.get(name, told.get("default", "")) for name, told in action["inputs"].items()}
    return {
        name: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: values[found[1]], value)
        for name, value in step["env"].items()
    }


def test_the_action_and_the_script_pass_an_unchanged_model_and_refuse_a_missing_baseline(
    repository: Path, cache: Path, tmp_path: Path
) -> None:
    settings = environment(cache, tmp_path)
    steps = {step["name"]: step for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]}
    job = yaml.safe_load((EXAMPLES / "slimner-gate.yml").read_text())["jobs"]["gate"]
    (recorded,) = (step for step in job["steps"] if step.get("id") == "recorded")
    given = {
        name: re.sub(r"\$\{\{ env\.([A-Z]+) \}\}", lambda found: job["env"][found[1]], value)
        for name, value in recorded["with"].items()
    }

    def run(command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=repository, env={**settings, **more}, capture_output=True, text=True, check=False
        )

    def gate() -> subprocess.CompletedProcess[str]:
        github = {name: str(tmp_path / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
        more = {**resolved(steps["Gate"], given), **github, "GITHUB_ACTIONS": "true", "GITHUB_ACTION_PATH": str(ROOT)}
        return run(["bash", "-e", "-c", steps["Gate"]["run"]], **more)

    missing = gate()
    assert missing.returncode == 2, missing.stdout + missing.stderr
    assert "slimner baseline update baseline.json" in missing.stderr
    assert not (repository / "slimner-gate").exists()
    lean = ("--variants", "onnx-int8", "--baseline", "onnx-int8", "--samples", "10", "--out", "first")
    measured = run(["slimner", "run", "model", "--corpus", "test.jsonl", *lean])
    assert measured.returncode == 0, measured.stderr  # a baseline alone has lost nothing
    kept = run(["slimner", "baseline", "update", "baseline.json", "first/results.json", "--variant", "onnx-int8"])
    assert kept.returncode == 0, kept.stderr
    passed = gate()
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert {path.name for path in (repository / "slimner-gate").glob("recorded.*")} == {
        *("recorded.xml", "recorded.json", "recorded.md")
    }
    assert "outcome=" in (tmp_path / "GITHUB_OUTPUT").read_text()
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text().startswith("## slimner gate")


@pytest.mark.parametrize(
    ("code", "fail", "expected"), [(0, "false", 0), (1, "false", 1), (3, "false", 0), (3, "true", 3), (4, "false", 4)]
)
def test_what_cannot_be_told_fails_a_job_only_if_asked_to(tmp_path: Path, code: int, fail: str, expected: int) -> None:
    (tmp_path / "slimner").write_text(f"#!/bin/sh\nexit {code}\n")  # a gate that ends with this code
    (tmp_path / "slimner").chmod(0o755)
    (tmp_path / "before").mkdir()
    settings = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "BASELINE": "before",
        "CANDIDATE": "after",
        "FAIL_INCONCLUSIVE": fail,
        "GITHUB_ACTIONS": "true",
    }
    script = ["bash", str(EXAMPLES / "gate.sh")]
    done = subprocess.run(script, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == expected
    assert ("::warning " in done.stdout) == (code == 3 and fail == "false")


class PullRequest(BaseHTTPRequestHandler):
    """The comments of a pull request, by the part of GitHub's API that the example uses."""

    comments: dict[int, str]
    writable = True

    def answer(self, value: object, code: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "Bearer secret"
        page = int(self.path.rpartition("=")[2])
        assert self.path.startswith("/repos/me/it/issues/7/comments?per_page=100&page=")
        listed = [{"id": number, "body": body} for number, body in sorted(self.comments.items())]
        self.answer(listed[100 * (page - 1) : 100 * page])

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        if not self.writable:
            self.answer({"message": "Resource not accessible by integration"}, 403)
            return
        assert self.path == "/repos/me/it/issues/7/comments"
        self.comments[max(self.comments, default=0) + 1] = body
        self.answer({}, 201)

    def do_PATCH(self) -> None:
        self.comments[int(self.path.rpartition("/")[2])] = json.loads(
            self.rfile.read(int(self.headers["Content-Length"]))
        )["body"]
        self.answer({})

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def pull_request() -> Iterator[tuple[str, type[PullRequest]]]:
    handler = type("Handler", (PullRequest,), {"comments": {n: f"talk {n}" for n in range(1, 131)}, "writable": True})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


def test_one_comment_is_made_when_something_is_significant_and_then_renewed(
    pull_request: tuple[str, type[PullRequest]], tmp_path: Path
) -> None:
    url, served = pull_request
    (tmp_path / "event.json").write_text('{"pull_request": {"number": 7}}')
    quiet, loud = "<!-- slimner gate: pass, not significant -->\nA", "<!-- slimner gate: regression, significant -->\nB"

    def comment(*texts: str) -> str:
        for i, text in enumerate(texts):
            (tmp_path / f"{i}.md").write_text(text)
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "comment.py"), *(f"{i}.md" for i in range(len(texts))), "gone.md"],
            cwd=tmp_path,
            env={
                "GITHUB_API_URL": url,
                "GITHUB_TOKEN": "secret",
                "GITHUB_REPOSITORY": "me/it",
                "GITHUB_EVENT_PATH": "event.json",
            },
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert comment(quiet, quiet) == "no comment: nothing is significant"
    assert len(served.comments) == 130
    served.writable = False  # a pull request from a fork
    assert comment(loud).startswith("::warning title=slimner gate::")
    served.writable = True
    assert comment(quiet, loud) == "comment made"
    assert served.comments[131] == f"{quiet}\n{loud}"
    assert comment(quiet) == "comment renewed"
    assert served.comments[131] == quiet
    assert len(served.comments) == 131
    (tmp_path / "event.json").write_text("{}")  # a push
    assert comment(loud).startswith("no comment: ")
