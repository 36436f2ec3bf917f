"""Results and calibrations that were cut or edited by hand are refused with the field named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from slimner.core.checking import WrongError, check_calibration, check_results
from slimner.core.errors import UserError
from slimner.core.gate_records import Calibration, MetricCalibration
from slimner.core.store import read_results, write_json

from ..conftest import Slimner
from ..made import make

FIGURES = {"fp32": (390, 380, 100.0), "lean": (389, 69, 10.0)}


def edited(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Good results as plain data, with one field changed by a function or replaced."""
    content: dict[str, Any] = json.loads(msgspec.json.encode(make(FIGURES)))
    inner: Any = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value(inner[path[-1]]) if callable(value) else value
    return content


def test_good_results_are_read(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", make(FIGURES))
    assert read_results(tmp_path / "results.json") == make(FIGURES)
    check_results(make(FIGURES))


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("settings", "variants"), ["fp32"], "builds[1].variant"),
        (("settings", "variants"), ["fp32", "lean", "lean"], "settings.variants"),
        (("builds", 1, "variant"), "fp32", "builds"),
        (("builds", 1, "size_bytes"), 0, "builds[1].size_bytes"),
        (("evaluations", 1, "variant"), "other", "evaluations[1].variant"),
        (("evaluations",), lambda v: v + v[:1], "evaluations"),
        (("evaluations", 0, "sentences"), lambda v: v[:-1], "evaluations[0].sentences"),
        (("evaluations", 0, "predictions"), lambda v: v[1:], "evaluations[0].predictions"),
        (("evaluations", 0, "predictions", 3), [[5, 2, "PER"]], "evaluations[0].predictions[3]"),
        (("evaluations", 0, "sentences", 7), [["PER", 2, 1, 1]], "evaluations[0].sentences[7]"),
        (("evaluations", 0, "strict", "support"), 7, "evaluations[0].strict.support"),
        (("evaluations", 0, "strict", "f1"), 1.5, "evaluations[0].strict.f1"),
        (("evaluations", 0, "corpus_sha256"), "other", "evaluations[0].corpus_sha256"),
        (("corpus",), None, "evaluations[0]"),
        (("corpus", "sentences"), 399, "evaluations[0].sentences"),
        (("workload", "lengths"), lambda v: v[:50], "measurements[0].texts"),
        (("workload", "lengths"), [], "workload.lengths"),
        (("measurements", 2, "samples_ms"), lambda v: v[:-1], "measurements[2].samples_ms"),
        (("measurements", 2, "samples_ms", 4), -1.0, "measurements[2].samples_ms[4]"),
        (("measurements", 2, "samples_ms", 4), 0, "measurements[2].samples_ms[4]"),
        (("measurements", 2, "samples_ms", 4), 1e300, "measurements[2].samples_ms[4]"),
        (("measurements", 2, "extra_ms"), [1.0], "measurements[2].extra_ms"),
        (("measurements", 2, "texts", 0), -1, "measurements[2].texts"),
        (("measurements", 2, "blocks"), [], "measurements[2].blocks"),
        (("measurements", 2, "blocks", 0, "samples"), 101, "measurements[2].blocks"),
        (("measurements", 2, "blocks", 0, "first"), 1, "measurements[2].blocks[0].first"),
        (("measurements", 2, "blocks", 0, "interference", "seconds"), 0, "blocks[0].interference.seconds"),
        (("measurements", 2, "stages"), lambda v: v[:-1], "measurements[2].stages"),
        (("measurements", 2, "stages", 0, "pss_bytes"), 1 << 60, "stages[0].pss_bytes"),
        (("measurements", 2, "concurrent"), {"clients": 5, "answers": 1, "seconds": 0, "wrong": 0}, "concurrent"),
        (("measurements", 3, "repetition"), 0, "measurements"),
    ],
)
def test_results_that_were_edited_are_refused_with_the_field(
    path: tuple[Any, ...], value: Any, field: str, tmp_path: Path
) -> None:
    (tmp_path / "results.json").write_text(json.dumps(edited(path, value)))
    with pytest.raises(UserError) as caught:
        read_results(tmp_path / "results.json")
    assert caught.value.message.startswith(f"{tmp_path / 'results.json'}: ")
    assert f"{field}" in caught.value.message.rpartition("at `$.")[2]


def test_a_command_refuses_results_that_were_cut_with_exit_code_2(slimner: Slimner, tmp_path: Path) -> None:
    cut = edited(("measurements", 1, "samples_ms"), lambda v: v[:7])
    (tmp_path / "results.json").write_text(json.dumps(cut))
    for arguments in (("pick", "results.json"), ("gate", "--baseline", "results.json", "--candidate", "results.json")):
        done = slimner(*arguments)
        assert done.returncode == 2, done.stderr
        assert "results.json: 7 values for 100 of texts - at `$.measurements[1].samples_ms`" in done.stderr


def calibration(**changes: Any) -> Calibration:
    record = make(FIGURES)
    metric = MetricCalibration(
        metric="p50",
        deviation=0.1,
        deviation_low=0.08,
        deviation_high=0.13,
        autocorrelation=0.0,
        detectable=0.05,
        margin=0.05,
        caught=0.1,
    )
    found = Calibration(
        schema=1,
        fingerprint="f",
        date="2026-01-01",
        machine=record.machine,
        artifact="a",
        workload=record.workload,
        settings=record.settings,
        pairs=2,
        disturbed_pairs=0,
        changes={"p50": (0.1, -0.1)},
        metrics=(metric,),
        runs=100,
        false_alarms=1,
        false_alarm_low=0.0,
        false_alarm_high=0.05,
        inconclusive=3,
    )
    return msgspec.structs.replace(found, **changes)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"pairs": 1}, "changes.p50"),
        ({"changes": {"speed": (0.1, 0.2)}}, "changes"),
        ({"runs": 3}, "runs"),
        ({"false_alarm_low": 0.5}, "false_alarm_low"),
        ({"metrics": (msgspec.structs.replace(calibration().metrics[0], margin=-0.1),)}, "metrics[0].margin"),
        ({"metrics": (msgspec.structs.replace(calibration().metrics[0], metric="speed"),)}, "metrics[0].metric"),
        ({"metrics": calibration().metrics * 2}, "metrics"),
    ],
)
def test_a_calibration_that_was_edited_is_refused_with_the_field(changes: dict[str, Any], field: str) -> None:
    check_calibration(calibration())
    with pytest.raises(WrongError) as caught:
        check_calibration(calibration(**changes))
    assert str(caught.value).endswith(f"at `$.{field}`")
