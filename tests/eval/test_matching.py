"""How found entities meet gold ones, beside what nervaluate counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from nervaluate.entities import Entity
from nervaluate.strategies import EntityTypeEvaluation, ExactEvaluation, StrictEvaluation
from slimner.core.records import Found, Matches
from slimner.eval.matching import count_matches

# One place a gold entity, an answer, both or neither; places are far apart, so that each overlaps one other at most.
PLACES = st.lists(
    st.tuples(
        st.sampled_from(["PER", "LOC", None]),
        st.sampled_from(["PER", "LOC", None]),
        st.sampled_from([(0, 4), (0, 3), (1, 4), (2, 6)]),
    ),
    max_size=12,
)


@given(PLACES)
def test_classes_are_those_that_nervaluate_counts(places: list[tuple[str | None, str | None, tuple[int, int]]]) -> None:
    gold: list[Found] = []
    found: list[Found] = []
    for i, (wanted, answer, (start, end)) in enumerate(places):
        if wanted:
            gold.append(Found(start=10 * i, end=10 * i + 4, type=wanted))
        if answer:
            found.append(Found(start=10 * i + start, end=10 * i + end, type=answer))
    counts = count_matches([(gold, found)]).values()
    ours = {name: sum(getattr(one, name) for one in counts) for name in Matches.__struct_fields__}
    theirs = [[Entity(label=e.type, start=e.start, end=e.end - 1) for e in side] for side in (gold, found)]
    strict, exact, of_type = (
        kind().evaluate(*theirs, ["PER", "LOC"])[0]
        for kind in (StrictEvaluation, ExactEvaluation, EntityTypeEvaluation)
    )
    wrong = ours["boundary"] + ours["type"] + ours["overlap"]
    assert (strict.correct, strict.incorrect, strict.missed, strict.spurious) == (
        ours["right"],
        wrong,
        ours["missed"],
        ours["spurious"],
    )
    assert exact.correct == ours["right"] + ours["type"]
    assert of_type.correct == ours["right"] + ours["boundary"]


def test_counts_are_by_the_gold_type_and_spurious_ones_by_their_own() -> None:
    gold = [Found(start=0, end=2, type="PER"), Found(start=5, end=9, type="ORG"), Found(start=20, end=21, type="LOC")]
    found = [Found(start=0, end=2, type="LOC"), Found(start=5, end=8, type="ORG"), Found(start=12, end=14, type="PER")]
    assert count_matches([(gold, found)]) == {
        "LOC": Matches(missed=1),
        "ORG": Matches(boundary=1),
        "PER": Matches(type=1, spurious=1),
    }
