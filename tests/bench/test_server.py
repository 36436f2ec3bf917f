"""Real Gunicorn servers: master and workers, preload, minimum memory."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest
from slimner.bench import ledger as accounts
from slimner.bench.limits import RESOLUTION_BYTES
from slimner.bench.server import family, gunicorn, serving
from slimner.core.errors import ChildError
from slimner.core.ledger_records import ServerPoint
from slimner.core.records import Measuring
from slimner.reports.content import Points
from slimner.reports.ledger import fit, server
from slimner.variants import open_predictor

SETTINGS = Measuring(threads=1, samples=20, warmup=2, timeout_s=120, seed=1)


@pytest.fixture(scope="module")
def points(artifacts: dict[str, Path], small_workload: Path) -> list[ServerPoint]:
    return list(
        accounts.server_points(
            artifacts["onnx-int8"],
            str(small_workload),
            SETTINGS,
            most_workers=2,
            seconds=1.0,
            on_progress=lambda what: None,
        )
    )


def test_every_number_of_workers_is_measured_with_preload_and_without(points: list[ServerPoint]) -> None:
    assert [(p.workers, p.preload) for p in points] == [(1, True), (1, False), (2, True), (2, False)]
    for point in points:
        assert point.before.processes == point.workers + 1
        assert point.errors == point.wrong == 0
        assert point.requests >= 2 * point.workers * 10
        assert point.per_s > 0
        assert point.before.pss_bytes < point.before.rss_bytes


def test_preload_shares_what_workers_would_each_load(points: list[ServerPoint]) -> None:
    _, _, shared, separate = points
    assert shared.before.pss_bytes < separate.before.pss_bytes
    assert shared.before.own_bytes < separate.before.own_bytes


def test_the_curve_tells_how_many_workers_fit(points: list[ServerPoint]) -> None:
    line = fit([p for p in points if not p.preload])
    assert line is not None
    base, each = line
    assert each > 5_000_000
    section = server(points, int(base + 3.5 * each))
    remarks = [said for part in section.parts if isinstance(part, Points) for _, said in part.items]
    assert any(remark.startswith("without preload") and "3 worker(s) fit" in remark for remark in remarks)


def test_a_served_answer_is_the_predictors_and_a_bad_request_is_told_so(artifacts: dict[str, Path]) -> None:
    artifact = artifacts["onnx-int8"]
    command, environment = gunicorn(artifact, workers=1, preload=True, threads=1)
    text = "外交部发言人说，法国总统马克龙将于下周访问上海。"
    with serving(command, environment, workers=1, timeout_s=60) as service:
        assert len(family(service.process)) >= 2

        def post(body: bytes) -> bytes:
            with urllib.request.urlopen(
                urllib.request.Request(service.url, body, {"Content-Type": "application/json"}), timeout=30
            ) as answer:
                return bytes(answer.read())

        expected = open_predictor(artifact)(text)
        assert json.loads(post(json.dumps({"text": text}).encode()))["entities"] == msgspec.to_builtins(expected)
        for body in (b"", b"{", b'{"text": 3}', b"\xff"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                post(body)
            assert caught.value.code == 400
            assert "send" in json.loads(caught.value.read())["remedy"]
        process = service.process
    assert family(process) == []


def test_a_server_that_cannot_start_says_what_it_wrote(tmp_path: Path) -> None:
    command, environment = gunicorn(tmp_path, workers=1, preload=True, threads=1)
    with pytest.raises(ChildError) as caught, serving(command, environment, workers=1, timeout_s=60):
        pass
    assert "did not start" in caught.value.message
    assert str(tmp_path) in caught.value.stderr_tail


def test_the_least_memory_of_artifact_and_server_is_found_by_running_them(
    artifacts: dict[str, Path], small_workload: Path, points: list[ServerPoint]
) -> None:
    artifact = artifacts["onnx-int8"]
    measured = accounts.stages(artifact, str(small_workload), SETTINGS)
    alone = accounts.artifact_minimum(
        artifact, str(small_workload), SETTINGS, measured=measured, on_trial=lambda trial: None
    )
    assert alone.bytes is not None
    assert alone.confirmed == 2
    assert 3 * RESOLUTION_BYTES < alone.bytes < 2 * measured.stages[-1].hwm_bytes
    assert any(not trial.passed for trial in alone.trials)
