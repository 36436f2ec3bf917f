"""Graphs that somebody else wrote: taken in as they are, or refused by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from slimner import jobs
from slimner.core.errors import CheckpointError
from slimner.variants import VARIANTS, open_predictor, resolve_checkpoint, verify
from slimner.variants.building import build, key_of
from slimner.variants.graphs import files_of, fitted_to_graph
from slimner.variants.torch_model import as_model, load_reference

Change = Callable[[Path, onnx.ModelProto], None]


@pytest.fixture
def exported(artifacts: dict[str, Path], tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A directory as exporters write it: a graph with its weights beside it, config.json and tokenizer.json."""
    directory = tmp_path / "exported"
    directory.mkdir()
    for name in ("model.onnx", "model.onnx.data"):
        shutil.copy(artifacts["onnx-fp32"] / name, directory)
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(tiny_checkpoint / name, directory)
    return directory


def test_a_graph_is_a_variant_that_answers_as_it_did(
    exported: Path, artifacts: dict[str, Path], cache: Path, tmp_path: Path
) -> None:
    source = resolve_checkpoint(str(exported))
    assert (source.weights, [path.name for path in source.graphs]) == (False, ["model.onnx"])
    artifact, _ = build(source, VARIANTS.get("imported"), cache=tmp_path / "cache", timeout_s=300)
    manifest = verify(artifact.path).manifest
    assert manifest.parity.max_abs_logit_difference < 1e-5
    assert manifest.parity.tag_agreement == 1
    assert manifest.window == 64
    assert manifest.checkpoint.parameters > 100_000
    assert manifest.tools["graph"].startswith("model.onnx ")
    text = "外交部发言人在上海说。"
    assert open_predictor(artifact.path).tag(text).tags == open_predictor(artifacts["onnx-fp32"]).tag(text).tags


def test_beside_weights_it_is_compared_with_them(exported: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_checkpoint / "model.safetensors", exported)
    source = resolve_checkpoint(str(exported))
    assert source.weights
    assert source.sha256 == resolve_checkpoint(str(tiny_checkpoint)).sha256
    artifact, _ = build(source, VARIANTS.get("imported"), cache=tmp_path / "cache", timeout_s=300)
    assert 0 < artifact.manifest.parity.max_abs_logit_difference <= 1e-4
    ids = np.arange(5, 40)
    reference = as_model(load_reference(tiny_checkpoint))
    assert np.abs(reference(ids) - open_predictor(artifact.path).model(ids)).max() <= 1e-4


def test_a_run_takes_what_fits_and_scores_it(exported: Path, small_corpus: Path, tmp_path: Path) -> None:
    found = jobs.run(
        exported,
        corpus=small_corpus,
        repetitions=1,
        tie_budget_s=0,
        settings=jobs.running.Measuring(samples=4, warmup=1),
        out=tmp_path / "report",
    )
    assert [build.variant for build in found.results.builds] == ["imported"]
    assert found.results.settings.baseline == "imported"
    assert [record.variant for record in found.results.evaluations] == ["imported"]
    assert not found.results.failures


def test_other_data_is_another_artifact(exported: Path) -> None:
    variant, before = VARIANTS.get("imported"), key_of(resolve_checkpoint(str(exported)), VARIANTS.get("imported"))
    data = bytearray((exported / "model.onnx.data").read_bytes())
    data[100] ^= 1
    (exported / "model.onnx.data").write_bytes(data)
    assert key_of(resolve_checkpoint(str(exported)), variant) != before


def test_a_graph_is_no_checkpoint_for_other_variants(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"only a graph \(model\.onnx\).*--variant imported"):
        build(resolve_checkpoint(str(exported)), VARIANTS.get("onnx-int8"), cache=tmp_path, timeout_s=300)


def test_no_graph_and_several_are_refused_and_one_is_named(
    exported: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="has no graph"):
        build(resolve_checkpoint(str(tiny_checkpoint)), VARIANTS.get("imported"), cache=tmp_path, timeout_s=300)
    shutil.copy(exported / "model.onnx", exported / "model_quantized.onnx")
    with pytest.raises(CheckpointError, match=r"several graphs: model\.onnx, model_quantized\.onnx.*name one"):
        fitted_to_graph(resolve_checkpoint(str(exported)))
    named = resolve_checkpoint(str(exported / "model_quantized.onnx"))
    assert [path.name for path in named.graphs] == ["model_quantized.onnx"]
    assert fitted_to_graph(named).window == 64


