"""Optimum itself, in the environment of `nox -s optimum`: builds by its exporter, and what its own commands wrote."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from slimner.variants import VARIANTS, open_predictor, resolve_checkpoint, verify
from slimner.variants.building import build

from ..conftest import make_checkpoint

pytestmark = pytest.mark.skipif(importlib.util.find_spec("optimum") is None, reason="needs Optimum (nox -s optimum)")

TEXT = "外交部发言人在上海说，王芳今天到广州。"


def optimum(*arguments: str | Path) -> None:
    """Its command line, as its users type it."""
    main = "import sys; from optimum.commands.optimum_cli import main; main()"
    subprocess.run([sys.executable, "-c", main, *map(str, arguments)], check=True, capture_output=True, timeout=600)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import json

    directory = make_checkpoint(tmp_path_factory.mktemp("optimum") / "checkpoint", decoding="argmax")
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, **special}
    (directory / "tokenizer_config.json").write_text(json.dumps(named))
    return directory


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    out = checkpoint.parent / "exported"
    optimum("export", "onnx", "--model", checkpoint, "--task", "token-classification", out)
    return out


@pytest.fixture(scope="module")
def quantized(exported: Path) -> Path:
    out = exported.parent / "quantized"
    optimum("onnxruntime", "quantize", "--onnx_model", exported, "--avx2", "-o", out)
    return out


@pytest.mark.parametrize("name", ["onnx-fp32", "onnx-int8"])
def test_its_exporter_builds(checkpoint: Path, tmp_path: Path, name: str) -> None:
    artifact, _ = build(
        resolve_checkpoint(str(checkpoint)),
        VARIANTS.get(name),
        cache=tmp_path,
        timeout_s=600,
        exporter_name="optimum",
    )
    assert "optimum-onnx" in artifact.manifest.tools["exporter"]
    assert artifact.manifest.parity.tag_agreement > 0.8


def test_what_it_exported_is_taken_in(checkpoint: Path, exported: Path, tmp_path: Path) -> None:
    artifact, _ = build(resolve_checkpoint(str(exported)), VARIANTS.get("imported"), cache=tmp_path, timeout_s=600)
    fp32, _ = build(resolve_checkpoint(str(checkpoint)), VARIANTS.get("fp32"), cache=tmp_path, timeout_s=600)
    assert verify(artifact.path).manifest.tools["graph"].startswith("model.onnx ")
    assert open_predictor(artifact.path).tag(TEXT).tags == open_predictor(fp32.path).tag(TEXT).tags


def test_what_its_quantizer_wrote_is_taken_in(quantized: Path, tmp_path: Path) -> None:
    artifact, _ = build(resolve_checkpoint(str(quantized)), VARIANTS.get("imported"), cache=tmp_path, timeout_s=600)
    assert artifact.manifest.tools["graph"].startswith("model_quantized.onnx ")
    assert artifact.manifest.parity.tag_agreement > 0.9
    assert len(open_predictor(artifact.path).tag(TEXT).tags) > 10
