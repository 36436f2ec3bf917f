"""How much two runs of one artifact differ, from runs that a machine has made."""

from __future__ import annotations

import math
import random

import pytest
from slimner.core.between_runs import ENOUGH, RunFigures, assumed, said, shown
from slimner.core.paired import BetweenRuns, ratio_of_groups
from slimner.core.statistics import ASSUMED

BETWEEN, WITHIN, PROCESSES = 0.06, 0.02, 3


def run(chance: random.Random, *, artifact: str = "a", level: float = 10.0, between: float = BETWEEN) -> RunFigures:
    moment = chance.gauss(math.log(level), between)
    values = tuple(math.exp(chance.gauss(moment, WITHIN)) for _ in range(PROCESSES))
    return RunFigures(date="", artifact=artifact, conditions=artifact, figures={"p50": values})


def test_a_machine_that_has_shown_little_is_assumed_to_be_as_most_are() -> None:
    chance = random.Random(1)
    runs = [run(chance) for _ in range(ENOUGH)]  # one fewer repeat than runs
    assert shown(runs) == assumed()
    assert shown(runs)["p50"] == BetweenRuns(deviation=ASSUMED)
    assert "memory" not in assumed()
    assert "3 % assumed for p50: fewer than 5 repeats" in said({"p50": shown(runs)["p50"]})
    assert said({}) == ""


def test_the_deviation_is_that_between_runs_without_that_within_them() -> None:
    chance = random.Random(2)
    found = shown([run(chance) for _ in range(401)])["p50"]
    assert found.repeats == 400
    assert found.deviation == pytest.approx(BETWEEN, rel=0.1)
    assert "p50 6." in said({"p50": found}) or "p50 5." in said({"p50": found})
    still = shown([run(chance, between=0.0) for _ in range(401)])["p50"]
    assert still.deviation < 0.004


def test_other_artifacts_are_no_repeats_but_add_theirs() -> None:
    chance = random.Random(3)
    single = [run(chance, artifact=str(i), level=1 + i) for i in range(50)]
    assert shown(single) == assumed()
    twice = single + [run(chance, artifact=str(i), level=1 + i) for i in range(50)]
    assert shown(twice)["p50"].repeats == 50
    assert shown(twice)["p50"].deviation == pytest.approx(BETWEEN, rel=0.3)


def test_intervals_of_two_runs_hold_as_often_as_they_say_where_the_assumed_ones_do_not() -> None:
    chance = random.Random(4)

    def held(repeats: int | None, times: int = 400) -> float:
        count = 0
        for _ in range(times):
            between = shown([run(chance) for _ in range(repeats + 1)])["p50"] if repeats else assumed()["p50"]
            one, two = (run(chance).figures["p50"] for _ in range(2))
            change = ratio_of_groups(one, two, 0.95, between=between)
            assert change.low is not None
            assert change.high is not None
            count += change.low <= 0 <= change.high
        return count / times

    assert held(5) > 0.93
    assert held(20) > 0.93
    assert held(None) < 0.85
