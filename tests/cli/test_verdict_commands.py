"""compare, diff, pick, gate, baseline and calibrate as a user runs them: every exit code by a real command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from slimner.core.gate_records import Calibration, GateRecord
from slimner.core.records import Failure, Results
from slimner.core.store import read_results, write_json
from slimner.core.verdicts import Comparison
from slimner.eval import Differences

from ..conftest import Slimner, command, decided
from ..made import make

BASE = make({"fp32": (380, 400, 8), "lean": (380, 70, 4)})


def saved(path: Path, results: Results) -> Path:
    write_json(path, results)
    return path


def failed() -> Results:
    failure = Failure(variant="lean", step="measure", kind="timed-out", reason="still running")
    return make({"fp32": (380, 400, 8)}, failures=(failure,), broken=("lean",))


POLICY = """
[constraints]
f1_max_drop = "0.5pp"
[margins]
pss = "3%"
size = "1%"
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


@pytest.mark.parametrize(
    ("candidate", "code", "outcome"),
    [
        (BASE, 0, "pass"),
        (make({"fp32": (380, 400, 8), "lean": (330, 70, 4)}), 1, "regression"),
        (make({"fp32": (380, 400, 8), "lean": (380, 90, 4)}), 1, "regression"),
        (make({"fp32": (380, 400, 8), "lean": (378, 70, 4)}), 3, "inconclusive"),
        (failed(), 4, "failed"),
        (make({"fp32": (380, 400, 8)}), 4, "failed"),
        (msgspec.structs.replace(BASE, evaluations=(), measurements=(), builds=()), 4, "failed"),
    ],
)
def test_a_gate_over_recorded_results_ends_with_each_exit_code(
    slimner: Slimner, tmp_path: Path, policy: Path, candidate: Results, code: int, outcome: str
) -> None:
    old, new = saved(tmp_path / "old.json", BASE), saved(tmp_path / "new.json", candidate)
    done = slimner(
        *("gate", "--baseline", old, "--candidate", new, "--policy", policy),
        *("--junit", "gate.xml", "--out", "gate.json", "--comment", "comment.md", "--github"),
        environment={name: str(tmp_path / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")},
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert f"\n{outcome}\n" in done.stdout
    record = msgspec.json.decode((tmp_path / "gate.json").read_bytes(), type=GateRecord)
    assert (record.outcome, record.exit_code) == (outcome, code)
    suite = ElementTree.parse(tmp_path / "gate.xml").find("testsuite")
    assert suite is not None
    assert (suite.get("failures") != "0") == (outcome == "regression")
    assert (suite.get("errors") != "0") == (outcome in ("failed", "inconclusive"))
    assert ("::error " in done.stdout) == (outcome in ("regression", "failed"))
    told = (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    assert told.startswith(f"## slimner gate: {outcome}")
    mark, _, rest = (tmp_path / "comment.md").read_text().partition("\n")
    assert (mark, rest) == (f"<!-- slimner gate: {outcome}, {significance(outcome)} -->", told)
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"outcome={outcome}\nexit-code={code}\n"


def significance(outcome: str) -> str:
    return "significant" if outcome in ("regression", "failed") else "not significant"


def test_files_that_cannot_be_written_do_not_lose_the_verdict(slimner: Slimner, tmp_path: Path, policy: Path) -> None:
    old = saved(tmp_path / "old.json", BASE)
    new = saved(tmp_path / "new.json", make({"fp32": (380, 400, 8), "lean": (330, 70, 4)}))
    nowhere = "/proc/nowhere"  # not even root writes there
    done = slimner(
        *("gate", "--baseline", old, "--candidate", new, "--policy", policy, "--github"),
        *("--junit", f"{nowhere}/a", "--out", f"{nowhere}/b", "--comment", f"{nowhere}/c"),
        environment={"GITHUB_STEP_SUMMARY": f"{nowhere}/d", "GITHUB_OUTPUT": f"{nowhere}/e"},
    )
    assert done.returncode == 1, done.stderr
    assert "\nregression\n" in done.stdout
    assert done.stderr.count("could not be written") == 5
    assert "the verdict stands" in done.stderr


def test_the_verdict_is_printed_before_a_file_is_written(slimner: Slimner, tmp_path: Path, policy: Path) -> None:
    old = saved(tmp_path / "old.json", BASE)
    pipe = tmp_path / "summary"
    os.mkfifo(pipe)  # whoever opens it to write waits for a reader
    process = subprocess.Popen(
        command("gate", "--baseline", old, "--candidate", old, "--policy", policy, "--github"),
        cwd=tmp_path,
        env={**os.environ, "GITHUB_STEP_SUMMARY": str(pipe)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert any(line == "pass\n" for line in iter(process.stdout.readline, ""))
    assert process.poll() is None
    assert pipe.read_text().startswith("## slimner gate: pass")
    assert process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--baseline", "none.json", "--candidate", "old.json"), "none.json: no such file"),
        (("--baseline", "old.json", "--candidate", "old.json", "--policy", "none.toml"), "none.toml: no such file"),
        (
            ("--baseline", "old.json", "--candidate", "nothing-there"),
            "is not a results file, an artifact, a bundle or a checkpoint",
        ),
        (("--baseline", "old.json", "--candidate", "old.json", "--variant", "lone"), "it has fp32, lean"),
        (("--baseline", "old.json", "--candidate", "old.json", "--budget", "5"), "is not a time; write it as 300s"),
        (("--baseline", "cut.json", "--candidate", "old.json"), "cut.json"),
    ],
)
def test_a_gate_that_was_asked_wrongly_is_neither_a_pass_nor_a_regression(
    slimner: Slimner, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    old = saved(tmp_path / "old.json", BASE)
    (tmp_path / "cut.json").write_bytes(old.read_bytes()[:5000])
    done = slimner("gate", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_baseline_of_another_machine_judges_what_travels_and_names_what_does_not(
    slimner: Slimner, tmp_path: Path
) -> None:
    elsewhere = msgspec.structs.replace(BASE, machine=msgspec.structs.replace(BASE.machine, cpu="another"))
    old, new = saved(tmp_path / "old.json", BASE), saved(tmp_path / "new.json", elsewhere)
    done = slimner("gate", "--baseline", old, "--candidate", new, "--variant", "lean")
    assert done.returncode == 0, done.stdout
    assert "not comparable: machine.cpu" in done.stdout


def test_compare_says_for_each_metric_what_became_of_it(slimner: Slimner, tmp_path: Path) -> None:
    worse = make({"fp32": (380, 400, 8), "lean": (380, 90, 4)})
    old, new = saved(tmp_path / "old.json", BASE), saved(tmp_path / "new.json", worse)
    done = slimner("compare", old, new, "--variant", "lean")
    assert done.returncode == 1, done.stderr
    memory = next(line for line in done.stdout.splitlines() if line.startswith("memory"))
    assert memory.split()[-1] == "worse"
    assert "+28.6 %" in memory
    back = slimner("compare", new, old, "--variant", "lean", "--json")
    (comparison,) = msgspec.json.decode(back.stdout, type=list[Comparison])
    assert comparison.of("memory").verdict == "better"


def test_compare_finds_the_same_in_a_copy_or_cannot_tell_in_a_short_time(
    slimner: Slimner, artifacts: dict[str, Path], small_corpus: Path, small_workload: Path, tmp_path: Path
) -> None:
    shutil.copytree(artifacts["onnx-int8"], tmp_path / "copy")
    policy = '[constraints]\nf1_max_drop = "1pp"\n[margins]\nmemory = "50%"\np50 = "300%"\n'
    (tmp_path / "policy.toml").write_text(policy)
    done = slimner(
        *("compare", artifacts["onnx-int8"], tmp_path / "copy", "--corpus", small_corpus, "--workload", small_workload),
        *("--policy", "policy.toml", "--warmup", "2", "--budget", "90s"),
    )
    assert done.returncode == (3 if "inconclusive" in done.stdout else 0), done.stdout + done.stderr
    if done.returncode == 3:
        assert "disturbed" in done.stdout or "budget" in done.stdout
    else:
        assert "pairs of fresh processes" in done.stdout
        assert "10 pairs" in done.stdout


def test_a_gate_in_pairs_stops_at_once_when_f1_is_lost(
    slimner: Slimner, artifacts: dict[str, Path], embedded_int8: Path, small_workload: Path
) -> None:
    done = slimner(
        *("gate", "--baseline", embedded_int8, "--candidate", artifacts["onnx-int8"], "--workload", small_workload),
        *("--corpus", "news-zh"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "onnx-int8 F1" in done.stdout
    assert "pairs: none, F1 is already a regression" in done.stdout


def test_an_artifact_can_be_held_against_committed_results(
    slimner: Slimner,
    tiny_checkpoint: Path,
    artifacts: dict[str, Path],
    small_corpus: Path,
    small_workload: Path,
    tmp_path: Path,
) -> None:
    texts = ("--corpus", small_corpus, "--workload", small_workload)
    quick = ("--variants", "onnx-fp32,onnx-int8", "--baseline", "onnx-fp32", "--repetitions", "1", "--samples", "20")
    fastest = tmp_path / "fastest.toml"
    fastest.write_text('objective = "p50"\n[constraints]\nf1_max_drop = "100pp"\n')
    ran = slimner("run", tiny_checkpoint, *texts, *quick, "--policy", fastest, "--tie-budget", "9")
    assert ran.returncode == decided(tmp_path / "slimner-report"), ran.stderr
    timed = [m.variant for m in read_results(tmp_path / "slimner-report" / "results.json").measurements if m.timed]
    assert timed.count("onnx-fp32") == timed.count("onnx-int8") > 1  # one process each leaves it open who wins
    kept = slimner("baseline", "update", "baseline.json", "slimner-report/results.json", "--variant", "onnx-int8")
    assert kept.returncode == 0, kept.stderr
    done = slimner("gate", "--baseline", "baseline.json", "--candidate", artifacts["onnx-int8"], *texts)
    checks = {line.split()[1]: line.split()[2] for line in done.stdout.splitlines() if line.startswith("  onnx-int8 ")}
    told = "inconclusive" not in checks.values()  # one process a side says little
    assert done.returncode == (0 if told else 3), done.stdout + done.stderr
    assert checks["F1"] == "pass"
    assert checks["size"] == "pass"
    other = slimner("gate", "--baseline", "baseline.json", "--candidate", artifacts["onnx-fp32"], *texts)
    assert other.returncode == 4
    assert "the results have no onnx-fp32" in other.stdout


def test_a_baseline_is_replaced_with_a_word_on_what_changed(slimner: Slimner, tmp_path: Path) -> None:
    new = make({"fp32": (380, 400, 8), "lean": (382, 90, 4)})
    saved(tmp_path / "new.json", new)
    saved(tmp_path / "old.json", BASE)
    first = slimner("baseline", "update", "kept.json", "old.json")
    assert first.returncode == 0, first.stderr
    done = slimner("baseline", "update", "kept.json", "new.json", "--variant", "lean")
    assert done.returncode == 0, done.stderr
    assert "+28.6 %" in done.stdout
    assert "gone     fp32" in done.stdout
    assert slimner("gate", "--baseline", "kept.json", "--candidate", "new.json").returncode == 0


def test_failed_results_never_become_a_baseline(slimner: Slimner, tmp_path: Path) -> None:
    saved(tmp_path / "new.json", failed())
    done = slimner("baseline", "update", "kept.json", "new.json")
    assert done.returncode == 2
    assert "lean failed" in done.stderr
    assert not (tmp_path / "kept.json").exists()


def test_pick_explains_itself_and_names_the_closest_when_nothing_fits(slimner: Slimner, tmp_path: Path) -> None:
    saved(tmp_path / "results.json", BASE)
    (tmp_path / "policy.toml").write_text('objective = "p50"\n[constraints]\nmemory_max = "66MB"\n')
    done = slimner("pick", "results.json")
    assert done.returncode == 0, done.stderr
    assert "winner  lean because memory -82 %" in done.stdout
    none = slimner("pick", "results.json", "--policy", "policy.toml")
    assert none.returncode == 1
    assert "winner  none" in none.stdout
    assert "closest is lean" in none.stdout
    assert "near    lean would pass with memory_max = 70 MB" in none.stdout
    assert json.loads(slimner("pick", "results.json", "--json").stdout)["front"] == ["lean"]


def test_pick_and_a_recorded_gate_import_nothing_of_the_laboratory(slimner: Slimner, tmp_path: Path) -> None:
    saved(tmp_path / "results.json", BASE)
    program = (
        "import sys\nfrom slimner.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'scipy', 'seqeval', 'matplotlib', 'onnxruntime'} & set(sys.modules)\n"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    gate = ("gate", "--baseline", "results.json", "--candidate", "results.json")
    for arguments in (("pick", "results.json"), gate):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_diff_lists_entities_with_their_sentences(
    slimner: Slimner, artifacts: dict[str, Path], embedded_int8: Path, small_corpus: Path
) -> None:
    done = slimner("diff", embedded_int8, artifacts["onnx-int8"], "--corpus", small_corpus, "--most", "3")
    assert done.returncode == 0, done.stderr
    assert "lost" in done.stdout
    assert "--most 0 prints all" in done.stdout
    result = msgspec.json.decode(
        slimner("diff", embedded_int8, artifacts["onnx-int8"], "--corpus", small_corpus, "--json").stdout,
        type=Differences,
    )
    assert result.sentences == 12
    assert all(d.text for d in result.differences)
    same = slimner("diff", embedded_int8, embedded_int8, "--corpus", small_corpus)
    assert "finds what" in same.stdout


@pytest.mark.alone
def test_calibration_is_kept_and_told_by_a_gate_whose_margins_it_does_not_widen(
    slimner: Slimner, artifacts: dict[str, Path], small_workload: Path, small_corpus: Path, tmp_path: Path
) -> None:
    environment = {"SLIMNER_CACHE": str(tmp_path / "cache")}
    short = ("--workload", small_workload, "--warmup", "2", "--pairs", "20")
    done = slimner("calibrate", artifacts["onnx-int8"], *short, environment=environment, timeout=600)
    if done.returncode == 4:  # the machine was too busy for twenty quiet pairs: then it says so
        assert "calibrate when the machine is quiet" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    (stored,) = (tmp_path / "cache" / "calibration").glob("*.json")
    calibration = msgspec.json.decode(stored.read_bytes(), type=Calibration)
    assert calibration.pairs == 20
    assert {metric.metric for metric in calibration.metrics} == {"memory", "growth", "p50", "p95", "tail"}
    saved(tmp_path / "old.json", BASE)
    gate = slimner("gate", "--baseline", "old.json", "--candidate", "old.json", environment=environment)
    assert "p50 5.0 % (built-in)" in gate.stdout
    assert "false alarms in 1000 resampled gates" in gate.stdout
