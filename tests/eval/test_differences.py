"""Entity differences between two variants."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slimner.core.machine import describe
from slimner.core.records import EvaluationRecord, Found, Score
from slimner.eval import Corpus, CorpusSource, Sentence, differences
from slimner.eval.matching import match

TEXT = "张三在上海为新华社工作"
NOTHING = Score(precision=0, recall=0, f1=0, support=0)


def corpus(gold: tuple[str, ...]) -> Corpus:
    tokens = tuple((i, i + 1) for i in range(len(TEXT)))
    sentence = Sentence(text=TEXT, tokens=tokens, tags=gold)
    return Corpus(name="c", sentences=(sentence,), source=CorpusSource(name="c"), format="spans")


GOLD = corpus(("B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O", "B-ORG", "I-ORG", "I-ORG", "O", "O"))
PER, LOC, ORG = (
    Found(start=0, end=2, type="PER"),
    Found(start=3, end=5, type="LOC"),
    Found(start=6, end=9, type="ORG"),
)


def scored(*found: Found) -> EvaluationRecord:
    return EvaluationRecord(
        variant="v",
        artifact="v",
        machine=describe(),
        corpus="c",
        corpus_sha256=GOLD.sha256,
        strict=NOTHING,
        strict_by_type={},
        default=NOTHING,
        sentences=((),),
        predictions=(found,),
        seconds=0,
    )


def only(before: tuple[Found, ...], after: tuple[Found, ...]) -> tuple[str, str]:
    (difference,) = differences(scored(*before), scored(*after), GOLD).differences
    return difference.kind, difference.effect


def test_each_kind_of_difference_is_told_with_what_it_does_to_the_score() -> None:
    longer = msgspec.structs.replace(ORG, end=11)
    place = msgspec.structs.replace(ORG, type="LOC")
    assert only((PER, ORG), (PER,)) == ("lost", "broken")
    assert only((PER,), (PER, ORG)) == ("gained", "mended")
    assert only((ORG,), (place,)) == ("retyped", "broken")
    assert only((place,), (ORG,)) == ("retyped", "mended")
    assert only((ORG,), (longer,)) == ("moved", "broken")
    assert only((place,), (msgspec.structs.replace(place, end=11),)) == ("moved", "wrong before and after")
    assert only((PER,), (PER, place)) == ("gained", "wrong")


def test_equal_answers_have_no_difference() -> None:
    result = differences(scored(PER, LOC), scored(PER, LOC), GOLD)
    assert result.differences == ()
    assert result.touched == 0


def test_another_corpus_is_refused() -> None:
    with pytest.raises(ValueError, match="another corpus"):
        differences(scored(), scored(), corpus(("O",) * len(TEXT)))


SPANS = st.lists(
    st.builds(
        lambda start, length, kind: Found(start=start, end=start + length, type=kind),
        st.integers(0, 20),
        st.integers(1, 5),
        st.sampled_from(["PER", "LOC"]),
    ),
    max_size=6,
    unique=True,
)


@given(SPANS, SPANS)
def test_every_entity_is_matched_once_and_only_where_it_overlaps(before: list[Found], after: list[Found]) -> None:
    pairs = match(before, after)
    assert sorted(map(str, (old for old, _ in pairs if old))) == sorted(map(str, before))
    assert sorted(map(str, (new for _, new in pairs if new))) == sorted(map(str, after))
    for old, new in pairs:
        assert old is None or new is None or min(old.end, new.end) > max(old.start, new.start)


@given(SPANS, SPANS)
def test_swapping_the_variants_swaps_gained_and_lost(before: list[Found], after: list[Found]) -> None:
    there, back = match(before, after), match(after, before)
    assert sum(old is None for old, _ in there) == sum(new is None for _, new in back)
    assert sum(new is None for _, new in there) == sum(old is None for old, _ in back)
