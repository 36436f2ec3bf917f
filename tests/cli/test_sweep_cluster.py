"""`slimner sweep --scheduler`: two kinds of machine by their CPU affinity, and a worker that is killed at work."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from slimner.core.errors import UserError
from slimner.core.store import RESULTS, read_results
from slimner.jobs import bundle, sweep
from slimner.jobs.fleet import SweepPlan
from slimner.jobs.fleet.carrying import try_on_worker
from slimner.jobs.fleet.cells import cells_of

distributed = pytest.importorskip("distributed")

CORES = sorted(os.sched_getaffinity(0))
pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="it takes two cores for two kinds of machine")


@contextlib.contextmanager
def started(*arguments: str, cores: list[int], environment: dict[str, str], directory: Path) -> Iterator[None]:
    """A Dask process on some cores only."""
    with (
        (directory / f"{len(list(directory.iterdir()))}.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            env={**os.environ, **environment},
            cwd=directory,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        ) as process,
    ):
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def worker(address: str, resources: str) -> tuple[str, ...]:
    return ("worker", address, "--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--resources", resources)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A scheduler; its address."""
    (tmp_path / "dask").mkdir()
    file = tmp_path / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    with started("scheduler", *options, cores=CORES, environment={}, directory=tmp_path / "dask"):
        deadline = time.monotonic() + 60
        while not file.is_file() or not file.read_text():
            assert time.monotonic() < deadline, "no scheduler"
            time.sleep(0.1)
        import json

        yield json.loads(file.read_text())["address"]


def test_each_kind_measures_each_cell_and_a_killed_worker_loses_nothing(
    address: str,
    cache: Path,
    tiny_checkpoint: Path,
    artifacts: dict[str, Path],
    small_corpus: Path,
    small_workload: Path,
    tmp_path: Path,
) -> None:
    assert artifacts["onnx-fp32"].is_dir()
    plan = SweepPlan(
        checkpoints=(str(tiny_checkpoint),),
        corpus=str(small_corpus),
        workloads=(str(small_workload),),
        variants=("onnx-fp32",),
        baseline="onnx-fp32",
        repetitions=2,
        samples=10,
        warmup=1,
        tie_budget_s=0,
        seed=77,
    )
    environment = {"SLIMNER_CACHE": str(cache)}
    killed: list[int] = []

    def kill() -> None:
        """Kill the worker that has all cores once it has measured a process and not yet all."""
        with distributed.Client(address, set_as_default=False) as client:
            while not killed:
                for journal in (cache / "sweeps").glob("*/.unfinished"):
                    if len(list(journal.glob("step-*.json"))) >= 2:
                        cores = client.run(lambda: len(os.sched_getaffinity(0)))
                        pids = client.run(os.getpid)
                        killed.append(next(pids[at] for at, count in cores.items() if count == len(CORES)))
                        os.kill(killed[0], signal.SIGKILL)
                        return
                time.sleep(0.05)

    place = tmp_path / "dask"
    with (
        started(*worker(address, "measure=1"), cores=CORES, environment=environment, directory=place),
        started(
            *worker(address, "measure=1"),
            "--memory-limit",
            "2GB",
            cores=CORES[:1],
            environment=environment,
            directory=place,
        ),
    ):
        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        found = sweep(plan, out=tmp_path / "swept", scheduler=address, workers=2)
        killer.join(10)
        assert killed
        assert [cell.failed for cell in found.cells] == ["", ""]
        assert len({cell.kind for cell in found.cells}) == 2
        assert sorted(cell.machine.cores for cell in found.cells) == [1, len(CORES)]
        for cell in found.cells:
            assert cell.directory
            results = read_results(tmp_path / "swept" / cell.directory / RESULTS)
            assert all(record.machine == results.machine == cell.machine for record in results.measurements)
            assert [record.repetition for record in results.measurements] == [0, 1, 2]
            assert results.resumed == (cell.machine.cores == len(CORES)), "the killed one goes on where it stopped"
        (verdict,) = found.verdicts
        assert len(verdict.choices) == 2
        assert verdict.serves_all == "onnx-fp32"
        (carried,) = verdict.carried
        assert {carried.built_on, carried.kind} == {cell.kind for cell in found.cells}
        assert carried.built_on == verdict.built_on != carried.kind
        assert (carried.serves, carried.differing) == (True, 0), carried.because
        assert carried.golden > 0
        home = next(cell.directory for cell in found.cells if cell.kind == carried.built_on)
        (scored,) = read_results(tmp_path / "swept" / str(home) / RESULTS).evaluations
        assert carried.f1 == pytest.approx(scored.strict.f1)
    again = sweep(plan, out=tmp_path / "swept", scheduler=None)  # the one with all cores is this machine
    assert [cell.failed for cell in again.cells] == [""]
    assert again.cells[0].directory in {cell.directory for cell in found.cells}


def test_a_bundle_that_was_damaged_on_the_way_is_no_trial(
    cache: Path,
    tiny_checkpoint: Path,
    artifacts: dict[str, Path],
    small_corpus: Path,
    small_workload: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIMNER_CACHE", str(cache))
    packed = tmp_path / "bundle"
    bundle(artifacts["onnx-fp32"], packed, workload=small_workload)
    files = {str(path.relative_to(packed)): path.read_bytes() for path in packed.rglob("*") if path.is_file()}
    plan = SweepPlan(checkpoints=(str(tiny_checkpoint),), corpus=str(small_corpus), workloads=(str(small_workload),))
    (cell,) = cells_of(plan)
    whole = try_on_worker(cell, files)
    assert (whole.failed, whole.differing) == ("", 0)
    assert whole.golden > 0
    assert whole.evaluation is not None
    damaged = try_on_worker(cell, files | {"golden.json": files["golden.json"].replace(b"0", b"1")})
    assert "golden.json" in damaged.failed
    assert damaged.evaluation is None


def test_a_worker_that_would_measure_several_at_a_time_is_refused(address: str, tmp_path: Path) -> None:
    with (
        started(*worker(address, "other=1"), cores=CORES, environment={}, directory=tmp_path / "dask"),
        pytest.raises(UserError, match="was started without --resources measure=1"),
    ):
        sweep(SweepPlan(), out=tmp_path / "swept", scheduler=address)
    assert not (tmp_path / "swept").exists()
