"""Real limits, real processes that do not fit."""

from __future__ import annotations

import subprocess
import sys

import pytest
from slimner.bench import limits
from slimner.bench.limits import RESOLUTION_BYTES, MemoryLimit, limited, minimum
from slimner.core.ledger_records import Trial

HOLDS = "import sys\nblock = bytearray(b'x') * int(sys.argv[1])\nprint(len(block))"


def run(limit: MemoryLimit, size: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*limit.prefix, sys.executable, "-c", HOLDS, str(size)], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(params=["best", "data"])
def limiter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The best limit of this machine, and the one that works everywhere."""
    if request.param == "data":
        monkeypatch.setattr(limits, "_groups", lambda: iter(()))
    return str(request.param)


def test_a_process_within_the_limit_runs_and_one_beyond_does_not(limiter: str) -> None:
    with limited(100_000_000) as limit:
        assert run(limit, 40_000_000).stdout == "40000000\n"
        assert limit.kills() == 0
    with limited(100_000_000) as limit:
        done = run(limit, 300_000_000)
        assert done.returncode != 0
        assert "300000000" not in done.stdout
        if limit.group is not None:
            assert limit.kills() == 1
    assert limit.group is None or not limit.group.exists()
    assert ("cgroup" in limit.name) == (limit.group is not None)
    if limiter == "data":
        assert "RLIMIT_DATA" in limit.name


def test_the_least_memory_of_a_process_of_known_size_is_found(limiter: str) -> None:
    def attempt(limit: MemoryLimit) -> str:
        done = run(limit, 60_000_000)
        return "" if done.stdout == "60000000\n" else f"exit code {done.returncode}"

    trials: list[Trial] = []
    found = minimum("sixty", attempt, highest=140_000_000, on_trial=trials.append)
    assert found.bytes is not None
    assert found.bytes % RESOLUTION_BYTES == 0
    assert 60_000_000 < found.bytes < 60_000_000 + 5 * RESOLUTION_BYTES  # the interpreter comes on top
    assert found.confirmed == 2
    assert found.trials == tuple(trials)
    assert [t.passed for t in found.trials if t.limit_bytes == found.bytes].count(True) >= 3
    assert any(not t.passed and t.limit_bytes == found.bytes - RESOLUTION_BYTES for t in found.trials)


def test_a_guess_that_is_too_low_is_raised() -> None:
    def attempt(limit: MemoryLimit) -> str:
        return "" if run(limit, 50_000_000).returncode == 0 else "too little"

    found = minimum("fifty", attempt, highest=30_000_000)
    assert found.trials[0].limit_bytes == 32_000_000
    assert not found.trials[0].passed
    assert found.bytes is not None
    assert found.bytes > 50_000_000


def test_a_program_that_never_runs_has_no_minimum() -> None:
    found = minimum("never", lambda limit: "broken", highest=10_000_000)
    assert found.bytes is None
    assert found.confirmed == 0
    assert [t.limit_bytes for t in found.trials] == [16_000_000, 32_000_000, 64_000_000]
    assert {t.reason for t in found.trials} == {"broken"}
