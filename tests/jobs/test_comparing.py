"""What a comparison ends with where there are no gold labels."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from slimner.core.errors import UserError
from slimner.core.records import EvaluationRecord, Measuring, Results
from slimner.core.verdicts import Comparison, sides
from slimner.jobs.comparing import Compared, compare_sources
from slimner.jobs.inputs import source_of
from slimner.jobs.progress import SILENT
from slimner.reports import Terms, compare_sides

from ..made import make

BASE = make({"lean": (380, 70, 4)})


def without_gold(results: Results) -> Results:
    def emptied(record: EvaluationRecord) -> EvaluationRecord:
        kept = tuple(tuple(msgspec.structs.replace(c, gold=0, right=0) for c in one) for one in record.sentences)
        return msgspec.structs.replace(record, sentences=kept)

    return msgspec.structs.replace(results, evaluations=tuple(map(emptied, results.evaluations)))


def compared(baseline: Results, candidate: Results, **margins: float) -> Comparison:
    one, two = sides(baseline, "a")["lean"], sides(candidate, "b")["lean"]
    return compare_sides(one, two, Terms(margins=margins))


@pytest.mark.parametrize(
    ("unlabelled", "reason"),
    [
        (without_gold(BASE), "the corpus has no gold entity"),
        (msgspec.structs.replace(BASE, corpus=None, evaluations=()), "there is no corpus"),
    ],
)
def test_without_gold_labels_the_exit_code_follows_what_was_judged(unlabelled: Results, reason: str) -> None:
    same = compared(unlabelled, unlabelled, f1=0.5, memory=0.03)
    assert (same.of("f1").verdict, same.of("memory").verdict) == ("not judged", "same")
    assert reason in same.of("f1").reason
    assert Compared(comparisons=(same,), margins="").exit_code == 0
    assert Compared(comparisons=(same,), margins="", f1_required=True).exit_code == 4

    grown = msgspec.structs.replace(unlabelled, measurements=make({"lean": (380, 90, 4)}).measurements)
    worse = compared(unlabelled, grown, f1=0.5, memory=0.03)
    assert Compared(comparisons=(worse,), margins="").exit_code == 1

    nothing = compared(unlabelled, unlabelled, f1=0.5)
    assert Compared(comparisons=(nothing,), margins="").exit_code == 3


def test_two_artifacts_without_a_corpus_are_compared_in_all_but_f1(
    artifacts: dict[str, Path], small_workload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMNER_CACHE", str(tmp_path))  # pairs that were left over are not taken up

    def found(*, f1_required: bool) -> Comparison:
        one, two = (source_of(artifacts["onnx-int8"], None, 300) for _ in range(2))
        question = Terms(margins={"f1": 0.5, "size": 0.01, "p50": 0.05})
        settings = Measuring(samples=67, warmup=2, timeout_s=120)
        (comparison,) = compare_sources(
            one,
            two,
            question,
            corpus=None,
            workload=small_workload,
            settings=settings,
            budget_s=0.1,
            to_the_end=True,
            f1_required=f1_required,
            progress=SILENT,
        )
        return comparison

    with pytest.raises(UserError, match="no --corpus"):
        found(f1_required=True)
    comparison = found(f1_required=False)
    assert comparison.of("f1").verdict == "not judged"
    assert comparison.of("size").verdict == "same"
    assert comparison.baseline.measurements
