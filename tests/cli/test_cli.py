"""The command line, as a user meets it: real processes, real files, every exit code it can end with."""

from __future__ import annotations

import csv
import json
import os
import pty
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from slimner.core.locks import held_directory
from slimner.core.store import read_results

from ..conftest import Slimner, command, decided

NAMED = ("-c", "user.name=a", "-c", "user.email=a@b")
QUICK = ("--samples", "20", "--repetitions", "1", "--warmup", "2")


@pytest.fixture
def run(
    slimner: Slimner, artifacts: dict[str, Path], tiny_checkpoint: Path, small_corpus: Path, small_workload: Path
) -> list[str]:
    """Arguments of a short run of the tiny checkpoint, whose variants are built already."""
    assert all(artifacts[name].exists() for name in ("fp32", "onnx-fp32", "onnx-int8"))
    return [
        *(
            "run",
            "--tie-budget",
            "0",
            str(tiny_checkpoint),
            "--corpus",
            str(small_corpus),
            "--workload",
            str(small_workload),
        ),
        *("--variants", "fp32,onnx-int8", *QUICK),
    ]


@pytest.fixture
def lean_run(run: list[str]) -> list[str]:
    """The same without torch, which takes long to start."""
    return [*run, "--variants", "onnx-fp32,onnx-int8", "--baseline", "onnx-fp32"]


