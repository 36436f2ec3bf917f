"""Windows that share a run: every bit of an answer is what it is alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slimner.core.store import write_json
from slimner.eval import read_corpus
from slimner.eval.scoring import predict
from slimner.variants import VARIANTS, Predictor, open_predictor, read_manifest, resolve_checkpoint
from slimner.variants.batching import RUN_TOKENS, joins, proven, runs
from slimner.variants.building import build
from slimner.variants.variant import Batching, BatchModel

MODES: tuple[Batching, ...] = ("packed", "equal_length", "alone")


@pytest.fixture(scope="module")
def bert(architecture: Callable[[str], Path], cache: Path) -> Path:
    """A tiny BERT as onnx-int8."""
    source = resolve_checkpoint(str(architecture("bert")))
    return build(source, VARIANTS.get("onnx-int8"), cache=cache, timeout_s=300)[0].path


@pytest.fixture(scope="module")
def packed(bert: Path) -> Predictor:
    return open_predictor(bert)


def ids(seed: int, length: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(5, 300, length)


def batched(predictor: Predictor) -> BatchModel:
    assert isinstance(predictor.model, BatchModel)
    return predictor.model


def test_building_tells_which_windows_may_share_a_run(bert: Path, embedded_int8: Path) -> None:
    assert read_manifest(bert).batching == "packed"
    assert read_manifest(embedded_int8).batching == "equal_length"  # ConvBERT's convolutions would see padding


@settings(max_examples=60)
@given(lengths=st.lists(st.integers(1, 64), min_size=1, max_size=9), seed=st.integers(0, 10_000))
def test_packed_logits_are_those_of_each_window_alone(packed: Predictor, lengths: list[int], seed: int) -> None:
    model = batched(packed)
    windows = [ids(seed + i, length) for i, length in enumerate(lengths)]
    for window, together in zip(windows, model.together(windows), strict=True):
        assert np.array_equal(together, model(window))


@settings(max_examples=25)
@given(length=st.integers(1, 128), number=st.integers(2, 6), seed=st.integers(0, 10_000))
def test_logits_of_equal_lengths_are_those_of_each_window_alone(
    embedded_int8: Path, length: int, number: int, seed: int
) -> None:
    model = batched(open_once(embedded_int8))
    windows = [ids(seed + i, length) for i in range(number)]
    for window, together in zip(windows, model.together(windows), strict=True):
        assert np.array_equal(together, model(window))


_opened: dict[Path, Predictor] = {}


def open_once(artifact: Path) -> Predictor:
    if artifact not in _opened:
        _opened[artifact] = open_predictor(artifact)
    return _opened[artifact]


def test_a_corpus_has_the_same_entities_alone_and_together(embedded_int8: Path, packed: Predictor) -> None:
    sentences = read_corpus("news-zh").sentences[:160]
    for predictor in (open_once(embedded_int8), packed):
        assert predict(predictor, sentences) == [predict(predictor, [one])[0] for one in sentences]
        texts = [one.text for one in sentences]
        steps: list[str] = []
        assert predictor.many(texts, steps.append) == [predictor(text) for text in texts]
        assert steps.count("infer") < len(texts) / 2 or predictor.batching != "packed"


@given(lengths=st.lists(st.integers(1, 512), max_size=60), mode=st.sampled_from(MODES))
def test_every_window_is_in_one_run_and_no_run_is_too_long(lengths: list[int], mode: Batching) -> None:
    found = runs(mode, lengths)
    assert sorted(index for run in found for index in run) == list(range(len(lengths)))
    for run in found:
        sizes = [lengths[index] for index in run]
        assert len(run) == 1 or (sum(sizes) <= RUN_TOKENS and mode != "alone")
        assert mode != "equal_length" or len(set(sizes)) == 1


class Leaky:
    """A model whose answers depend on the company: by `seen`, what it takes into account of it."""

    def __init__(self, seen: Callable[[Sequence[np.ndarray]], float]) -> None:
        self._seen = seen

    def __call__(self, window: np.ndarray, /) -> np.ndarray:
        return self.together([window])[0]

    def together(self, windows: Sequence[np.ndarray], /) -> list[np.ndarray]:
        return [np.stack((window, window)).T + self._seen(windows) for window in windows]


def test_a_claim_is_not_believed_when_an_answer_changes_by_its_neighbours() -> None:
    windows = [ids(length, length) for length in range(1, 30)]
    assert proven(Leaky(lambda group: 0.0), "packed", windows) == "packed"
    assert proven(Leaky(lambda group: 0.0), "alone", windows) == "alone"
    padding = Leaky(lambda group: 1e-6 * (max(map(len, group)) != min(map(len, group))))
    assert proven(padding, "packed", windows) == "equal_length"
    assert proven(Leaky(lambda group: 1e-6 * len(group)), "packed", windows) == "alone"
    assert proven(lambda window: window, "packed", windows) == "alone"


def test_windows_share_no_run_where_that_was_not_proven(bert: Path, tmp_path: Path) -> None:
    for name in bert.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    manifest = read_manifest(bert)
    elsewhere = msgspec.structs.replace(manifest, instructions="another processor")
    write_json(tmp_path / "manifest.json", elsewhere.sealed())
    assert open_predictor(tmp_path).batching == "alone"
    assert open_predictor(bert).batching == "packed"


def test_a_manifest_from_before_there_was_batching_is_read_as_alone(bert: Path, tmp_path: Path) -> None:
    import json

    for name in bert.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    content = json.loads((bert / "manifest.json").read_text(encoding="utf-8"))
    del content["batching"], content["seal"]
    from slimner.core.store import sha256_of

    write_json(tmp_path / "manifest.json", content | {"seal": sha256_of(content | {"seal": ""})})
    assert read_manifest(tmp_path).batching == "alone"
    assert not joins(open_predictor(tmp_path).batching, [3], 3)
