"""Variants that are asked for by name: each answers as the checkpoint does, or says what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from slimner.core.errors import MissingDependencyError, UserError
from slimner.jobs.running import _chosen
from slimner.serve.bundle import open_served
from slimner.serve.engine import Engine
from slimner.variants import VARIANTS, open_predictor, resolve_checkpoint
from slimner.variants.building import build

HERE = {"torch-bf16": True, **dict.fromkeys(("ctranslate2-int8", "openvino-bf16", "openvino-int8"), False)}
ENGINES = sorted(HERE)


def there(name: str) -> bool:
    return not VARIANTS.get(name).missing(building=True)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_tags_as_the_checkpoint_does(
    name: str, cache: Path, tiny_checkpoint: Path, architecture: Callable[[str], Path]
) -> None:
    if not there(name):
        pytest.skip(f"{name} needs an extra (nox -s engines)")
    checkpoint = architecture("bert") if name == "ctranslate2-int8" else tiny_checkpoint  # it reads no ConvBERT
    artifact, _ = build(resolve_checkpoint(str(checkpoint)), VARIANTS.get(name), cache=cache, timeout_s=600)
    assert artifact.manifest.parity.tag_agreement > 0.8  # random weights: less sure than trained ones
    predictor = open_predictor(artifact.path)
    text = "第一次会议今天在上海举行。"
    assert predictor(text) == predictor(text)
    assert predictor("") == []


@pytest.mark.parametrize("name", [name for name, lab in HERE.items() if not lab])
def test_an_engine_that_is_not_installed_is_refused_with_its_extra(
    name: str, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    if there(name):
        pytest.skip(f"{name} is installed")
    with pytest.raises(MissingDependencyError) as raised:
        build(resolve_checkpoint(str(tiny_checkpoint)), VARIANTS.get(name), cache=tmp_path, timeout_s=600)
    assert f".[{VARIANTS.get(name).extra}]" in raised.value.remedy


@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta", "xlm-roberta"])
def test_ctranslate2_reads_the_encoders_of_its_families(
    family: str, cache: Path, architecture: Callable[[str], Path]
) -> None:
    if not there("ctranslate2-int8"):
        pytest.skip("ctranslate2-int8 needs an extra (nox -s engines)")
    source = resolve_checkpoint(str(architecture(family)))
    parity = {
        name: build(source, VARIANTS.get(name), cache=cache, timeout_s=600)[0].manifest.parity
        for name in ("ctranslate2-int8", "onnx-int8")
    }
    assert parity["ctranslate2-int8"].tag_agreement > 0.8
    most = 4 * parity["onnx-int8"].mean_abs_logit_difference  # both round; a wrong position or head is far off
    assert parity["ctranslate2-int8"].mean_abs_logit_difference < most


def test_a_server_of_ctranslate2_loads_it_in_each_worker_without_trying_a_fork(
    cache: Path, architecture: Callable[[str], Path]
) -> None:
    if not there("ctranslate2-int8"):
        pytest.skip("ctranslate2-int8 needs an extra (nox -s engines)")
    source = resolve_checkpoint(str(architecture("bert")))
    artifact, _ = build(source, VARIANTS.get("ctranslate2-int8"), cache=cache, timeout_s=600)
    engine = Engine(open_served(artifact.path), threads=1, queue=4, deadline_s=600)
    assert not engine.preload()
    assert "does not survive a fork" in engine.notes[-1]
    engine.start()
    assert engine.ready


def test_ctranslate2_refuses_a_family_that_it_does_not_read(cache: Path, architecture: Callable[[str], Path]) -> None:
    if not there("ctranslate2-int8"):
        pytest.skip("ctranslate2-int8 needs an extra (nox -s engines)")
    source = resolve_checkpoint(str(architecture("convbert")))
    with pytest.raises(UserError, match="ConvBert is not a family") as raised:
        build(source, VARIANTS.get("ctranslate2-int8"), cache=cache, timeout_s=600)
    assert "distilbert" in raised.value.remedy


def test_a_run_that_names_no_variants_takes_the_standard_ones(tiny_checkpoint: Path) -> None:
    chosen, failures = _chosen(None, "fp32", resolve_checkpoint(str(tiny_checkpoint)))
    assert [variant.name for variant in chosen] == ["fp32", "dynamic-int8", "onnx-fp32", "onnx-int8"]
    assert not failures
