"""Figures of a process: the slow end of its times, and what it does not give back."""

from __future__ import annotations

import msgspec
import pytest
from slimner.core.metrics import METRICS, canonical, limits
from slimner.core.records import MeasurementRecord

from ..made import block, measurement


def answered(times: list[float], sizes: list[int]) -> MeasurementRecord:
    """A process that took these times, with its resident size at the ends of as many blocks."""
    share = len(times) // len(sizes)
    blocks = tuple(
        msgspec.structs.replace(block(first=i * share, samples=share), rss_bytes=size) for i, size in enumerate(sizes)
    )
    record = measurement("v", 1, 10**8, 1.0)
    texts = tuple(range(len(times)))
    return msgspec.structs.replace(record, samples_ms=tuple(times), texts=texts, blocks=blocks)


def figure(name: str, record: MeasurementRecord) -> float:
    (value,) = METRICS[name].values([record])
    return value


def test_a_stall_of_one_text_in_a_hundred_moves_the_tail_and_not_the_percentiles() -> None:
    times = [8.0] * 100
    stalled = [*times[:-1], 508.0]
    sizes = [10**8] * 4
    assert figure("p95", answered(stalled, sizes)) == pytest.approx(figure("p95", answered(times, sizes)))
    assert figure("tail", answered(stalled, sizes)) == pytest.approx(108.0)
    assert figure("mean", answered(stalled, sizes)) == pytest.approx(13.0)


def test_growth_is_the_slope_of_the_resident_size_a_hundred_answers() -> None:
    steady, leaking = ([10**8 + i * step for i in range(4)] for step in (0, 250_000))
    assert figure("growth", answered([8.0] * 100, steady)) == pytest.approx(0.0, abs=1.0)
    assert figure("growth", answered([8.0] * 100, leaking)) == pytest.approx(10**6)


def test_old_names_stand_for_the_one_name_that_is_written() -> None:
    assert canonical("pss") == canonical("steady") == canonical("memory") == "memory"
    assert canonical("pss_max") == "memory_max"
    assert canonical("artifact_max") == "size_max"
    assert canonical("nothing") == "nothing"
    names = [name for metric in METRICS.values() for name in (metric.name, *metric.aliases)]
    assert len(names) == len(set(names))
    assert len(limits()) == len(METRICS)
