"""`--scheduler`: workers or the scheduler of a Dask cluster are killed, and the results are those of one machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slimner as library
from slimner.core.errors import ChildError, UserError

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
LINES = 4000
SCHEDULER = """
import distributed, time
if __name__ == "__main__":
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        time.sleep(600)
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    lines = [f"第{i}次会议今天在上海举行，李雷和韩梅梅出席。".encode() for i in range(LINES)]
    lines[7] = b"\xff"
    path.write_bytes(b"\n".join(lines))
    return path


@pytest.fixture(scope="module")
def local(texts: Path, artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("local") / "found.jsonl"
    library.predict_file(artifacts["onnx-int8"], texts, out)
    return out


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A scheduler and two workers with their nannies, each a process of its own."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as started:
        yield started


def same(out: Path, local: Path) -> bool:
    return all(
        out.with_name(f"{out.name}{end}").read_bytes() == local.with_name(f"{local.name}{end}").read_bytes()
        for end in ("", ".errors")
    )


def test_a_killed_worker_loses_nothing_and_doubles_nothing(
    texts: Path, local: Path, artifacts: dict[str, Path], cluster: Any, tmp_path: Path
) -> None:
    killed = []

    def kill(seen: library.Predicted) -> None:
        if seen.texts > LINES // 4 and not killed:
            killed.append(cluster.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    done = library.predict_file(
        artifacts["onnx-int8"],
        texts,
        tmp_path / "found.jsonl",
        scheduler=cluster.scheduler_address,
        workers=2,
        on_done=kill,
    )
    assert killed
    assert (done.texts, done.set_aside) == (LINES - 1, 1)
    assert same(tmp_path / "found.jsonl", local)
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        held = client.run(lambda dask_worker: [name for name in dask_worker.plugins if "slimner" in name])
    assert not any(held.values()), "workers keep the model"


def test_when_the_scheduler_is_gone_the_work_goes_on_elsewhere(
    texts: Path, local: Path, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "found.jsonl"
    with subprocess.Popen([sys.executable, "-c", SCHEDULER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()

        def kill(seen: library.Predicted) -> None:
            if seen.texts > LINES // 4:
                process.kill()

        with (
            dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
            pytest.raises(ChildError, match="the scheduler is gone"),
        ):
            library.predict_file(artifacts["onnx-int8"], texts, out, scheduler=address, on_done=kill)
    assert not out.exists()
    done = library.predict_file(artifacts["onnx-int8"], texts, out)
    assert done.resumed > LINES // 4
    assert same(out, local)


def test_a_scheduler_that_is_not_there_is_named(artifacts: dict[str, Path], texts: Path, tmp_path: Path) -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(UserError, match="no scheduler answers at tcp"),
    ):
        library.predict_file(artifacts["onnx-int8"], texts, tmp_path / "x.jsonl", scheduler="tcp://127.0.0.1:9")
