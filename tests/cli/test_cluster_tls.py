"""`--scheduler tls://...`: a scheduler and a worker that speak to holders of a certificate only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import slimner as library
from slimner.core.errors import UserError
from slimner.jobs import sweep
from slimner.jobs.fleet import SweepPlan

dask = pytest.importorskip("dask")
pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")

START_S = 120.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Configuration of Dask with one certificate for all, signed by itself."""
    place = tmp_path_factory.mktemp("tls")
    cert, key = place / "cert.pem", place / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=dask-internal -batch"
    subprocess.run([*command.split(), "-keyout", key, "-out", cert], check=True, capture_output=True)
    roles = [f"{role}.{part}" for role in ("scheduler", "worker", "client") for part in ("cert", "key")]
    found = {f"distributed.comm.tls.{name}": str(cert if name.endswith("cert") else key) for name in roles}
    return found | {"distributed.comm.tls.ca-file": str(cert)}


@pytest.fixture(scope="module")
def address(certificates: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler with one worker, both told of the certificates by environment variables; its address."""
    place = tmp_path_factory.mktemp("dask")
    file = place / "scheduler.json"
    named = {f"DASK_{key.replace('.', '__').replace('-', '_').upper()}": value for key, value in certificates.items()}
    environment = {**os.environ, **named, "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true"}

    def started(role: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{role}", *arguments, "--no-dashboard"]
        with (place / f"{role}.log").open("wb") as log:
            return subprocess.Popen(command, env=environment, cwd=place, stdout=log, stderr=log)

    listening = ("--host", "127.0.0.1", "--port", "0", "--protocol", "tls", "--scheduler-file", str(file))
    processes = [started("scheduler", *listening)]
    try:
        deadline = time.monotonic() + START_S
        while not file.is_file() or not file.read_text():
            assert time.monotonic() < deadline, (place / "scheduler.log").read_text()
            time.sleep(0.1)
        found = json.loads(file.read_text())["address"]
        processes.append(started("worker", found, "--nworkers", "1", "--nthreads", "1", "--no-nanny"))
        yield found
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def test_answers_over_tls_are_those_of_this_machine(
    address: str, certificates: dict[str, str], artifacts: dict[str, Path], small_workload: Path, tmp_path: Path
) -> None:
    assert address.startswith("tls://")
    local, out = tmp_path / "local.jsonl", tmp_path / "found.jsonl"
    library.predict_file(artifacts["onnx-int8"], small_workload, local, workers=1)
    with dask.config.set(certificates):
        done = library.predict_file(artifacts["onnx-int8"], small_workload, out, scheduler=address)
    assert done.texts > 0
    assert out.read_bytes() == local.read_bytes()


def test_a_sweep_reaches_its_workers_over_tls(address: str, certificates: dict[str, str], tmp_path: Path) -> None:
    with (
        dask.config.set(certificates),
        pytest.raises(UserError, match=r"the worker tls://.* was started without --resources measure=1"),
    ):
        sweep(SweepPlan(), out=tmp_path / "swept", scheduler=address)


def test_who_has_no_certificate_or_an_unreadable_one_is_told_so(
    artifacts: dict[str, Path], small_workload: Path, tmp_path: Path
) -> None:
    def ask() -> str:
        with pytest.raises(UserError) as refused:
            library.predict_file(artifacts["onnx-int8"], small_workload, tmp_path / "x", scheduler="tls://127.0.0.1:9")
        assert "docs/guide/cluster.md" in refused.value.remedy
        return refused.value.message

    assert "needs certificates" in ask()
    names = ("ca-file", "client.cert", "client.key")
    with dask.config.set({f"distributed.comm.tls.{name}": str(tmp_path / "nowhere.pem") for name in names}):
        assert "cannot be read" in ask()
