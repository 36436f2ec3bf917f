"""Locks between processes: who holds something is named, and a lock ends with its holder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from slimner.core.errors import UserError
from slimner.core.locks import TOGETHER, held_directory, measuring_alone

HOLD = """
import sys, time
from pathlib import Path
from slimner.core.locks import held_directory, measuring_alone
with {what}:
    print("held", flush=True)
    time.sleep(600)
"""


def holding(what: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(what=what)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_directory_has_one_holder_who_is_named_and_gone_with_its_process(tmp_path: Path) -> None:
    report = tmp_path / "report"
    with holding(f"held_directory(Path({str(report)!r}))", {}) as process:
        with pytest.raises(UserError, match=rf"another slimner \(process {process.pid}\)"), held_directory(report):
            pass
        process.kill()
        process.wait()
        with held_directory(report):
            assert (report / ".lock").exists()
    assert list(report.iterdir()) == []


def test_a_measurement_waits_for_another_process_and_says_for_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv(TOGETHER, raising=False)
    told: list[str] = []
    with holding("measuring_alone(print)", {TOGETHER: "", "TMPDIR": str(tmp_path)}) as process:
        subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {process.pid}"])
        begun = time.monotonic()
        with measuring_alone(told.append):
            assert time.monotonic() - begun > 0.1
    assert told == [f"waits: another slimner (process {process.pid}) measures on this machine"]
    with measuring_alone(told.append):
        pass
    assert len(told) == 1


def test_measurements_that_may_run_together_do_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv(TOGETHER, "1")
    with measuring_alone(pytest.fail):
        assert list(tmp_path.iterdir()) == []
