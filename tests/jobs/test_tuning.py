"""Tuning changes what it says it changes, keeps the best in place, and goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from slimner import zoo
from slimner.bench import pairs
from slimner.bench.pairs import Pair
from slimner.core.errors import ArtifactError
from slimner.core.records import Measuring
from slimner.jobs import comparing, tune, tuning
from slimner.jobs.progress import Silent
from slimner.jobs.tuning import _changes
from slimner.reports import Policy
from slimner.reports.tuning import Tuned
from slimner.variants import VARIANTS, Artifact, open_predictor, resolve_checkpoint, verify
from slimner.variants.building import build
from slimner.variants.sensitivity import Sensitivity, sensitivities_in_child
from slimner.variants.variant import Tuning

from ..conftest import Slimner
from ..made import measurement


def products(artifact: Path) -> tuple[int, int]:
    """How many products of a graph are in INT8, and how many in FP32 by a constant matrix."""
    graph = onnx.load(artifact / "model.onnx", load_external_data=False).graph
    constants = {tensor.name for tensor in graph.initializer}
    names = [node.op_type for node in graph.node]
    plain = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]
    return names.count("MatMulIntegerToFloat"), len(plain)


def tuned(checkpoint: Path, cache: Path, change: Tuning) -> Artifact:
    return build(
        resolve_checkpoint(str(checkpoint)), VARIANTS.get("onnx-int8"), cache=cache, timeout_s=300, tuning=change
    )[0]


def test_a_layer_in_fp32_is_in_the_graph_the_name_and_the_error(
    tiny_checkpoint: Path, cache: Path, artifacts: dict[str, Path]
) -> None:
    default = verify(artifacts["onnx-int8"])
    other = tuned(tiny_checkpoint, cache, Tuning(fp32=("layer.0", "embeddings")))
    whole, some = products(default.path), products(other.path)
    assert whole[1] == 0
    assert some[1] > 0
    assert sum(some) == sum(whole)
    assert other.manifest.tools["tuning"] == "layer.0, embeddings in FP32"
    assert "tuning" not in default.manifest.tools
    assert other.manifest.key != default.manifest.key
    before, after = default.manifest.parity, other.manifest.parity
    assert after.mean_abs_logit_difference < before.mean_abs_logit_difference
    assert open_predictor(other.path).tag("外交部发言人在上海说。").tags


def test_every_layer_is_looked_at(tiny_checkpoint: Path) -> None:
    source = resolve_checkpoint(str(tiny_checkpoint))
    draw = np.random.default_rng(1)
    found = sensitivities_in_child(source, [draw.integers(5, 900, n).tolist() for n in (5, 20, 40)], wide=True)
    names = [layer.layer for layer in found]
    assert {"embeddings", "layer.0", "layer.1", "classifier"} <= set(names)
    assert all(layer.time > 0 for layer in found)
    assert min(layer.error for layer in found) < 1


def test_what_is_tried_depends_on_what_is_missing() -> None:
    layers = [
        Sensitivity(layer="a", error=0.2, time=1.2),
        Sensitivity(layer="b", error=0.9, time=0.9),
        Sensitivity(layer="c", error=0.5, time=1.1),
    ]
    for_accuracy = [change.fp32 for change, accuracy in _changes(layers, missing=True) if accuracy]
    assert for_accuracy == [("a",), ("a", "c"), ("a", "c", "b")]
    plain = [change for change, _ in _changes(layers, missing=False)]
    assert [change.fp32 for change in plain if change.fp32] == [("b",)]
    assert [change.fused for change in plain if change.fused] == [("SkipLayerNormFusion",), ("BiasGeluFusion",)]
    assert Tuning(fp32=("a",)).joined(Tuning(fp32=("b", "a"), fused=("x",))) == Tuning(fp32=("a", "b"), fused=("x",))


def test_the_default_is_in_place_when_there_is_no_time_and_others_are_not_overwritten(
    tiny_checkpoint: Path, tmp_path: Path, small_corpus: Path, small_workload: Path, slimner: Slimner
) -> None:
    out = tmp_path / "best"
    call = ("tune", tiny_checkpoint, "--corpus", small_corpus, "--workload", small_workload, "--out", out)
    loose = tmp_path / "loose.toml"
    loose.write_text('objective = "p50"\n[constraints]\nf1_max_drop = "100pp"\n', encoding="utf-8")
    done = slimner(*call, "--policy", loose, "--budget", "0.001s", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["tuning"] == ""
    assert "Nothing better than the default was found before the budget ended: 0 changes" in record["found"]
    assert "budget" in record["ended"]
    assert verify(out).manifest.name == record["artifact"]
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine", encoding="utf-8")
    assert slimner(*call[:-1], foreign).returncode == 2
    assert (foreign / "notes.txt").read_text(encoding="utf-8") == "mine"


class Notes(Silent):
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        """Keep it."""
        self.notes.append(message)


def test_layers_go_to_fp32_until_f1_is_within_the_policy_and_an_interrupted_search_goes_on(
    tiny_checkpoint: Path,
    artifacts: dict[str, Path],
    cache: Path,
    small_workload: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering = open_predictor(artifacts["fp32"])  # the corpus is what the checkpoint itself says
    corpus = tmp_path / "own.jsonl"
    with corpus.open("w", encoding="utf-8") as file:
        for text in zoo.workload().read_text(encoding="utf-8").splitlines()[:150]:
            found = [{"start": e.start, "end": e.end, "label": e.type} for e in answering(text)]
            file.write(json.dumps({"text": text, "entities": found}, ensure_ascii=False) + "\n")
    own = tmp_path / "cache"
    own.mkdir()
    (own / "artifacts").symlink_to(cache / "artifacts")
    monkeypatch.setenv("SLIMNER_CACHE", str(own))
    monkeypatch.setattr(tuning, "FUSIONS", ())  # nothing that would have to be measured
    monkeypatch.setattr(tuning, "MOST_LAYERS", 0)
    strict, out = Policy(f1_max_drop_pp=2.0, objective={"p50": 1.0}), tmp_path / "best"
    default = verify(artifacts["onnx-int8"]).manifest.name

    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tuning._Search, "against", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune(tiny_checkpoint, out, policy=strict, corpus=corpus, workload=small_workload)
    assert verify(out).manifest.name == default

    progress = Notes()
    made = tune(tiny_checkpoint, out, policy=strict, corpus=corpus, workload=small_workload, progress=progress)
    assert any("going on" in note for note in progress.notes)
    assert made.default.f1 is not None
    assert made.default.f1.low < -2.0
    assert [trial.kept for trial in made.trials] == [*[False] * (len(made.trials) - 1), True]
    assert made.trials[-1].f1 is not None
    assert made.trials[-1].f1.low >= -2.0
    assert made.tuning.endswith("in FP32")
    assert made.found.startswith("Meets the policy, unlike the default: ")
    assert made.exit_code == 0
    assert verify(out).manifest.name == made.artifact != default
    with pytest.raises(ArtifactError, match="exists"):
        tune("news-zh", out)  # what is there is of another checkpoint


class Timed:
    """Searches on a clock of their own: a build takes 300 s and a pair 10 s, and every change halves the time."""

    def __init__(self, checkpoint: Path, workload: Path, out: Path, patch: pytest.MonkeyPatch) -> None:
        self.checkpoint, self.workload, self.out = checkpoint, workload, out
        self.now, self.pairs, self.build_s = 0.0, 0, 300.0
        for module in (tuning, pairs, comparing):
            patch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        built: set[str] = set()

        def building(*given: Any, tuning: Tuning, **options: Any) -> tuple[Artifact, bool]:
            if str(tuning) and str(tuning) not in built:
                self.now += self.build_s
                built.add(str(tuning))
            return build(*given, tuning=tuning, **options)

        def measuring(_one: Path, _two: Path, _texts: str, settings: Measuring, **_options: Any) -> Iterator[Pair]:
            for number, first in enumerate(pairs.order(settings.seed), 1):
                self.now, self.pairs = self.now + 10, self.pairs + 1
                one, two = (
                    msgspec.structs.replace(measurement("onnx-int8", number, 100_000_000, ms), texts=(0,) * 100)
                    for ms in (100.0, 50.0)
                )
                yield Pair(number=number, baseline_first=first, baseline=one, candidate=two)

        patch.setattr(tuning, "build", building)
        patch.setattr(comparing, "measure_pairs", measuring)
        patch.setattr(tuning, "MOST_LAYERS", 0)

    def start(self, budget_s: float, objective: str = "p50") -> Tuned:
        """One start of the search; `pairs` counts what it measures."""
        self.pairs = 0
        policy = Policy(f1_max_drop_pp=None, objective={objective: 1.0})
        return tune(self.checkpoint, self.out, policy=policy, workload=self.workload, budget_s=budget_s)

    @property
    def held(self) -> tuple[str, int]:
        """The name of what is in `--out`, and the directory itself: another one if it was replaced."""
        return verify(self.out).manifest.name, self.out.stat().st_ino


@pytest.fixture
def timed(
    tiny_checkpoint: Path,
    artifacts: dict[str, Path],
    cache: Path,
    small_workload: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Timed:
    assert artifacts["onnx-int8"]
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "artifacts").symlink_to(cache / "artifacts")
    monkeypatch.setenv("SLIMNER_CACHE", str(tmp_path / "cache"))
    return Timed(tiny_checkpoint, small_workload, tmp_path / "best", monkeypatch)


def test_a_build_takes_its_time_from_the_budget_of_the_comparison(timed: Timed) -> None:
    made = timed.start(350)
    assert 0 < timed.pairs <= 5
    assert timed.now <= 350
    assert "350 s is spent" in made.ended


def test_a_comparison_that_the_budget_cut_short_is_made_whole_by_the_next_start(timed: Timed) -> None:
    timed.build_s = 0
    made = timed.start(50)
    assert timed.pairs == 5
    assert not made.trials
    made = timed.start(120)
    assert [trial.kept for trial in made.trials] == [True]
    assert made.tuning == "SkipLayerNormFusion"
    assert timed.held[0] == made.artifact


def test_the_best_stays_in_place_and_the_same_search_goes_on_after_its_budget(timed: Timed) -> None:
    timed.build_s = 0
    first = timed.start(150)
    assert first.tuning == "SkipLayerNormFusion"
    assert "spent" in first.ended
    held = timed.held
    again = timed.start(0)
    assert timed.pairs == 0
    assert again.trials == first.trials
    assert timed.held == held
    done = timed.start(150)
    assert timed.pairs == 10
    assert done.ended == "everything was tried"
    assert done.tuning == "SkipLayerNormFusion; BiasGeluFusion"
    held = timed.held
    assert held[0] == done.artifact
    assert timed.start(0) == done
    assert timed.held == held
    with pytest.raises(ArtifactError, match="another policy"):
        timed.start(1000, "p95")
    assert timed.held == held
    assert timed.start(0) == done