def test_a_run_ends_with_a_table_a_winner_a_reason_for_each_loser_and_a_report(
    slimner: Slimner, run: list[str], tmp_path: Path
) -> None:
    for arguments in (("init", "-q", "-b", "topic"), (*NAMED, "commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    done = slimner(*run)
    assert done.returncode == decided(tmp_path / "slimner-report"), done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "variant",
        "F1",
        "change",
        "size",
        "cold",
        "start",
        "memory",
        "peak",
        "p50",
        "p95",
        "qps",
    ]
    assert any("fp32" in line and "baseline" in line for line in lines)
    assert any(line.startswith("  winner  ") for line in lines)
    assert any(line.startswith("  not     ") for line in lines)
    assert "report  slimner-report/report.html" in done.stdout
    assert "measure 4/4" in done.stderr
    out = tmp_path / "slimner-report"
    results = read_results(out / "results.json")
    assert {record.variant for record in results.evaluations} == {"fp32", "onnx-int8"}
    assert [len(m.samples_ms) for m in results.measurements] == [20] * 4
    assert results.failures == ()
    assert results.commit is not None
    assert (results.commit.branch, results.commit.clean) == ("topic", True)
    assert not (out / ".unfinished").exists()
    with (out / "table.csv").open() as file:
        assert [row["variant"] for row in csv.DictReader(file)] == ["fp32", "onnx-int8"]
    decision = json.loads((out / "decision.json").read_text())
    if decision["winner"]:
        names = {d["name"] for d in json.loads((out / "dependencies.json").read_text())["dependencies"]}
        assert "tokenizers" in names
        assert "Memory by dependency" in (out / "report.md").read_text()
    assert len(decision["losers"]) == (1 if decision["winner"] else 2)


def test_an_interrupted_run_leaves_nothing_half_written_and_goes_on(
    lean_run: list[str], artifacts: dict[str, Path], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"  # of its own: in the one that is shared, other tests may be building
    for name in ("onnx-fp32", "onnx-int8"):
        shutil.copytree(artifacts[name], cache / "artifacts" / artifacts[name].name)
    environment = {**os.environ, "SLIMNER_CACHE": str(cache)}
    process = subprocess.Popen(
        command(*lean_run), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    seen: list[str] = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("measure 1/"):
            break
    else:
        pytest.fail("".join(seen))
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "nothing half-written" in rest
    out = tmp_path / "slimner-report"
    assert not (out / "results.json").exists()
    kept = sorted((out / ".unfinished").glob("step-*.json"))
    assert len(kept) >= 3
    for path in kept:
        json.loads(path.read_text())
    assert [path for path in (cache / "artifacts").iterdir() if path.name.startswith(".")] == []
    again = subprocess.run(
        command(*lean_run), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == decided(out), again.stderr
    results = read_results(out / "results.json")
    assert results.resumed
    assert len(results.measurements) == 4
    assert "--fresh" in again.stdout


def test_a_measured_process_killed_by_hand_is_a_failed_row_and_exit_code_4(
    lean_run: list[str], cache: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        command(*lean_run),
        cwd=tmp_path,
        env={**os.environ, "SLIMNER_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("evaluate 2/2"):
            break
    deadline = time.monotonic() + 30
    killed = False
    while not killed and time.monotonic() < deadline:
        for child in _children(process.pid):
            os.kill(child, signal.SIGKILL)
            killed = True
            break
    output, errors = process.communicate(timeout=120)
    assert killed
    assert process.returncode == 4, output + errors
    results = read_results(tmp_path / "slimner-report" / "results.json")
    assert [(f.variant, f.step, f.kind) for f in results.failures] == [("onnx-fp32", "measure", "killed")]
    assert "killed by SIGKILL" in output
    assert len([m for m in results.measurements if m.variant == "onnx-int8"]) == 2


def _children(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [
        int(child) for child in text.split() if b"slimner.core.child" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def test_progress_is_shown_on_a_terminal_beside_results_as_json(
    lean_run: list[str], cache: Path, tmp_path: Path
) -> None:
    master, slave = pty.openpty()
    with (tmp_path / "printed.json").open("wb") as printed:
        process = subprocess.Popen(
            command(*lean_run, "--json", "--out", "elsewhere"),
            cwd=tmp_path,
            env={**os.environ, "SLIMNER_CACHE": str(cache), "TERM": "xterm", "COLUMNS": "120"},
            stdout=printed,
            stderr=slave,
        )
    os.close(slave)
    screen = b""
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            break
        if not chunk:
            break
        screen += chunk
    os.close(master)
    assert process.wait(timeout=60) == decided(tmp_path / "elsewhere")
    text = screen.decode(errors="replace")
    for expected in ("build", "evaluate", "measure", "━", "4/4"):
        assert expected in text
    assert json.loads((tmp_path / "printed.json").read_text()) == json.loads(
        (tmp_path / "elsewhere" / "results.json").read_text()
    )


def test_building_scoring_and_measuring_one_artifact(
    slimner: Slimner, tiny_checkpoint: Path, small_corpus: Path, small_workload: Path, tmp_path: Path
) -> None:
    out = tmp_path / "artifact"
    built = slimner("build", tiny_checkpoint, "--variant", "onnx-int8", "--out", out)
    assert built.returncode == 0, built.stderr
    assert "parity" in built.stdout
    scored = slimner("eval", out, "--corpus", small_corpus)
    assert scored.returncode == 0, scored.stderr
    assert "all, strict" in scored.stdout
    measured = slimner("bench", out, "--workload", small_workload, *QUICK)
    assert measured.returncode == 0, measured.stderr
    assert "steady" in measured.stdout
    assert "p50" in measured.stdout
    again = slimner("build", tiny_checkpoint, "--variant", "onnx-int8", "--out", out)
    assert (again.returncode, "exists" in again.stderr) == (2, True)


def test_each_command_prints_json(
    slimner: Slimner, artifacts: dict[str, Path], small_corpus: Path, small_workload: Path
) -> None:
    scored = json.loads(slimner("eval", artifacts["onnx-fp32"], "--corpus", small_corpus, "--json").stdout)
    assert scored["strict"]["support"] > 0
    measured = json.loads(
        slimner("bench", artifacts["onnx-fp32"], "--workload", small_workload, *QUICK, "--json").stdout
    )
    processes = measured["measurements"]
    assert [len(record["samples_ms"]) for record in processes] == [20, 20]
    assert processes[0]["timeline"]
    assert not processes[1]["timeline"]
    assert processes[0]["machine"] == measured["machine"]
    assert {"samples", "one-process"} <= {note["code"] for note in measured["notes"]}
    assert all(note["remedy"] for note in measured["notes"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--variants", "onx-int8"], "did you mean 'onnx-int8'"),
        (["run", "--baseline", "fp23"], "did you mean 'fp32'"),
        (["run", "nowhere"], "no checkpoint 'nowhere'"),
        (["run", "--corpus", "nowhere.bio"], "no corpus 'nowhere.bio'"),
        (["run", "--workload", "nowhere.txt"], "nowhere.txt: no such file"),
        (["run", "--corpus", "bad.bio"], "bad.bio:2: one column"),
        (["run", "--corpus", "empty.bio"], "empty.bio: no sentences"),
        (["run", "--corpus", "types.bio"], "gold has company, which the model does not know"),
        (["run", "--threads", "0"], "Invalid value"),
        (["build", "--variant", "onx-int8", "--out", "x"], "did you mean 'onnx-int8'"),
        (["build", "bad.bio", "--variant", "fp32", "--out", "x"], "is a file"),
        (["eval", "nowhere"], "no artifact at nowhere"),
        (["bench", "."], "no manifest.json"),
        (["nonsense"], "No such command"),
    ],
)
def test_a_users_mistake_is_one_clear_line_and_exit_code_2(
    slimner: Slimner, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "bad.bio").write_text("王 B-PER\n芳\n", encoding="utf-8")
    (tmp_path / "empty.bio").write_text("")
    (tmp_path / "types.bio").write_text("王 B-company\n", encoding="utf-8")
    done = slimner(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "slimner-report").exists()


def test_debug_shows_the_traceback(slimner: Slimner) -> None:
    done = slimner("run", "nowhere", "--debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "no checkpoint 'nowhere'" in done.stderr


def test_a_corrupted_artifact_is_refused_with_its_file(
    slimner: Slimner, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(artifacts["onnx-fp32"], tmp_path / "copy"))
    data = copy / "model.onnx.data"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 255
    data.write_bytes(content)
    done = slimner("eval", copy)
    assert done.returncode == 2
    assert "model.onnx.data was changed after it was built" in done.stderr


def test_when_everything_fails_there_is_no_winner_and_exit_code_4(slimner: Slimner, run: list[str]) -> None:
    done = slimner(*run, "--timeout", "0.01", "--out", "failed")
    assert done.returncode == 4
    assert "winner  none" in done.stdout


def test_variants_are_listed_with_what_they_need(slimner: Slimner) -> None:
    listed = {entry["name"]: entry for entry in json.loads(slimner("variants", "--json").stdout)}
    assert listed["onnx-int8"]["backend"] == "onnxruntime"
    assert listed["onnx-int8"]["precision"] == "int8"
    assert "onnxruntime" in listed["onnx-int8"]["needs"]
    assert all(listed[name]["can_build"] and listed[name]["can_run"] for name in ("fp32", "dynamic-int8", "onnx-int8"))
    assert set(listed["openvino-int8"]["needs"]) > {"openvino", "nncf"}
    assert "dynamic-int8" in slimner("variants").stdout


def test_help_names_every_command_and_version_is_the_installed_one(slimner: Slimner) -> None:
    import importlib.metadata

    text = slimner("--help").stdout
    for name in ("run", "build", "eval", "bench", "variants", "Exit codes"):
        assert name in text
    assert importlib.metadata.version("slimner") in slimner("--version").stdout


def test_a_full_disk_is_a_failed_row_and_the_report_is_still_written(
    slimner: Slimner, run: list[str], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=48k none {disk} 2>{os.devnull}") != 0:
        pytest.skip("needs the right to mount a small disk")
    try:
        done = slimner(*run, environment={"SLIMNER_CACHE": str(disk)})
    finally:
        os.system(f"umount {disk}")
    assert done.returncode == 4
    assert "No space left on device" in done.stdout
    results = read_results(tmp_path / "slimner-report" / "results.json")
    assert {failure.variant for failure in results.failures} == {"fp32", "onnx-int8"}


def test_a_checkpoint_that_transformers_refuses_is_one_line_and_exit_code_2(
    slimner: Slimner, tiny_checkpoint: Path, small_corpus: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "hidden_act": "nobody"}))
    done = slimner("run", copy, "--corpus", small_corpus, "--variants", "fp32")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "transformers cannot load it" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_runs_do_not_write_one_report(slimner: Slimner, tmp_path: Path) -> None:
    with held_directory(tmp_path / "report"):
        second = slimner("run", "--out", "report")
    assert second.returncode == 2
    assert f"report is being written by another slimner (process {os.getpid()})" in second.stderr
