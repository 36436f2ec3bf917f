from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from slimner.core.errors import UserError
from slimner.core.journal import Journal
from slimner.core.outside import read_json
from slimner.core.store import RESULTS_SCHEMA, directory_in_place, read_results, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    target = tmp_path / "value.json"
    write_json(target, {"old": 1})
    limit = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from pathlib import Path
from slimner.core.store import write_text
try:
    write_text(Path({str(target)!r}), "x" * 100_000)
except OSError as error:
    sys.exit(7)
"""
    assert subprocess.run([sys.executable, "-c", limit], check=False).returncode == 7
    assert read_json(target, dict[str, int]) == {"old": 1}
    assert os.listdir(tmp_path) == ["value.json"]


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "artifact"
    with contextlib.suppress(RuntimeError), directory_in_place(target) as directory:
        write_text(directory / "half", "x")
        raise RuntimeError
    assert not target.exists()
    assert os.listdir(tmp_path) == []
    with directory_in_place(target) as directory:
        write_text(directory / "whole", "x")
        assert not target.exists()
    assert os.listdir(target) == ["whole"]


def test_what_a_killed_builder_left_is_removed_by_the_next(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    left = tmp_path / f".artifact.{process.pid}.abc"
    left.mkdir()
    alive = tmp_path / f".artifact.{os.getpid()}.abc"
    alive.mkdir()
    with directory_in_place(tmp_path / "artifact"):
        pass
    assert not left.exists()
    assert alive.exists()


def test_a_damaged_file_is_named_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(f'{{"schema": {RESULTS_SCHEMA}, "slimner": 3}}')
    with pytest.raises(UserError, match=r"results\.json.*\$"):
        read_results(path)
    path.write_text('{"schema": 99}')
    with pytest.raises(UserError, match="schema 99"):
        read_results(path)


OLD = Path(__file__).parent / "old"


@pytest.mark.parametrize("schema", range(3, RESULTS_SCHEMA))
def test_results_of_every_schema_since_3_are_read(schema: int) -> None:
    content = json.loads((OLD / f"schema-{schema}.json").read_text(encoding="utf-8"))
    results = read_results(OLD / f"schema-{schema}.json")
    assert content["schema"] == schema
    assert results.schema == RESULTS_SCHEMA
    assert {e.variant: e.strict.f1 for e in results.evaluations} == {
        e["variant"]: e["strict"]["f1"] for e in content["evaluations"]
    }
    assert [m.samples_ms for m in results.measurements] == [tuple(m["samples_ms"]) for m in content["measurements"]]


def test_old_results_that_are_damaged_are_named_with_the_place(tmp_path: Path) -> None:
    content = json.loads((OLD / "schema-3.json").read_text(encoding="utf-8"))
    content["measurements"][1]["cold_start_s"] = "soon"
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"results\.json.*\$\.measurements\[1\]\.cold_start_s"):
        read_results(path)


@pytest.mark.parametrize("schema", [1, 2, RESULTS_SCHEMA + 1])
def test_results_of_a_schema_that_was_never_released_or_is_newer_are_refused(schema: int, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(f'{{"schema": {schema}}}')
    with pytest.raises(UserError, match=f"schema {schema}, this slimner reads 3 to {RESULTS_SCHEMA}"):
        read_results(path)


def test_a_journal_continues_the_same_run_only(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j", {"run": 1})
    first.put("step", [1, 2])
    assert not first.resumed
    again = Journal(tmp_path / "j", {"run": 1})
    assert again.resumed
    assert again.get("step", list[int]) == [1, 2]
    assert again.get("other", list[int]) is None
    other = Journal(tmp_path / "j", {"run": 2})
    assert not other.resumed
    assert other.get("step", list[int]) is None


def test_a_fresh_journal_forgets_the_same_run(tmp_path: Path) -> None:
    Journal(tmp_path / "j", 1).put("step", 5)
    assert Journal(tmp_path / "j", 1, fresh=True).get("step", int) is None
