"""`slimner ledger` and `slimner load` as a user runs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import pytest
from slimner.bench.server import gunicorn, serving
from slimner.core.ledger_records import Ledger
from slimner.core.load_records import LoadReport

from ..conftest import Slimner


def test_a_ledger_tells_stages_and_dependencies_and_that_they_add_up(
    slimner: Slimner, artifacts: dict[str, Path], small_workload: Path
) -> None:
    done = slimner("ledger", artifacts["onnx-int8"], "--workload", small_workload, "--samples", "20")
    assert done.returncode == 0, done.stderr
    for words in ("Memory by stage", "import onnxruntime", "sum check", "Memory by dependency", "(interpreter)"):
        assert words in done.stdout
    assert "too much" not in done.stdout


def test_a_ledger_of_a_torch_artifact_names_what_inference_never_uses(
    slimner: Slimner, artifacts: dict[str, Path], small_workload: Path
) -> None:
    done = slimner("ledger", artifacts["fp32"], "--workload", small_workload, "--samples", "20", "--json")
    assert done.returncode == 0, done.stderr
    ledger = msgspec.json.decode(done.stdout, type=Ledger)
    assert ledger.imports is not None
    used = {d.name: d.used for d in ledger.imports.dependencies}
    assert used["torch"] is True
    assert used["sympy"] is False
    assert ledger.measurement is not None
    assert ledger.measurement.final is not None
    assert ledger.machine.cores >= 1


def test_any_python_program_has_a_ledger_of_its_imports(slimner: Slimner) -> None:
    done = slimner("ledger", "--imports", f"{sys.executable} -c 'import numpy; numpy.zeros(3).tolist()'")
    assert done.returncode == 0, done.stderr
    assert "numpy" in done.stdout
    assert "yes" in done.stdout


def test_a_requirements_list_has_one_too(slimner: Slimner, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy\nno-such-thing==1\n")
    done = slimner("ledger", "--requirements", "requirements.txt")
    assert done.returncode == 0, done.stderr
    assert "numpy" in done.stdout
    assert "no-such-thing" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give one of ARTIFACT, --imports and --requirements"),
        (("nowhere",), "nowhere"),
        (("--imports", "sleep 0"), "ran no Python"),
        (("--imports", "x", "--requirements", "y"), "give one of"),
        (("nowhere", "--limit", "12 apples"), "is not a size"),
    ],
)
def test_what_a_ledger_cannot_look_at_is_refused(slimner: Slimner, arguments: tuple[str, ...], said: str) -> None:
    done = slimner("ledger", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.alone
def test_a_server_is_loaded_and_its_answers_are_compared(
    slimner: Slimner, artifacts: dict[str, Path], small_workload: Path
) -> None:
    command, environment = gunicorn(artifacts["onnx-int8"], workers=2, preload=True, threads=1)
    with serving(command, environment, workers=2, timeout_s=60) as service:
        common = ("load", service.url, "--workload", small_workload, "--seconds", "2", "--json")
        right = slimner(*common, "--artifact", artifacts["onnx-int8"])
        wrong = slimner(*common, "--artifact", artifacts["fp32"], "--body", '{"text": {text}, "text": "x"}')
        open_loop = slimner(*common, "--rate", "20", "--arrivals", "constant")
    assert right.returncode == 0, right.stderr
    report = msgspec.json.decode(right.stdout, type=LoadReport)
    run = report.runs[0]
    assert (run.clients, run.wrong, run.errors) == (5, 0, {})
    assert run.answered > 10
    assert run.server is not None
    assert run.server.processes >= 3
    assert wrong.returncode == 4  # every text gets the answer to "x"
    assert any(note["code"] == "wrong-answers" for note in json.loads(wrong.stdout)["notes"])
    assert open_loop.returncode == 0, open_loop.stdout
    assert msgspec.json.decode(open_loop.stdout, type=LoadReport).runs[0].sent == 40


def test_an_artifact_is_loaded_in_process(slimner: Slimner, artifacts: dict[str, Path], small_workload: Path) -> None:
    done = slimner(
        *("load", artifacts["onnx-int8"], "--workload", small_workload, "--seconds", "1", "--clients", "2"),
    )
    assert done.returncode == 0, done.stderr
    assert "per s and GiB of memory" in done.stdout
    assert "compared with the offline predictor's" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("http://127.0.0.1:9/",), "start the server first"),
        (("nowhere",), "nowhere"),
        (("http://127.0.0.1:port/",), "is not a URL"),
        (("http:///v1/ner",), "is not a URL"),
        (("http://127.0.0.1:9/", "--header", "nothing"), "is not a header"),
        (("http://127.0.0.1:9/", "--body", "{}"), "has no {text}"),
        (("http://127.0.0.1:9/", "--rate", "3", "--until-p95", "10"), "exclude each other"),
    ],
)
def test_what_cannot_be_loaded_is_refused(slimner: Slimner, arguments: tuple[str, ...], said: str) -> None:
    done = slimner("load", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
