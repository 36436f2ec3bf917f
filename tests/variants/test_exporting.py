"""Exporters other than the default: the same logits, another identity."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from slimner.core.errors import MissingDependencyError, UnknownNameError, UserError
from slimner.variants import VARIANTS, resolve_checkpoint
from slimner.variants.building import build, key_of
from slimner.variants.exporting import EXPORTERS, exported, exporter
from slimner.variants.torch_model import as_model, load_reference
from slimner.variants.variant import BuildContext

from .conftest import ARCHITECTURES

OTHERS = [name for name, entry in EXPORTERS.items() if importlib.util.find_spec(entry.needs[-1])]


@pytest.mark.parametrize("family", ARCHITECTURES)
@pytest.mark.parametrize("name", [name for name in OTHERS if name != "torchscript"])
def test_the_logits_are_the_checkpoints_at_every_length(
    architecture: Callable[[str], Path], tmp_path: Path, name: str, family: str
) -> None:
    source = resolve_checkpoint(str(architecture(family)))
    variant = VARIANTS.get("onnx-fp32")
    context = BuildContext(checkpoint=source, directory=tmp_path, wide_dot_products=False, exporter=name)
    variant.build(context)
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "model.onnx.data"}
    model, reference = variant.load(tmp_path, 1), as_model(load_reference(source.path))
    for length in (1, 2, 7, 33, 64):
        ids = np.random.default_rng(length).integers(5, 300, length)
        assert np.abs(model(ids) - reference(ids)).max() <= 1e-4, length


def test_the_exporter_is_part_of_the_identity_of_what_is_built_from_a_graph(
    artifacts: dict[str, Path], tiny_checkpoint: Path
) -> None:
    from slimner.variants import read_manifest

    source = resolve_checkpoint(str(tiny_checkpoint))
    assert "torchscript" in read_manifest(artifacts["onnx-int8"]).tools["exporter"]
    assert "exporter" not in read_manifest(artifacts["fp32"]).tools
    keys = {key_of(source, VARIANTS.get("onnx-int8"), name) for name in EXPORTERS}
    assert len(keys) == len(EXPORTERS)
    assert len({key_of(source, VARIANTS.get("fp32"), name) for name in EXPORTERS}) == 1


def test_a_build_with_another_exporter_is_another_artifact(
    artifacts: dict[str, Path], tiny_checkpoint: Path, cache: Path
) -> None:
    source = resolve_checkpoint(str(tiny_checkpoint))
    artifact, _ = build(source, VARIANTS.get("onnx-fp32"), cache=cache, timeout_s=300, exporter_name="dynamo")
    assert artifact.path != artifacts["onnx-fp32"]


def test_an_unknown_exporter_gives_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'dynamo'"):
        exporter("dynamic")


@pytest.mark.skipif(importlib.util.find_spec("optimum") is not None, reason="Optimum is installed")
def test_optimum_is_named_where_it_is_not_installed(tiny_checkpoint: Path, tmp_path: Path) -> None:
    source = resolve_checkpoint(str(tiny_checkpoint))
    with pytest.raises(MissingDependencyError, match=r"exporter 'optimum' needs optimum.*'\.\[optimum\]'"):
        build(source, VARIANTS.get("onnx-fp32"), cache=tmp_path, timeout_s=300, exporter_name="optimum")


def test_a_model_that_cannot_be_exported_is_refused_in_one_line(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import ConvBertForTokenClassification

    def forward(self: object, **inputs: object) -> None:
        raise RuntimeError("\n  this cannot be traced\nand here is why, over many lines")

    monkeypatch.setattr(ConvBertForTokenClassification, "forward", forward)
    with (
        pytest.raises(
            UserError, match=r"^ConvBert cannot be exported to ONNX by 'torchscript': .*traced; .*fp32,dynamic"
        ),
        exported(resolve_checkpoint(str(tiny_checkpoint)), tmp_path, "torchscript"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
