from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from slimner import zoo
from slimner.core.errors import ArtifactError, CheckpointError, ChildError
from slimner.core.store import write_json
from slimner.variants import VARIANTS, open_predictor, read_manifest, resolve_checkpoint, verify
from slimner.variants.building import build

PICKLE_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


@pytest.mark.parametrize("name", ["fp32", "dynamic-int8", "onnx-fp32", "onnx-int8"])
def test_an_artifact_is_complete_and_has_no_pickle(artifacts: dict[str, Path], name: str) -> None:
    manifest = verify(artifacts[name]).manifest
    assert manifest.variant == name
    assert set(manifest.files) == {p.name for p in artifacts[name].iterdir()} - {"manifest.json"}
    for file in manifest.files:
        content = (artifacts[name] / file).read_bytes()
        assert not content.startswith(PICKLE_MAGIC)
        assert b"pickle" not in content


def test_fp32_variants_give_the_checkpoints_own_logits(artifacts: dict[str, Path]) -> None:
    assert read_manifest(artifacts["fp32"]).parity.max_abs_logit_difference == 0
    parity = read_manifest(artifacts["onnx-fp32"]).parity
    assert 0 < parity.max_abs_logit_difference <= 1e-4
    assert parity.tag_agreement == 1
    assert parity.tokens > 500


def test_int8_variants_record_how_far_they_are(artifacts: dict[str, Path]) -> None:
    for name in ("dynamic-int8", "onnx-int8"):
        parity = read_manifest(artifacts[name]).parity
        assert parity.max_abs_logit_difference > parity.mean_abs_logit_difference > 0
        assert parity.tag_agreement > 0.8  # random weights: far less sure of its tags than a trained model


def test_the_recorded_difference_is_the_one_there_is(artifacts: dict[str, Path], tiny_checkpoint: Path) -> None:
    from slimner.variants.torch_model import as_model, load_reference

    reference = as_model(load_reference(tiny_checkpoint))
    predictor = open_predictor(artifacts["onnx-fp32"])
    for text in zoo.workload().read_text(encoding="utf-8").splitlines()[:5]:
        ids = np.asarray(predictor.encode(text).ids[:64])
        assert np.abs(reference(ids) - predictor.model(ids)).max() <= 1e-4


def test_int8_artifacts_of_the_embedded_model_are_near_a_third_or_less(embedded_int8: Path, cache: Path) -> None:
    weights = (zoo.checkpoint() / "model.safetensors").stat().st_size
    dynamic, _ = build(resolve_checkpoint("news-zh"), VARIANTS.get("dynamic-int8"), cache=cache, timeout_s=300)
    assert (dynamic.path / "quantized.safetensors").stat().st_size < 0.33 * weights
    assert sum((embedded_int8 / f).stat().st_size for f in ("model.onnx", "model.onnx.data")) < 0.36 * weights


def test_a_second_build_builds_nothing(artifacts: dict[str, Path], tiny_checkpoint: Path, cache: Path) -> None:
    artifact, cached = build(resolve_checkpoint(str(tiny_checkpoint)), VARIANTS.get("fp32"), cache=cache, timeout_s=300)
    assert cached
    assert artifact.path == artifacts["fp32"]


def test_a_changed_file_is_found_and_the_cache_heals(
    artifacts: dict[str, Path], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    source = resolve_checkpoint(str(tiny_checkpoint))
    path = tmp_path / "artifacts" / artifacts["fp32"].name
    shutil.copytree(artifacts["fp32"], path)
    assert build(source, VARIANTS.get("fp32"), cache=tmp_path, timeout_s=300)[1]
    weights = path / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.safetensors was changed"):
        verify(path)
    healed, cached = build(source, VARIANTS.get("fp32"), cache=tmp_path, timeout_s=300)
    assert (healed.path, cached) == (path, False)
    verify(path)


@pytest.mark.parametrize("name", ["dynamic-int8", "onnx-int8"])
def test_a_truncated_file_is_refused_before_it_is_read(artifacts: dict[str, Path], tmp_path: Path, name: str) -> None:
    copy = Path(shutil.copytree(artifacts[name], tmp_path / "copy"))
    largest = max(copy.iterdir(), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    with pytest.raises(ArtifactError, match=f"{largest.name} has"):
        open_predictor(copy)


def test_an_artifact_without_a_manifest_is_none(artifacts: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(artifacts["fp32"], tmp_path / "copy"))
    (copy / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"no manifest\.json"):
        open_predictor(copy)


def test_a_manifest_cannot_point_outside_its_directory(artifacts: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(artifacts["fp32"], tmp_path / "copy"))
    manifest = read_manifest(copy)
    files = {**manifest.files, "../outside": manifest.files["config.json"]}
    write_json(copy / "manifest.json", msgspec.structs.replace(manifest, files=files).sealed())
    with pytest.raises(ArtifactError, match="outside the artifact"):
        read_manifest(copy)


def test_a_checkpoint_with_an_untrained_head_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    tensors = load_file(copy / "model.safetensors")
    del tensors["classifier.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"no weights for classifier\.weight"):
        build(resolve_checkpoint(str(copy)), VARIANTS.get("fp32"), cache=tmp_path / "cache", timeout_s=300)
    assert list((tmp_path / "cache" / "artifacts").iterdir()) == []


def test_a_build_on_a_full_disk_fails_with_that_reason_and_leaves_nothing(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=64k none {disk} 2>{os.devnull}") != 0:
        pytest.skip("needs the right to mount a small disk")
    try:
        with pytest.raises(ChildError, match="No space left on device"):
            build(resolve_checkpoint(str(tiny_checkpoint)), VARIANTS.get("fp32"), cache=disk, timeout_s=300)
        assert list((disk / "artifacts").iterdir()) == []
    finally:
        os.system(f"umount {disk}")


def test_importing_the_package_imports_no_heavy_module() -> None:
    import subprocess

    code = """
import sys
import slimner.variants, slimner.eval, slimner.bench, slimner.reports, slimner.cli.main
[v.missing(building=True) for v in slimner.variants.VARIANTS]
heavy = {"torch", "transformers", "optimum", "onnx", "onnxruntime", "scipy", "seqeval", "matplotlib", "pandas"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_changed_manifest_is_refused(artifacts: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(artifacts["fp32"], tmp_path / "copy"))
    text = (copy / "manifest.json").read_text()
    swapped = text.replace("B-PER", "B-XXX").replace("B-LOC", "B-PER").replace("B-XXX", "B-LOC")
    assert swapped != text
    (copy / "manifest.json").write_text(swapped)
    with pytest.raises(ArtifactError, match=r"manifest\.json was changed"):
        open_predictor(copy)


def test_a_file_that_the_manifest_does_not_name_is_refused(artifacts: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(artifacts["fp32"], tmp_path / "copy"))
    (copy / "extra.bin").write_text("x")
    with pytest.raises(ArtifactError, match=r"extra\.bin"):
        verify(copy)


def test_an_artifact_opens_twice_in_one_process_with_other_threads(artifacts: dict[str, Path]) -> None:
    one, two = open_predictor(artifacts["fp32"], threads=1), open_predictor(artifacts["fp32"], threads=2)
    text = "外交部发言人在上海说。"
    assert one.tag(text).tags == two.tag(text).tags
