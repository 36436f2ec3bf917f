"""What a plan of a sweep may say, and the cells that it stands for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slimner.core.errors import UserError
from slimner.core.machine import describe, fingerprint
from slimner.jobs.fleet import SweepPlan, read_plan
from slimner.jobs.fleet.cells import cells_of
from slimner.jobs.fleet.plan import Policies

names = st.text("abcdefghij-/:@", min_size=1, max_size=12)
values = st.one_of(
    st.integers(-3, 5),
    st.booleans(),
    names,
    st.lists(names, max_size=3),
    st.lists(st.integers(-1, 4), max_size=3),
    st.dictionaries(names, names, max_size=2),
)
keys = st.one_of(st.sampled_from(SweepPlan.__struct_fields__), names)


def toml(content: dict[str, Any]) -> str:
    """Flat TOML; JSON writes its strings, numbers and lists alike."""
    tables = {key: value for key, value in content.items() if isinstance(value, dict)}
    lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in content.items() if key not in tables]
    for key, table in tables.items():
        lines += [f"[{json.dumps(key)}]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in table.items())]
    return "\n".join(lines)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(content=st.dictionaries(keys, values, max_size=4))
def test_a_plan_is_read_or_refused_with_its_name(content: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(toml(content), encoding="utf-8")
    try:
        plan = read_plan(path)
    except UserError as error:
        refused, plan = error, None
    if plan is None:
        assert str(path) in refused.message
        assert refused.remedy
    else:
        assert set(content) <= set(SweepPlan.__struct_fields__)
        assert plan.threads
        assert min(plan.threads) >= 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    checkpoints=st.lists(names, min_size=1, max_size=3, unique=True),
    threads=st.lists(st.integers(1, 64), min_size=1, max_size=3, unique=True),
    texts=st.integers(0, 2),
)
def test_cells_are_all_combinations_each_with_a_directory_of_its_own(
    checkpoints: list[str], threads: list[int], texts: int, tmp_path: Path
) -> None:
    workloads = [f"w{i}.txt" for i in range(texts)]
    for name in workloads:
        (tmp_path / name).write_text("a\n")
    (tmp_path / "plan.toml").write_text(
        toml({"checkpoints": checkpoints, "threads": threads, "workloads": workloads}), encoding="utf-8"
    )
    cells = cells_of(read_plan(tmp_path / "plan.toml"))
    assert len(cells) == len(checkpoints) * len(threads) * max(1, texts)
    directories = {cell.directory(describe()) for cell in cells}
    assert len(directories) == len(cells)
    assert all(name.startswith(fingerprint(describe())) and "/" not in name for name in directories)


def test_a_changed_workload_is_another_cell(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("a\n")
    (tmp_path / "plan.toml").write_text('workloads = ["w.txt"]\n')
    (before,) = cells_of(read_plan(tmp_path / "plan.toml"))
    (tmp_path / "w.txt").write_text("b\n")
    (after,) = cells_of(read_plan(tmp_path / "plan.toml"))
    assert before.directory(describe()) != after.directory(describe())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("thread = [1]", "thread"),
        ("threads = []", "length >= 1"),
        ("threads = [1, 1]", "names 1 twice"),
        ('workloads = ["none.txt"]', "workload 'none.txt': no such file"),
        ('policy = "none.toml"', "policy 'none.toml': no such file"),
        ("threads = [1", "plan.toml"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said(written: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(written + "\n")
    with pytest.raises(UserError, match=said):
        read_plan(tmp_path / "plan.toml")


def test_each_kind_of_machine_has_its_policy(tmp_path: Path) -> None:
    here = describe()
    for name, limit in (("all", "1s"), ("own", "5ms"), ("arm", "9ms")):
        (tmp_path / f"{name}.toml").write_text(f'[constraints]\np95_max = "{limit}"\n')
    (tmp_path / "plan.toml").write_text(
        f'policy = "all.toml"\n[policies]\n"aarch64*" = "arm.toml"\n"{fingerprint(here)}" = "own.toml"\n'
    )
    policies = Policies(read_plan(tmp_path / "plan.toml"))
    other = msgspec.structs.replace(here, kernel="another")
    assert policies.of(here).limits == {"p95_max": 5.0}
    assert policies.of(other).limits == {"p95_max": 1000.0}
    assert policies.of(msgspec.structs.replace(other, architecture="aarch64")).limits == {"p95_max": 9.0}
