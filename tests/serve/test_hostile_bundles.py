"""Bundles that somebody made to mislead: sealed again after each change, as whoever knows the format can."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from slimner import zoo
from slimner.core.errors import ArtifactError
from slimner.core.store import sha256_file, write_json
from slimner.serve.bundle import BUNDLE, Bundle, Session, open_served, replay_in_child
from slimner.variants import Manifest, verify
from slimner.variants.artifacts import File, describe_files, regular_files

from ..conftest import Slimner


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(zoo.bundle(), tmp_path / "copy"))


def seal(directory: Path, *, manifest: dict[str, Any] | None = None, **changes: Any) -> None:
    """Every hash and both seals right again, after fields of the manifest and of the bundle were changed."""
    model = directory / "model"
    described = msgspec.json.decode((model / "manifest.json").read_bytes(), type=Manifest)
    fields = {"files": describe_files(model), **(manifest or {})}
    write_json(model / "manifest.json", msgspec.structs.replace(described, **fields).sealed())
    bundle = msgspec.json.decode((directory / BUNDLE).read_bytes(), type=Bundle)
    names = sorted(set(regular_files(directory)) - {BUNDLE})
    files = {n: File(sha256=sha256_file(directory / n), size_bytes=(directory / n).stat().st_size) for n in names}
    write_json(directory / BUNDLE, msgspec.structs.replace(bundle, **{"files": files, **changes}).sealed())


def answered(directory: Path) -> list[int]:
    """What `slimner verify` does: open, and answer the golden texts."""
    served = open_served(directory)
    return replay_in_child(served.model, served.golden, 1)


def test_sealing_again_what_was_not_changed_changes_nothing(copy: Path) -> None:
    seal(copy)
    assert answered(copy) == answered(zoo.bundle())


@pytest.mark.parametrize(
    "line",
    [
        "--index-url http://127.0.0.1:9/evil",
        "-r other.txt",
        "flask @ http://127.0.0.1:9/flask.whl",
        "flask>=1",
        "flask",
        "flask==3.1.3 --hash=sha256:0",
        "flask==3.1.3; python_version>'3'",
        "flask==3.1.3 \\",
        "flask==3.*",
        "./flask.whl",
        "# a comment",
        "",
        "flask==3.1.3\x0c--index-url http://127.0.0.1:9/evil",
        "flask==3.1.3\u2028--index-url http://127.0.0.1:9/evil",
        "flask==3.1.3\r--pre",
        "${HOME}==1",
    ],
)
def test_requirements_are_names_with_versions_and_nothing_else_that_pip_obeys(copy: Path, line: str) -> None:
    path = copy / "requirements.txt"
    path.write_bytes(path.read_bytes() + line.encode() + b"\n")
    seal(copy)
    with pytest.raises(ArtifactError, match=r"requirements\.txt, line \d+: not name==version"):
        open_served(copy)


def test_versions_of_builds_are_versions(copy: Path) -> None:
    (copy / "requirements.txt").write_text("torch==2.13.0+cpu\nA_b.c-d==1!2.0rc1.post3\n")
    seal(copy)
    open_served(copy)


@pytest.mark.parametrize("threads", [0, -1, 1025, 10**6])
def test_a_number_of_threads_that_nobody_has_is_refused(copy: Path, threads: int) -> None:
    seal(copy, session=Session(threads=threads, options={}))
    with pytest.raises(ArtifactError, match="threads, not 1 to"):
        open_served(copy)


def golden(texts: int, length: int = 1) -> bytes:
    return msgspec.json.encode([{"text": "中" * length, "entities": []}] * texts)


@pytest.mark.parametrize(
    "content", [b"[]", golden(65), golden(400, 5000), b"[" * 300_000 + b"]" * 300_000, b"{}", b"\xff", b"", b"[1]"]
)
def test_golden_texts_are_some_and_not_too_many(copy: Path, content: bytes) -> None:
    (copy / "golden.json").write_bytes(content)
    seal(copy)
    with pytest.raises(ArtifactError, match=r"golden\.json"):
        open_served(copy)


@pytest.mark.parametrize("window", [-5, 0, 2, 65_537, 10**9])
def test_a_window_that_no_model_has_is_refused(copy: Path, window: int) -> None:
    seal(copy, manifest={"window": window})
    with pytest.raises(ArtifactError, match="a window of"):
        open_served(copy)


def beyond_positions(copy: Path) -> None:
    seal(copy, manifest={"window": 60_000})


def beyond_the_vocabulary(copy: Path) -> None:
    path = copy / "model" / "tokenizer.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    described["model"]["vocab"] = {k: i + 10**9 * (i > 200) for k, i in described["model"]["vocab"].items()}
    path.write_text(json.dumps(described), encoding="utf-8")
    seal(copy)


def random_weights(copy: Path) -> None:
    path = copy / "model" / "model.onnx.data"
    path.write_bytes(b"\xa5\x5a\x7f" * (path.stat().st_size // 3 + 1))
    seal(copy)


@pytest.mark.parametrize("harm", [beyond_positions, beyond_the_vocabulary, random_weights])
def test_a_model_that_cannot_answer_is_refused_like_one_that_answers_wrongly(
    copy: Path, harm: Callable[[Path], None]
) -> None:
    harm(copy)
    with pytest.raises(ArtifactError, match="cannot be answered") as caught:
        answered(copy)
    assert "\n" not in caught.value.message


def test_links_are_refused_in_artifacts_too(copy: Path, tmp_path: Path) -> None:
    model = copy / "model"
    verify(model)
    for name in ("tokenizer.json", "manifest.json"):
        (model / name).rename(tmp_path / name)
        (model / name).symlink_to(tmp_path / name)
        with pytest.raises(ArtifactError):
            verify(model)
        (model / name).unlink()
        (tmp_path / name).rename(model / name)
    (model / "folder").symlink_to(tmp_path)
    with pytest.raises(ArtifactError, match="neither a file nor a directory"):
        verify(model)


def test_folders_in_folders_end_before_python_does(copy: Path) -> None:
    inner = os.open(copy, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=inner)
        inner, outer = os.open("d", os.O_RDONLY, dir_fd=inner), inner
        os.close(outer)
    os.close(inner)
    try:
        with pytest.raises(ArtifactError, match="folders"):
            open_served(copy)
    finally:
        while (copy / "d" / "d").is_dir():  # from the outside, as no path reaches the innermost
            (copy / "d" / "d").rename(copy / "e")
            (copy / "d").rmdir()
            (copy / "e").rename(copy / "d")


def test_what_a_bundle_says_reaches_no_terminal_as_a_command(copy: Path, slimner: Slimner) -> None:
    seal(copy, manifest={"instructions": "\x1b[31mred\x1b[2J"})
    done = slimner("verify", copy)
    assert done.returncode in (0, 2)
    assert "\x1b" not in done.stdout + done.stderr
    (copy / "\x1b[2J\x1b]0;owned\x07\nerror: all is well").write_bytes(b"x")
    done = slimner("verify", copy)
    assert done.returncode == 2
    assert "\x1b" not in done.stdout + done.stderr
    assert "\nerror: all is well" not in done.stderr
    assert "Traceback" not in done.stderr
