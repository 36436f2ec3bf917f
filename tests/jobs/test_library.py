"""slimner as a library: what `import slimner` gives, and what it does not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import slimner
from slimner.core.errors import ArtifactError, UserError
from slimner.core.records import Measuring

LAZY = """
import sys
import slimner
assert slimner.__version__
for name in slimner.__all__:
    getattr(slimner, name)
heavy = {"torch", "transformers", "onnxruntime", "matplotlib", "optimum", "rich", "click"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_importing_every_name_loads_no_back_end_and_no_terminal() -> None:
    subprocess.run([sys.executable, "-c", LAZY], check=True)


def test_every_name_is_listed_once_in_order_and_is_there() -> None:
    assert list(slimner.__all__) == sorted(slimner.__all__, key=lambda name: (name.islower(), name))
    assert dir(slimner) == sorted(slimner.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        slimner.nothing  # noqa: B018


def test_bench_can_be_called_when_the_package_of_that_name_was_imported(tmp_path: Path) -> None:
    import slimner.bench.pairs as pairs

    assert slimner.bench.pairs is pairs
    with pytest.raises(ArtifactError, match="no artifact at"):
        slimner.bench(tmp_path / "nowhere")


def test_a_predictor_opens_from_an_artifact_or_a_bundle_by_string_or_path(
    artifacts: dict[str, Path], tmp_path: Path, small_workload: Path
) -> None:
    artifact, packed = artifacts["onnx-int8"], tmp_path / "bundle"
    slimner.bundle(artifact, packed, workload=small_workload)
    text = small_workload.read_text(encoding="utf-8").splitlines()[0]
    answers = [slimner.open_predictor(place)(text) for place in (artifact, str(artifact), packed, str(packed))]
    assert answers[0] == answers[1] == answers[2] == answers[3]


def test_what_is_neither_an_artifact_nor_a_bundle_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="not a finished artifact"):
        slimner.open_predictor(tmp_path)
    with pytest.raises(ArtifactError, match="no artifact at"):
        slimner.open_predictor(str(tmp_path / "nowhere"))


class Heard:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def phase(self, name: str, total: int) -> None:
        self.told.append(("phase", name, str(total)))

    def now(self, phase: str, what: str) -> None:
        self.told.append(("now", phase))

    def done(self, phase: str, what: str) -> None:
        self.told.append(("done", phase))

    def failed(self, phase: str, what: str, *, counts: bool = True) -> None:
        self.told.append(("failed", phase))

    def found(self, record: object) -> None:
        self.told.append(("found", type(record).__name__))

    def note(self, message: str) -> None:
        self.told.append(("note", message))


def test_a_gate_from_python_gives_the_record_that_the_command_writes(
    artifacts: dict[str, Path],
    tmp_path: Path,
    small_corpus: Path,
    small_workload: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIMNER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "policy.toml").write_text('[constraints]\nf1_max_drop = "100pp"\n[margins]\nsize = "10%"\n')
    heard = Heard()
    record = slimner.gate(
        artifacts["onnx-int8"],
        str(artifacts["fp32"]),
        policy=slimner.read_policy(tmp_path / "policy.toml"),
        corpus=small_corpus,
        workload=small_workload,
        settings=Measuring(samples=67, warmup=1),
        progress=heard,
    )
    assert (record.outcome, record.exit_code) == ("regression", 1)
    assert {check.name: check.outcome for check in record.checks}["size"] == "regression"
    assert record.comparisons[0].ended == "size is already a regression"
    assert ("phase", "evaluate", "2") in heard.told
    assert heard.told.count(("done", "evaluate")) == 2


def test_a_report_directory_and_its_results_file_are_the_same_to_pick(tmp_path: Path) -> None:
    from slimner.core.store import RESULTS, write_json

    from ..made import make

    write_json(tmp_path / RESULTS, make({"fp32": (360, 400, 8), "lean": (360, 70, 4)}))
    assert slimner.pick(tmp_path) == slimner.pick(tmp_path / RESULTS)
    assert slimner.pick(str(tmp_path)).winner == "lean"


def test_a_name_that_stands_for_nothing_is_refused_with_what_it_could_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a results file, an artifact, a bundle or a checkpoint"):
        slimner.compare(tmp_path / "nothing", tmp_path / "nothing")
