from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slimner.variants.labels import Labels, log_softmax, spans

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
ID2LABEL = {str(i): tag for i, tag in enumerate(TAGS)}


def valid(path: tuple[int, ...]) -> bool:
    return all(
        not TAGS[tag].startswith("I-") or (i > 0 and TAGS[path[i - 1]][1:] in (f"-{TAGS[tag][2:]}",))
        for i, tag in enumerate(path)
    )


@given(st.lists(st.lists(st.floats(-5, 5), min_size=5, max_size=5), min_size=1, max_size=5))
def test_constrained_decoding_is_the_best_valid_sequence_of_all(rows: list[list[float]]) -> None:
    logits = np.asarray(rows)
    scores = log_softmax(logits)
    found = tuple(Labels(TAGS, "constrained").decode(logits).tolist())
    assert valid(found)

    def total(path: tuple[int, ...]) -> float:
        return float(sum(scores[i, tag] for i, tag in enumerate(path)))

    best = max(total(path) for path in itertools.product(range(5), repeat=len(rows)) if valid(path))
    assert total(found) == pytest.approx(best)


def test_argmax_takes_each_tag_by_itself() -> None:
    logits = np.asarray([[0.0, 1, 5, 0, 0], [3, 0, 0, 0, 0]])
    assert Labels(TAGS).decode(logits).tolist() == [2, 0]


@given(st.lists(st.sampled_from(TAGS), max_size=30))
def test_spans_are_what_seqeval_finds_in_strict_mode(tags: list[str]) -> None:
    from seqeval.scheme import IOB2, Entities

    expected = [e.to_tuple()[1:] for e in Entities([tags], IOB2).entities[0]] if tags else []
    assert [(kind, start, end) for start, end, kind in spans(tags)] == expected


@pytest.mark.parametrize(
    ("id2label", "message"),
    [
        ({}, "number"),
        ({"0": "LABEL_0", "1": "LABEL_1"}, "LABEL_0"),
        ({"0": "O", "2": "B-PER"}, "from 0"),
        ({"a": "O"}, "not numbers"),
        ({"0": "O", "1": "B-PER", "2": "B-PER"}, "twice"),
        ({"0": "B-PER", "1": "I-PER"}, "no O"),
        ({"0": "O", "1": "B-PER", "2": "LOC"}, "'LOC' is no tag as 'B-PER' is"),
        ({"0": "O", "1": "X-PER", "2": "I-PER"}, "not any of IOB2"),
        ({"0": "O", "1": "B-PER", "2": "M-PER", "3": "L-PER"}, "not any of IOB2"),
    ],
)
def test_label_sets_that_cannot_be_read_are_refused(id2label: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Labels.of(id2label)


def test_an_unknown_decoding_is_refused() -> None:
    with pytest.raises(ValueError, match="beam"):
        Labels.of(ID2LABEL, "beam")
