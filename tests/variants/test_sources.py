"""Where names lead: the hub's cache and the hub itself, here a server on loopback that speaks its protocol."""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from slimner.core.errors import CheckpointError, MissingDependencyError
from slimner.variants import resolve_checkpoint

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RESOLVE = """
import sys
from slimner.core.errors import SlimnerError
from slimner.variants import resolve_checkpoint
try:
    found = resolve_checkpoint(sys.argv[1])
    print(found.name, found.sha256, *sorted(p.name for p in found.path.iterdir()))
except SlimnerError as error:
    print(type(error).__name__, error)
"""


def resolve(name: str, home: Path, **environment: str) -> str:
    """What becomes of a name in a process of its own: the hub's settings are read when its library is imported."""
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE, name],
        env={**os.environ, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
        cwd=home,
    )
    return done.stdout


@pytest.fixture(scope="module")
def home(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache laid out as huggingface_hub lays it out, with one snapshot."""
    home = tmp_path_factory.mktemp("hub")
    repository = home / "hub" / "models--organization--tiny"
    shutil.copytree(tiny_checkpoint, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return home


@pytest.mark.parametrize("name", ["organization/tiny", f"organization/tiny@{COMMIT}", "organization/tiny@main"])
def test_a_cached_hub_id_is_found_offline(home: Path, tiny_checkpoint: Path, name: str) -> None:
    said = resolve(name, home, HF_HUB_OFFLINE="1").split()
    assert said[:2] == [name, resolve_checkpoint(str(tiny_checkpoint)).sha256]


@pytest.mark.parametrize(
    ("name", "environment"),
    [
        ("organization/other", {"HF_HUB_OFFLINE": "1"}),
        ("organization/other", {"HF_ENDPOINT": "http://127.0.0.1:9"}),
        ("organization/tiny@v2", {"HF_HUB_OFFLINE": "1"}),
    ],
)
def test_a_hub_id_out_of_reach_says_so(home: Path, name: str, environment: dict[str, str]) -> None:
    said = resolve(name, home, **environment)
    assert said.startswith(f"CheckpointError no directory '{name}' here, and no checkpoint '{name}' in the hub's cache")
    assert "HF_HUB_OFFLINE=1 only the cache" in said


class Hub(http.server.BaseHTTPRequestHandler):
    """Enough of the hub for one repository at one commit."""

    files: dict[str, bytes]
    fetched: list[str]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        if self.path.startswith("/api/models/organization/tiny/revision/"):
            if not self.path.endswith(("/v1", COMMIT)):
                return self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
            siblings = [{"rfilename": name} for name in self.files]
            info = {"id": "organization/tiny", "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            return self.reply(200, json.dumps({**info, "downloads": 0, "likes": 0}).encode(), {}, body=body)
        if self.path.startswith(f"/api/models/organization/tiny/tree/{COMMIT}"):
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.files.items()
            ]
            return self.reply(200, json.dumps(tree).encode(), {}, body=body)
        name = self.path.rpartition("/")[2]
        content = self.files[name]
        if body:
            self.fetched.append(name)
        etag = hashlib.sha256(content).hexdigest()
        return self.reply(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, body=body)

    def reply(self, status: int, content: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Silent."""


@pytest.fixture
def hub(tiny_checkpoint: Path) -> Iterator[str]:
    Hub.files = {path.name: path.read_bytes() for path in tiny_checkpoint.iterdir()}
    Hub.files |= {"pytorch_model.bin": b"a pickle", "training_args.bin": b"another", "model.onnx": b"a graph"}
    Hub.fetched = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_only_what_is_read_is_fetched_from_the_hub(hub: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    said = resolve("organization/tiny@v1", tmp_path, HF_ENDPOINT=hub).split()
    assert said[1] == resolve_checkpoint(str(tiny_checkpoint)).sha256
    assert sorted(Hub.fetched) == ["config.json", "model.safetensors", "tokenizer.json"]
    Hub.fetched.clear()
    assert resolve("organization/tiny@v1", tmp_path, HF_ENDPOINT=hub).split()[1] == said[1]
    assert Hub.fetched == []


def test_an_unknown_revision_is_named(hub: str, tmp_path: Path) -> None:
    said = resolve("organization/tiny@v7", tmp_path, HF_ENDPOINT=hub)
    assert said.startswith("CheckpointError hub: organization/tiny@v7: ")


def test_a_name_that_is_nothing_lists_the_ways_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"no checkpoint 'nowhere'; .*@revision.*modelscope:.*synthetic:.*news-zh"
    ):
        resolve_checkpoint("nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="is a file"):
        resolve_checkpoint(str(tmp_path / "file"))


def test_a_modelscope_id_names_what_it_needs() -> None:
    if importlib.util.find_spec("modelscope"):
        pytest.skip("modelscope is installed")
    with pytest.raises(MissingDependencyError, match=r"pip install '\.\[modelscope\]'"):
        resolve_checkpoint("modelscope:organization/name@v1")