def renamed(old: str, new: str) -> Change:
    def change(directory: Path, model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.name = new if value.name == old else value.name
        for node in model.graph.node:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    names[i] = new if name == old else name

    return change


def fixed(directory: Path, model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 128


def half(directory: Path, model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT32
    model.graph.node.insert(
        0, onnx.helper.make_node("Cast", ["input_ids"], ["input_ids_64"], to=onnx.TensorProto.INT64)
    )
    for node in list(model.graph.node)[1:]:
        for i, name in enumerate(node.input):
            node.input[i] = "input_ids_64" if name == "input_ids" else name


def embeddings(directory: Path, model: onnx.ModelProto) -> None:
    renamed("logits", "last_hidden_state")(directory, model)
    model.graph.output.append(
        onnx.helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ("batch", "tokens"))
    )


def located(where: str, make: Callable[[Path], object] = lambda directory: None) -> Change:
    def change(directory: Path, model: onnx.ModelProto) -> None:
        make(directory)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = where.replace("DIR", str(directory))

    return change


def moved(directory: Path) -> None:
    (directory / "model.onnx.data").rename(directory.parent / "data")


def linked(directory: Path) -> None:
    moved(directory)
    (directory / "link").symlink_to(directory.parent / "data")


def tags(count: int) -> Change:
    def change(directory: Path, model: onnx.ModelProto) -> None:
        import json

        names = ["O", *(f"{letter}-T{i}" for i in range(9) for letter in "BI")][:count]
        config = json.loads((directory / "config.json").read_text())
        config["id2label"] = {str(i): name for i, name in enumerate(names)}
        (directory / "config.json").write_text(json.dumps(config))

    return change


def a_token_more(directory: Path, model: onnx.ModelProto) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.add_tokens(["新冠"])
    tokenizer.save(str(directory / "tokenizer.json"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            renamed("attention_mask", "position_ids"),
            r"takes position_ids, which slimner does not provide; it provides input_ids",
        ),
        (renamed("input_ids", "attention"), "takes attention, which slimner does not provide"),
        (fixed, r"takes input_ids in the fixed shape \w+ x 128"),
        (half, r"takes input_ids as tensor\(int32\), not as tensor\(int64\)"),
        (embeddings, r"gives last_hidden_state of 3 axes, input_ids of 2 axes, not logits"),
        (located("../data", moved), r"keeps weights outside its directory: \.\./data"),
        (located("DIR/../data", moved), r"keeps weights outside its directory: /"),
        (located("link", linked), "keeps weights outside its directory: link"),
        (located("gone"), "keeps weights in gone, which is missing"),
        (tags(5), r"has 7 outputs, .* names 5 tags; .*--labels"),
        (tags(9), r"has 7 outputs, .* names 9 tags"),
        (a_token_more, "has no row for the token '新冠'"),
    ],
)
def test_what_cannot_be_run_or_read_is_refused_in_one_line(exported: Path, change: Change, message: str) -> None:
    model = onnx.load(exported / "model.onnx", load_external_data=False)
    change(exported, model)
    onnx.save(model, exported / "model.onnx")
    with pytest.raises(CheckpointError, match=message) as caught:
        fitted_to_graph(resolve_checkpoint(str(exported)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"x", b"version https", b"\x08\x07" * 40])
def test_a_file_that_is_no_graph_is_refused(exported: Path, content: bytes) -> None:
    (exported / "model.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.onnx is not an ONNX graph"):
        files_of(resolve_checkpoint(str(exported)).graphs[0])


def test_the_shape_of_a_graph_for_another_runtime_is_one_line(exported: Path) -> None:
    model: Any = onnx.load(exported / "model.onnx", load_external_data=False)
    model.graph.node[0].domain = "somebody.else"
    onnx.save(model, exported / "model.onnx")
    with pytest.raises(CheckpointError, match=r"onnxruntime does not load .*model\.onnx"):
        fitted_to_graph(resolve_checkpoint(str(exported)))
