"""The verdict for a fleet, from records made by hand."""

from __future__ import annotations

import msgspec
from slimner.core.machine import describe
from slimner.core.records import EvaluationRecord, Machine, Results
from slimner.reports import Policy
from slimner.reports.fleet import CellResult, FleetVerdict, Judge, Measured, Trial, TryOn, kind_of, verdicts

from ..made import make

LARGE = describe()
SMALL = msgspec.structs.replace(LARGE, instruction_sets=("avx2",), cores=2, cpu="small")
SIMPLE = {"fp32": 0, "int8": 1}


def measured(machine: Machine, results: Results, threads: int = 1) -> Measured:
    cell = CellResult(
        kind=kind_of(machine),
        machine=machine,
        checkpoint="m",
        workload="w",
        threads=threads,
        directory=f"{kind_of(machine)}-{threads}",
    )
    return cell, msgspec.structs.replace(results, machine=machine)


GOOD = make({"fp32": (380, 400, 8), "int8": (380, 100, 4)})
WORSE = make({"fp32": (380, 400, 8), "int8": (340, 100, 4)})


def score_of(results: Results, variant: str) -> EvaluationRecord:
    return next(record for record in results.evaluations if record.variant == variant)


def same(cell: CellResult, variant: str, kind: str) -> Trial:
    """A bundle that does on each kind what it does at home."""
    return Trial(golden=16, evaluation=score_of(GOOD, variant))


def verdict(*cells: Measured, policy: Policy | None = None, try_on: TryOn = same) -> FleetVerdict:
    (found,) = verdicts(cells, Judge(policy_of=lambda machine: policy or Policy(), complexity=SIMPLE, try_on=try_on))
    return found


def test_one_bundle_serves_kinds_that_it_was_carried_to() -> None:
    found = verdict(measured(LARGE, GOOD), measured(SMALL, GOOD))
    assert [choice.variant for choice in found.choices] == ["int8", "int8"]
    assert (found.serves_all, found.built_on, found.needs_own) == ("int8", kind_of(LARGE), ())
    (one,) = found.carried
    assert (one.built_on, one.kind, one.serves, one.golden, one.differing) == (
        kind_of(LARGE),
        kind_of(SMALL),
        True,
        16,
        0,
    )
    assert one.f1_change is not None
    assert one.f1_change.value == 0


def test_the_bundle_of_another_kind_is_tried_when_the_first_does_not_serve_all() -> None:
    def one_way(cell: CellResult, variant: str, kind: str) -> Trial:
        bad = cell.kind == kind_of(LARGE)
        return Trial(golden=16, differing=3 * bad, evaluation=score_of(GOOD, variant))

    found = verdict(measured(LARGE, GOOD), measured(SMALL, GOOD), try_on=one_way)
    assert (found.serves_all, found.built_on) == ("int8", kind_of(SMALL))
    assert [(one.serves, one.because.partition(",")[0]) for one in found.carried] == [
        (False, "3 of 16 golden texts are answered otherwise"),
        (True, "same golden answers"),
    ]


def test_another_variant_is_tried_when_no_bundle_of_the_winner_serves_all() -> None:
    def int8_differs(cell: CellResult, variant: str, kind: str) -> Trial:
        return Trial(golden=16, differing=int(variant == "int8"), evaluation=score_of(GOOD, variant))

    found = verdict(measured(LARGE, GOOD), measured(SMALL, GOOD), try_on=int8_differs)
    assert (found.serves_all, found.built_on) == ("fp32", kind_of(LARGE))
    assert f"better by themselves: {kind_of(LARGE)} (int8), {kind_of(SMALL)} (int8)" in found.because


