"""`slimner plan`: from results, a sweep and load reports to numbers of machines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from slimner.core.errors import UserError
from slimner.core.ledger_records import Processes
from slimner.core.load_records import LoadRecord, LoadReport
from slimner.core.machine import describe
from slimner.core.store import write_json
from slimner.jobs import plan
from slimner.jobs.planning import source_of_load
from slimner.reports import Policy
from slimner.reports.fleet import CellResult, Judge, Sweep, kind_of, verdicts

from ..conftest import Slimner
from ..made import make
from ..schemas import check

FOUR = msgspec.structs.replace(describe(), cores=4, cpu_quota_cores=None)
RESULTS = msgspec.structs.replace(make({"fp32": (380, 400, 8), "lean": (380, 70, 4)}), machine=FOUR)


def loop(**changes: Any) -> LoadRecord:
    """Four clients on four cores, 10 ms or so each: 400 a second."""
    latencies = np.random.default_rng(1).gamma(9, 10 / 9, 4000)
    fields: dict[str, Any] = {
        "target": "http://127.0.0.1:1/",
        "machine": FOUR,
        "clients": 4,
        "seconds": 10.0,
        "sent": 4000,
        "answered": 4000,
        "errors": {},
        "wrong": 0,
        "latencies_ms": tuple(map(float, latencies)),
        "late_share": 0.0,
        "lag_p99_ms": None,
        "generator_cores": 0.1,
        "server": Processes(processes=3, pss_bytes=10**9, rss_bytes=10**9, master_pss_bytes=1, own_bytes=1),
    }
    return LoadRecord(**(fields | changes))


def opened(rate: float) -> LoadRecord:
    return loop(clients=None, rate_per_s=rate, arrivals="poisson")


def loaded(path: Path, **changes: Any) -> Path:
    fields: dict[str, Any] = {"target": "t", "machine": FOUR, "checked": "c", "runs": (loop(),)}
    write_json(path, LoadReport(**(fields | changes)))
    return path


def test_results_give_a_worker_a_core_and_the_winner(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", RESULTS)
    (one,) = plan([tmp_path], rate=1000, p95_ms=60, prices=[0.5]).machines
    assert (one.variant, one.workers, one.basis) == ("lean", 4, "model")
    assert one.memory_bytes == 4 * 70_000_000
    # five clients got 100 answers a second where one alone takes 4 ms: four at once take 40 ms each
    assert 0 < one.rate_per_s < 100
    assert one.machines == math.ceil(1000 / one.rate_per_s)
    assert one.rate_low is not None
    assert one.rate_high is not None
    assert one.rate_low < one.rate_per_s < one.rate_high
    assert one.machines_low is not None
    assert one.machines_high is not None
    assert one.machines is not None
    assert one.machines_low <= one.machines <= one.machines_high
    assert one.p95_ms is not None
    assert one.p95_ms <= 60
    assert one.cost_per_million == pytest.approx(one.machines * 0.5 / 3.6)
    (base,) = plan([tmp_path], rate=1000, p95_ms=60, variant="fp32").machines
    assert base.memory_bytes == 4 * 400_000_000


def test_a_searched_peak_within_the_limit_is_taken_as_measured(tmp_path: Path) -> None:
    peak = opened(100.0)
    path = loaded(tmp_path / "l.json", runs=(loop(), opened(125.0), peak), limit_p95_ms=50.0, peak=peak)
    (one,) = plan([path], rate=310, p95_ms=50).machines
    assert (one.basis, one.machines, one.machines_low, one.machines_high) == ("measured", 4, 3, 4)
    assert (one.workers, one.memory_bytes) == (2, 10**9)
    (looser,) = plan([path], rate=310, p95_ms=80).machines
    assert looser.basis == "model"
    assert 200 < looser.rate_per_s < 400


def simulated(rate: float, workers: int, mean_ms: float, count: int = 20_000) -> tuple[float, ...]:
    """Latencies in ms of random arrivals at workers with a queue each."""
    random = np.random.default_rng(3)
    arrivals = np.cumsum(random.exponential(1e3 / rate, count))
    free, taken = [0.0] * workers, []
    services = random.gamma(9, mean_ms / 9, count)
    for at, worker, needs in zip(arrivals, random.integers(0, workers, count), services, strict=True):
        free[worker] = max(at, free[worker]) + needs
        taken.append(float(free[worker] - at))
    return tuple(taken)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_the_plan_of_a_server_slower_under_random_arrivals_is_near_once_an_open_loop_was_measured(share: float) -> None:
    closed = loop(clients=2, latencies_ms=tuple(map(float, np.random.default_rng(1).gamma(9, 10 / 9, 2000))))
    closed = msgspec.structs.replace(closed, answered=2000)  # 200 a second: 10 ms for each of two workers
    known = msgspec.structs.replace(opened(120.0), latencies_ms=simulated(120.0, 2, mean_ms=12))
    report = LoadReport(target="t", machine=FOUR, checked="c", runs=(closed, known))
    real = float(np.percentile(simulated(share * 200, 2, mean_ms=12, count=200_000), 95))
    told, low, high = source_of_load("t", report, limit_ms=100.0).p95_ms(share * 200)
    assert 0.75 < told / real < 1.25
    assert low < real < high
    hopeful, *_ = source_of_load("t", msgspec.structs.replace(report, runs=(closed,)), limit_ms=100.0).p95_ms(
        share * 200
    )
    assert hopeful < told


def test_more_is_never_planned_with_fewer_machines(tmp_path: Path) -> None:
    path = loaded(tmp_path / "l.json")
    for limits in ((20, 30, 60), (16, 25, 200)):
        counts = [plan([path], rate=2000, p95_ms=limit).machines[0].machines or 0 for limit in limits]
        assert counts == sorted(counts, reverse=True)
        assert counts[-1] >= 2000 / 400
    by_rate = [plan([path], rate=rate, p95_ms=30).machines[0].machines or 0 for rate in (1, 300, 3000)]
    assert by_rate == sorted(by_rate)
    assert by_rate[0] == 1


def test_a_report_that_says_too_little_is_refused(tmp_path: Path) -> None:
    elsewhere = loaded(tmp_path / "l.json", runs=(loop(server=None),))
    with pytest.raises(UserError, match="does not say what one machine takes within 60 ms"):
        plan([elsewhere], rate=10, p95_ms=60)
    failing = loaded(tmp_path / "f.json", runs=(loop(errors={"500": 3}),))
    with pytest.raises(UserError, match="does not say"):
        plan([failing], rate=10, p95_ms=60)
    with pytest.raises(UserError, match="2 prices for 1 sources"):
        plan([elsewhere], rate=10, p95_ms=60, prices=[1, 2])
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(UserError, match="neither results nor a load report"):
        plan([tmp_path / "x.json"], rate=10, p95_ms=60)


def test_a_sweep_gives_a_line_for_each_kind(tmp_path: Path) -> None:
    cells = []
    for cores in (4, 8):
        machine = msgspec.structs.replace(FOUR, cores=cores)
        cell = CellResult(
            kind=kind_of(machine), machine=machine, checkpoint="m", workload="w", threads=1, directory=f"c{cores}"
        )
        results = msgspec.structs.replace(RESULTS, machine=machine)
        write_json(tmp_path / f"c{cores}" / "results.json", results)
        cells.append((cell, results))
    swept = Sweep(
        slimner="0",
        started="now",
        cells=tuple(cell for cell, _ in cells),
        verdicts=tuple(verdicts(cells, Judge(policy_of=lambda machine: Policy(), complexity={}))),
    )
    write_json(tmp_path / "sweep.json", swept)
    found = plan([tmp_path], rate=100, p95_ms=60).machines
    assert [one.workers for one in found] == [4, 8]
    assert len({one.kind for one in found}) == 2


def test_the_command_prints_a_table_or_a_record_and_ends_with_1_if_nothing_suffices(
    slimner: Slimner, tmp_path: Path
) -> None:
    path = loaded(tmp_path / "l.json")
    done = slimner("plan", path, "--rate", "500", "--p95", "30ms", "--price", "0.2")
    assert done.returncode == 0, done.stderr
    assert "machines" in done.stdout
    told = slimner("plan", path, "--rate", "500", "--p95", "30ms", "--json")
    check("plan", told.stdout)
    assert json.loads(told.stdout)["machines"][0]["basis"] == "model"
    none = slimner("plan", path, "--rate", "500", "--p95", "2ms")
    assert none.returncode == 1
    assert "none suffices" in " ".join(none.stdout.split())
