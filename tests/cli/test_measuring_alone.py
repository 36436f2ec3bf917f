"""Commands that measure wait for another slimner process on the machine, and say so."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from slimner.core.locks import TOGETHER, measuring_alone

from ..conftest import command


@pytest.mark.parametrize("verb", ["bench", "load", "ledger", "explain"])
def test_a_command_that_measures_waits_while_another_process_does(
    verb: str,
    artifacts: dict[str, Path],
    small_workload: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv(TOGETHER, raising=False)
    environment = {**os.environ, "SLIMNER_CACHE": str(cache), "TMPDIR": str(tmp_path)}
    with measuring_alone(pytest.fail):
        waiting = subprocess.Popen(
            command(verb, artifacts["onnx-int8"], "--workload", small_workload),
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert waiting.stderr is not None
            said = ""
            for line in waiting.stderr:
                said += line
                if "waits: another slimner" in line:
                    break
            assert f"(process {os.getpid()}) measures on this machine" in said
            assert waiting.poll() is None, "it did not wait"
        finally:
            waiting.kill()
            waiting.communicate()
