"""The verdict for a fleet, from records made by hand."""

from __future__ import annotations

import msgspec
from slimner.core.machine import describe
from slimner.core.records import Found, Machine, Results
from slimner.reports import Policy
from slimner.reports.fleet import CellResult, FleetVerdict, Measured, kind_of, verdicts

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


def verdict(*cells: Measured, policy: Policy | None = None) -> FleetVerdict:
    (found,) = verdicts(cells, lambda machine: policy or Policy(), SIMPLE)
    return found


def answered(results: Results, variant: str, sentence: int) -> Results:
    """The results with one more entity in a sentence."""
    changed = [
        msgspec.structs.replace(
            record,
            predictions=tuple(
                (Found(start=0, end=1, type="PER"),) if i == sentence else own
                for i, own in enumerate(record.predictions)
            ),
        )
        if record.variant == variant
        else record
        for record in results.evaluations
    ]
    return msgspec.structs.replace(results, evaluations=tuple(changed))


GOOD = make({"fp32": (380, 400, 8), "int8": (380, 100, 4)})


def test_one_bundle_serves_kinds_that_have_one_winner_and_the_same_answers() -> None:
    found = verdict(measured(LARGE, GOOD), measured(SMALL, GOOD))
    assert [choice.variant for choice in found.choices] == ["int8", "int8"]
    assert found.serves_all == "int8"
    assert not found.needs_own
    assert found.to_verify == (kind_of(SMALL),), "another instruction set built another artifact"
    alike = msgspec.structs.replace(LARGE, kernel="another")
    assert verdict(measured(LARGE, GOOD), measured(alike, GOOD)).to_verify == ()


def test_a_kind_that_answers_otherwise_needs_its_own_and_another_variant_may_serve_all() -> None:
    found = verdict(measured(LARGE, GOOD), measured(SMALL, answered(GOOD, "int8", 7)))
    assert [choice.variant for choice in found.choices] == ["int8", "int8"]
    assert found.serves_all == "fp32"
    both = answered(answered(GOOD, "int8", 7), "fp32", 3)
    none = verdict(measured(LARGE, GOOD), measured(SMALL, both))
    assert none.serves_all is None
    assert f"1 of 1600 sentences otherwise on {kind_of(SMALL)}" in none.because
    assert set(none.needs_own) == {kind_of(LARGE), kind_of(SMALL)}


def test_a_variant_that_loses_f1_on_one_instruction_set_does_not_serve_all() -> None:
    worse = make({"fp32": (380, 400, 8), "int8": (340, 100, 4)})
    found = verdict(measured(LARGE, GOOD), measured(SMALL, worse))
    assert [choice.variant for choice in found.choices] == ["int8", "fp32"]
    assert found.serves_all == "fp32"
    assert f"{kind_of(LARGE)} (int8)" in found.because


def test_each_kind_is_judged_by_its_own_policy() -> None:
    slow = Policy(limits={"memory_max": 50e6})
    found = verdicts(
        [measured(LARGE, GOOD), measured(SMALL, GOOD)], lambda machine: slow if machine == SMALL else Policy(), SIMPLE
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
    (found,) = verdicts([measured(LARGE, GOOD)], lambda machine: Policy(), SIMPLE, [missing])
    assert [choice.variant for choice in found.choices] == ["int8"]
    assert found.serves_all is None
    assert found.because == f"no results of {kind_of(SMALL)}"