def test_where_no_bundle_serves_all_the_kinds_that_need_their_own_are_named_with_the_reason() -> None:
    third = msgspec.structs.replace(LARGE, cores=64, cpu="third")

    def loses(cell: CellResult, variant: str, kind: str) -> Trial:
        away = WORSE if kind_of(SMALL) in (kind, cell.kind) and variant == "int8" else GOOD
        differing = int(variant == "fp32" and kind == kind_of(SMALL))
        return Trial(golden=16, differing=differing, evaluation=score_of(away, variant))

    found = verdict(measured(LARGE, GOOD), measured(SMALL, GOOD), measured(third, GOOD), try_on=loses)
    assert found.serves_all is None
    assert found.needs_own == (kind_of(SMALL),)
    assert f"int8 of {kind_of(LARGE)} on {kind_of(SMALL)}: F1 " in found.because
    assert "more than 0.5 pp lost" in found.because


def test_a_kind_that_cannot_be_reached_is_not_said_to_be_served() -> None:
    found = verdict(measured(LARGE, GOOD), measured(SMALL, GOOD), try_on=lambda *_: Trial(failed="no worker is left"))
    assert found.serves_all is None
    assert "no worker is left" in found.because
    assert not any(one.serves for one in found.carried)


def test_the_baseline_is_held_against_what_that_kind_built_itself() -> None:
    baseline_lost = make({"fp32": (340, 400, 8), "int8": (380, 100, 4)})

    def lossy(cell: CellResult, variant: str, kind: str) -> Trial:
        return Trial(golden=16, evaluation=score_of(baseline_lost, variant))

    only = make({"fp32": (380, 400, 8)})
    found = verdict(measured(LARGE, only), measured(SMALL, only), try_on=lossy)
    assert found.serves_all is None
    assert "more than 0.5 pp lost" in found.because


def test_a_variant_that_loses_f1_on_one_instruction_set_does_not_serve_all() -> None:
    found = verdict(measured(LARGE, GOOD), measured(SMALL, WORSE))
    assert [choice.variant for choice in found.choices] == ["int8", "fp32"]
    assert found.serves_all == "fp32"
    assert f"{kind_of(LARGE)} (int8)" in found.because


def test_each_kind_is_judged_by_its_own_policy() -> None:
    slow = Policy(limits={"memory_max": 50e6})
    found = verdicts(
        [measured(LARGE, GOOD), measured(SMALL, GOOD)],
        Judge(policy_of=lambda machine: slow if machine == SMALL else Policy(), complexity=SIMPLE, try_on=same),
    )[0]
    assert [choice.variant for choice in found.choices] == ["int8", None]
    assert (found.serves_all, found.because) == (None, "no variant fits the policy on every kind of machine")


def test_the_number_of_threads_is_chosen_with_the_variant() -> None:
    fast = make({"fp32": (380, 400, 3), "int8": (380, 100, 2)})
    policy = Policy(objective={"p95": 1.0})
    found = verdict(measured(LARGE, GOOD, 1), measured(LARGE, fast, 2), policy=policy)
    assert [(choice.variant, choice.threads) for choice in found.choices] == [("int8", 2)]
    assert found.choices[0].directory == f"{kind_of(LARGE)}-2"


def test_other_corpora_or_checkpoints_are_not_compared() -> None:
    assert GOOD.corpus
    corpus = msgspec.structs.replace(GOOD, corpus=msgspec.structs.replace(GOOD.corpus, sha256="other"))
    assert "different corpora" in verdict(measured(LARGE, GOOD), measured(SMALL, corpus)).because
    model = msgspec.structs.replace(GOOD, checkpoint=msgspec.structs.replace(GOOD.checkpoint, sha256="other"))
    assert "different checkpoints" in verdict(measured(LARGE, GOOD), measured(SMALL, model)).because


def test_a_kind_without_results_leaves_it_open_whether_one_bundle_serves_all() -> None:
    missing = msgspec.structs.replace(measured(SMALL, GOOD)[0], directory=None, failed="no worker is left")
    (found,) = verdicts(
        [measured(LARGE, GOOD)], Judge(policy_of=lambda machine: Policy(), complexity=SIMPLE), [missing]
    )
    assert [choice.variant for choice in found.choices] == ["int8"]
    assert found.serves_all is None
    assert found.because == f"no results of {kind_of(SMALL)}"
