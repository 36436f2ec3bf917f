"""A bundle carries its proof, and is refused when anything of it was changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from slimner import zoo
from slimner.core.errors import ArtifactError
from slimner.core.store import sha256_file, write_json
from slimner.serve.bundle import BUNDLE, Bundle, Golden, check_golden, differing, open_served, read_bundle
from slimner.variants import open_predictor
from slimner.variants.artifacts import File

from ..conftest import Slimner
from ..made import make

NAMES = sorted(path.relative_to(zoo.bundle()).as_posix() for path in zoo.bundle().rglob("*") if path.is_file())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(zoo.bundle(), tmp_path / "copy"))


def reseal(directory: Path, **changes: object) -> None:
    """Change the manifest as somebody would who knows the format."""
    bundle = msgspec.json.decode((directory / BUNDLE).read_bytes(), type=Bundle)
    write_json(directory / BUNDLE, msgspec.structs.replace(bundle, **changes).sealed())  # type: ignore[arg-type]


def test_the_wheel_carries_a_bundle_whose_golden_texts_are_answered_as_when_it_was_made() -> None:
    served = open_served(zoo.bundle())
    assert served.bundle is not None
    assert len(served.golden) >= 10
    assert sum(len(golden.entities) for golden in served.golden) > 20
    wrong = differing(served.golden, open_predictor(served.model))
    check_golden(served, wrong)
    assert sum(file.size_bytes for file in served.bundle.files.values()) < 5_000_000


def test_nothing_in_a_bundle_is_code_or_a_pickle() -> None:
    assert {Path(name).suffix for name in NAMES} <= {".json", ".onnx", ".data", ".txt"}
    for name in NAMES:
        content = (zoo.bundle() / name).read_bytes()
        assert not content.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04"))
        assert not os.access(zoo.bundle() / name, os.X_OK) or os.geteuid() == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("harm", ["flip", "truncate", "grow", "remove", "link"])
def test_a_bundle_with_a_changed_file_is_refused(copy: Path, tmp_path: Path, name: str, harm: str) -> None:
    path = copy / name
    content = bytearray(path.read_bytes())
    if harm == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif harm == "truncate":
        path.write_bytes(content[:-1])
    elif harm == "grow":
        path.write_bytes(content + b"\n")
    else:
        path.unlink()
        if harm == "link":
            (tmp_path / "elsewhere").write_bytes(content)
            path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError) as caught:
        open_served(copy)
    assert caught.value.remedy


@pytest.mark.parametrize("added", ["extra.bin", "model/extra.py", "deep/er/file", ".hidden"])
def test_a_bundle_with_an_added_file_is_refused(copy: Path, added: str) -> None:
    (copy / added).parent.mkdir(parents=True, exist_ok=True)
    (copy / added).write_text("x")
    with pytest.raises(ArtifactError, match="does not name"):
        open_served(copy)


def test_a_bundle_with_a_pipe_in_it_is_refused_without_reading_it(copy: Path) -> None:
    os.mkfifo(copy / "pipe")
    with pytest.raises(ArtifactError, match="neither a file nor a directory"):
        open_served(copy)


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "model/../../outside", "a\\..\\b", "./x", "", "bundle.json"]
)
def test_a_manifest_that_points_outside_is_refused_before_anything_else_is_read(
    copy: Path, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("x")
    files = read_bundle(copy).files | {name: File(sha256=sha256_file(outside), size_bytes=1)}
    reseal(copy, files=files)
    (copy / "golden.json").write_text("nothing that could be parsed")
    with pytest.raises(ArtifactError, match="outside the bundle"):
        open_served(copy)


def test_a_manifest_that_leaves_out_what_every_bundle_has_is_refused(copy: Path) -> None:
    files = {name: file for name, file in read_bundle(copy).files.items() if name != "golden.json"}
    (copy / "golden.json").unlink()
    reseal(copy, files=files)
    with pytest.raises(ArtifactError, match=r"lacks golden\.json"):
        open_served(copy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"{" * 5000, b'{"schema": 99}'])
def test_a_manifest_that_is_none_is_refused(copy: Path, content: bytes) -> None:
    (copy / BUNDLE).write_bytes(content)
    with pytest.raises(ArtifactError):
        open_served(copy)


def test_wrong_answers_are_refused_here_and_a_few_tolerated_on_other_instruction_sets() -> None:
    served = open_served(zoo.bundle())
    same = msgspec.structs.replace(served, manifest=msgspec.structs.replace(served.manifest, instructions=here()))
    other = msgspec.structs.replace(served, manifest=msgspec.structs.replace(served.manifest, instructions="vax"))
    assert check_golden(same, []) == check_golden(other, []) == ""
    with pytest.raises(ArtifactError, match="1 of 16 golden texts"):
        check_golden(same, [3])
    assert "another instruction set" in check_golden(other, [3])
    with pytest.raises(ArtifactError, match="2 of 16"):
        check_golden(other, [3, 4])


def here() -> str:
    from slimner.core.machine import describe

    return describe().instructions


def test_a_changed_prediction_is_seen() -> None:
    served = open_served(zoo.bundle())
    predict = open_predictor(served.model)
    index, golden = next((i, g) for i, g in enumerate(served.golden) if g.entities)
    first = golden.entities[0]
    for changed in (
        golden.entities[1:],
        (msgspec.structs.replace(first, type="X"), *golden.entities[1:]),
        (msgspec.structs.replace(first, start=first.start + 1), *golden.entities[1:]),
        (msgspec.structs.replace(first, score=first.score - 0.02), *golden.entities[1:]),
    ):
        stored = [*served.golden[:index], Golden(text=golden.text, entities=changed), *served.golden[index + 1 :]]
        assert index in differing(stored, predict)


def test_the_same_artifact_gives_the_same_archive_and_verify_replays_it(slimner: Slimner, tmp_path: Path) -> None:
    artifact = zoo.bundle() / "model"
    for name in ("one", "two"):
        done = slimner("bundle", artifact, "--out", name, "--archive", f"{name}.tar.gz")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tar.gz").read_bytes()
    subprocess.run(["tar", "xzf", "one.tar.gz"], cwd=tmp_path, check=True)
    unpacked = next(tmp_path.glob("onnx-int8-*"))
    done = slimner("verify", unpacked)
    assert done.returncode == 0, done.stderr
    assert "16 of 16 texts are answered as when it was made" in done.stdout
    assert "never scored" in done.stdout
    golden = unpacked / "golden.json"
    golden.write_bytes(golden.read_bytes().replace(b"PER", b"LOC"))
    reseal(
        unpacked,
        files=read_bundle(tmp_path / "one").files
        | {"golden.json": File(sha256=sha256_file(golden), size_bytes=golden.stat().st_size)},
    )
    done = slimner("verify", unpacked)
    assert done.returncode == 2
    assert "golden texts are answered otherwise" in done.stderr
    done = slimner("serve", unpacked, "--port", "0")
    assert done.returncode != 0
    assert "golden texts are answered otherwise" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_gives_a_bundle_of_its_winner_with_scores_and_decision(slimner: Slimner, tmp_path: Path) -> None:
    made = make({"fp32": (380, 300, 20.0), "onnx-int8": (381, 100, 10.0)})
    artifact = tmp_path / "cache" / "artifacts" / "onnx-int8"  # what the results call it
    shutil.copytree(zoo.bundle() / "model", artifact)
    write_json(tmp_path / "report" / "results.json", made)
    here = {"SLIMNER_CACHE": str(tmp_path / "cache")}
    done = slimner("bundle", "report", "--out", "bundle", environment=here)
    assert done.returncode == 0, done.stderr
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.decision is not None
    assert bundle.variant == bundle.decision["winner"] == "onnx-int8"
    assert set(bundle.decision["losers"]) == {"fp32"}
    assert bundle.scores is not None
    assert (bundle.scores.corpus, bundle.scores.f1) == ("c", 381 / 400)
    assert bundle.scores.f1_low < bundle.scores.f1 < bundle.scores.f1_high
    assert bundle.measured is not None
    assert bundle.measured.pss_bytes == 100_000_000
    assert bundle.measured.per_s == pytest.approx(100)
    assert bundle.session.threads == 1
    assert bundle.session.options["enable_mem_pattern"] == "False"
    assert "onnxruntime==" in (tmp_path / "bundle" / "requirements.txt").read_text()
    again = slimner("bundle", "report", "--out", "bundle", environment=here)
    assert again.returncode == 2
    gone = slimner("bundle", "report/results.json", "--out", "b", environment={"SLIMNER_CACHE": str(tmp_path / "no")})
    assert gone.returncode == 2
    assert "SLIMNER_CACHE" in gone.stderr


def test_a_bundle_follows_the_last_decision_on_a_run_or_the_named_variant(slimner: Slimner, tmp_path: Path) -> None:
    made = make({"fp32": (380, 300, 5.0), "onnx-int8": (381, 100, 10.0)})
    for build in made.builds:
        shutil.copytree(zoo.bundle() / "model", tmp_path / "cache" / "artifacts" / build.artifact)
    write_json(tmp_path / "report" / "results.json", made)
    (tmp_path / "fastest.toml").write_text('objective = "p50"\n')
    here = {"SLIMNER_CACHE": str(tmp_path / "cache")}

    def bundled(*arguments: str) -> str:
        done = slimner("bundle", "report", "--out", f"b{len(list(tmp_path.glob('b*')))}", *arguments, environment=here)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "least memory" in bundled()
    picked = slimner("pick", "report", "--policy", "fastest.toml")
    assert picked.returncode == 0, picked.stderr
    assert "kept    report/decision.json" in picked.stdout
    assert "policy   least p50, ties within 2 %" in bundled()
    assert read_bundle(tmp_path / "b1").decision["winner"] == "fp32"  # type: ignore[index]
    assert "policy" not in bundled("--variant", "onnx-int8")
    for wrong, said in (("nothing", "it has: fp32, onnx-int8"), ("onnx", "no working variant 'onnx'")):
        done = slimner("bundle", "report", "--out", "x", "--variant", wrong, environment=here)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    done = slimner("bundle", zoo.bundle() / "model", "--out", "x", "--policy", "fastest.toml")
    assert done.returncode == 2
    assert "no variant to choose" in done.stderr


def test_serving_imports_nothing_of_the_lab() -> None:
    code = """
import sys
from slimner import zoo
from slimner.serve import gunicorn_conf, worker
from slimner.serve.app import create_app
app = create_app()
with app.test_client() as client:
    assert client.post("/v1/ner", json={"text": "法国总统马克龙"}).json["entities"]
    assert client.get("/metrics").status_code == client.get("/openapi.json").status_code == 200
lab = "torch transformers scipy sklearn matplotlib pandas modelscope optimum onnx seqeval psutil rich".split()
print(sorted({name.partition(".")[0] for name in sys.modules} & set(lab)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
