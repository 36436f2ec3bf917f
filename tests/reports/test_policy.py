"""A policy file says what is demanded, or is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from slimner.core.errors import UserError
from slimner.core.units import MILLISECONDS, SHARES, SIZES, quantity
from slimner.reports import Policy, read_policy

WHOLE = """
objective = "p95"
tie = "3%"

[constraints]
f1_max_drop = "0.3pp"
f1_min = "88 %"
memory_max = "300MB"
p95_max = "0.12s"
artifact_max = "150MiB"
qps_min = "20/s"

[margins]
p50 = "4%"
pss = "auto"
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_policy_reads_every_figure_in_its_base_unit(tmp_path: Path) -> None:
    policy = read_policy(written(tmp_path, WHOLE))
    assert policy.f1_max_drop_pp == 0.3
    assert policy.limits == {
        "f1_min": 0.88,
        "memory_max": 300_000_000,
        "p95_max": 120,
        "size_max": 150 * 1024 * 1024,
        "qps_min": 20,
    }
    assert policy.objective == {"p95": 1.0}
    assert policy.tie == pytest.approx(0.03)
    assert policy.margins == {"p50": pytest.approx(0.04), "memory": None}
    assert "F1 may drop 0.3 pp" in policy.describe()
    assert "least p95" in policy.describe()
    assert str(tmp_path) in policy.describe()


def test_a_policy_without_a_drop_does_not_judge_f1(tmp_path: Path) -> None:
    assert read_policy(written(tmp_path, 'objective = "size"\n')).f1_max_drop_pp is None


def test_weights_take_the_place_of_an_objective(tmp_path: Path) -> None:
    assert read_policy(written(tmp_path, "[weights]\nmemory = 2\np95 = 1.5\n")).objective == {"memory": 2.0, "p95": 1.5}


@pytest.mark.parametrize(
    ("text", "line", "said", "remedy"),
    [
        ('objective = "memory"\ntei = "2%"\n', 2, "unknown key 'tei'", "'tie'"),
        ('[constraints]\npss_mx = "3MB"\n', 2, "unknown key 'pss_mx'", "'memory_max'"),
        ('[constraints]\n\np95_max = "120MB"\n', 3, "not a number with one of the units us, ms, s, min", "p95_max"),
        ("[constraints]\nmemory_max = 300\n", 2, "300 has no unit", 'memory_max = "300MB"'),
        ('[constraints]\nf1_max_drop = "0.5%"\n', 2, "pp", "f1_max_drop"),
        ('[constraints]\nf1_max_drop = "200pp"\n', 2, "more than there is to lose", "100pp"),
        ('[constraints]\nf1_min = "140%"\n', 2, "does not exist", "100%"),
        ('[constraints]\nmemory_max = "300MB"\npeak_max = "200MB"\n', 2, "demands nothing", "lower memory_max"),
        ('[constraints]\np95_max = "10ms"\np50_max = "20ms"\n', 3, "demands nothing", "lower p50_max"),
        ('[constraints]\nmemory_max = "0MB"\n', 2, "leaves no variant", "above 0"),
        ('objective = "memroy"\n', 1, "unknown objective 'memroy'", "memory"),
        ('objective = "memory"\n[weights]\np95 = 1\n', 2, "contradict", "keep one"),
        ("[weights]\nmemory = -1\n", 2, "a weight is a number above 0", "memory = 2"),
        ("[weights]\nmemory = true\n", 2, "a weight is a number above 0", "memory = 2"),
        ('tie = "2"\n', 1, "not a number with one of the units %", "tie"),
        ('constraints = "none"\n', 1, "is a table", "[constraints]"),
        ('[margins]\nf1 = "1%"\n', 2, "unknown key 'f1'", "known"),
    ],
)
def test_what_a_policy_cannot_mean_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, said: str, remedy: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as refused:
        read_policy(path)
    assert refused.value.message.startswith(f"{path}:{line}: ")
    assert said in refused.value.message
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(("text", "said"), [("", "policy is empty"), ("a = [", "policy.toml"), ("\x00", "policy.toml")])
def test_a_file_that_is_no_policy_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_policy(written(tmp_path, text))


def test_a_policy_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.toml: no such file"):
        read_policy(tmp_path / "none.toml")


def test_the_built_in_policy_says_what_it_demands() -> None:
    assert Policy().describe() == (
        "F1 may drop 0.5 pp, least memory, ties within 2 % to the simpler (the built-in policy)"
    )


@pytest.mark.parametrize(
    ("text", "units", "value"),
    [
        *(("300MB", SIZES, 3e8), ("1.5 GiB", SIZES, 1.5 * 2**30), ("512Mi", SIZES, 2.0**29)),
        *(("90s", MILLISECONDS, 9e4), (" 2 % ", SHARES, 0.02)),
    ],
)
def test_a_quantity_is_a_number_with_its_unit(text: str, units: dict[str, float], value: float) -> None:
    assert quantity(text, units) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "MB", "300", "-3MB", "3 parsecs", "1e3MB", "3MBs", "nan%"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a number"):
        quantity(text, SIZES)
