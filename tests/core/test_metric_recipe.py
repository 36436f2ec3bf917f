"""The recipe for a metric (docs/architecture.md) is one entry in METRICS: here one is added and taken everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from slimner.core.gate_records import GateRecord
from slimner.core.metrics import METRICS, Metric, limits, objectives
from slimner.core.verdicts import sides
from slimner.reports import Policy, Terms, compare_sides, decide, read_policy, rows_of
from slimner.reports.gate import checks, margins, outcome_of
from slimner.reports.gate_output import junit, summary
from slimner.reports.tables import as_csv, cells, csv_columns, headings

from ..made import make

BASE = make({"fp32": (380, 100, 8), "lean": (380, 50, 4)})


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Metric:
    """The time that loading takes, which measurements hold and no metric shows; its entry gives no margin."""
    metric = Metric(
        name="load",
        title="load",
        unit="s",
        kind="timing",
        meaning="from opening the artifact to the model in memory",
        column=True,
        of=lambda m: m.load_s if m.variant == "fp32" else m.load_s / 2,
    )
    monkeypatch.setitem(METRICS, "load", metric)
    return metric


def policy(directory: Path, content: str) -> Policy:
    path = directory / "policy.toml"
    path.write_text(content, encoding="utf-8")
    return read_policy(path)


def test_a_policy_may_limit_it_aim_at_it_and_give_its_margin(load: Metric, tmp_path: Path) -> None:
    read = policy(tmp_path, 'objective = "load"\n[constraints]\nload_max = "750ms"\n[margins]\nload = "5%"\n')
    assert (read.limits, read.objective, read.margins) == ({"load_max": 0.75}, {"load": 1.0}, {"load": 0.05})
    assert "load_max" in limits()
    assert "load" in objectives()
    decision = decide(rows_of(BASE), {"fp32": 0, "lean": 1}, read)
    assert decision.winner == "lean"
    assert "load_max" in decision.losers["fp32"]


def test_it_stands_in_rows_tables_and_csv(load: Metric) -> None:
    row = rows_of(BASE)[0]
    assert row.value("load") == pytest.approx(1.0)
    assert dict(zip(headings(), cells(row), strict=True))["load"].startswith("1.00")
    assert "load_s_low" in csv_columns()
    assert len(as_csv([row], None).splitlines()[1].split(",")) == len(csv_columns())


@pytest.mark.parametrize("written", ["auto", "20%"])
def test_compare_and_gate_judge_it_at_the_margin_of_the_policy_or_its_default(
    load: Metric, written: str, tmp_path: Path
) -> None:
    read = policy(tmp_path, f'[margins]\nload = "{written}"\n')
    judged, source = margins(read)
    assert judged == {"load": 0.2 if written == "20%" else load.margin}
    assert load.margin > 0
    assert f"load {judged['load'] * 100:.1f} %" in source
    faster, slower = sides(BASE, "a")["lean"], sides(BASE, "b")["fp32"]
    for candidate, baseline, outcome in ((slower, faster, "regression"), (faster, slower, "pass")):
        comparison = compare_sides(baseline, candidate, Terms(margins=judged))
        found = list(checks(comparison, read))
        assert [(check.name, check.outcome) for check in found] == [("load", outcome)]
        record = GateRecord(
            outcome=outcome_of(found),
            exit_code=0,
            baseline="a",
            candidate="b",
            policy="",
            margins=source,
            checks=tuple(found),
            comparisons=(comparison,),
        )
        assert "| load |" in summary(record)
        assert 'name="load"' in junit(record)


def test_a_gate_holds_its_limit(load: Metric, tmp_path: Path) -> None:
    read = policy(tmp_path, '[constraints]\nload_max = "750ms"\n[margins]\nload = "50%"\n')
    one = sides(BASE, "a")["fp32"]
    found = {c.name: c.outcome for c in checks(compare_sides(one, one, Terms(margins=margins(read)[0])), read)}
    assert found["load_max"] == "regression"
