from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slimner.variants.labels import Crf, Labels, log_softmax, spans
from slimner.variants.schemes import LETTERS, Scheme

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
    found = tuple(Labels(TAGS, "constrained").decode([logits])[0].tolist())
    assert valid(found)

    def total(path: tuple[int, ...]) -> float:
        return float(sum(scores[i, tag] for i, tag in enumerate(path)))

    best = max(total(path) for path in itertools.product(range(5), repeat=len(rows)) if valid(path))
    assert total(found) == pytest.approx(best)


def test_argmax_takes_each_tag_by_itself() -> None:
    logits = np.asarray([[0.0, 1, 5, 0, 0], [3, 0, 0, 0, 0]])
    assert Labels(TAGS).decode([logits])[0].tolist() == [2, 0]


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
        ({"0": "O", "1": "B-PER", "2": "LOC"}, "'LOC' is not a tag as 'B-PER' is"),
        ({"0": "O", "1": "X-PER", "2": "I-PER"}, "'X-PER' is not a tag as 'I-PER' is"),
        ({"0": "O", "1": "B-PER", "2": "M-PER", "3": "L-PER"}, "B, L, M, are not those of any of IOB2"),
        ({"0": "O", "1": "I-PER", "2": "E-PER"}, "E, I, are not those of any of"),
        ({"0": "O", "1": "B-PER", "2": "S-PER"}, "B, S, are not those of any of"),
        ({"0": "O", "1": "B-PER", "2": "i-PER"}, "upper and lower case: B, i"),
        ({"0": "O", "1": "B-PER", "2": "PER-I"}, "'PER-I' is not a tag as 'B-PER' is"),
        ({"0": "O", "1": "B-PER", "2": "B_PER"}, "'B-PER' appears twice"),
        ({"0": "[PAD]", "1": "B-PER", "2": "I-PER"}, "no O"),
        ({"0": "O", "1": ".", "2": ","}, "'.' does not name a type"),
        ({"0": "0", "1": "1"}, "'0' is a number, not a name"),
        ({"0": "O", "1": "B", "2": "I"}, "O, B, I, have letters but no type"),
        ({"0": "O", "1": "B-", "2": "I-", "3": "[PAD]"}, "letters but no type"),
        ({"0": "O", "1": "B-PER|B-ORG", "2": "I-PER"}, r"'B-PER\|B-ORG' is more than one tag"),
    ],
)
def test_label_sets_that_cannot_be_read_are_refused(id2label: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Labels.of(id2label)


def test_an_unknown_decoding_is_refused() -> None:
    with pytest.raises(ValueError, match="beam"):
        Labels.of(ID2LABEL, "beam")


SCHEME_TAGS: dict[Scheme, tuple[str, ...]] = {
    scheme: ("O", *(f"{letter}-{kind}" for kind in ("PER", "LOC") for letter in letters))
    for scheme, letters in LETTERS.items()
}


def by_seqeval(tags: list[str], scheme: Scheme) -> list[tuple[int, int, str]]:
    from seqeval import scheme as schemes

    kind = {"BIOES": "IOBES", "BMES": "IOBES", "BMEW": "IOBES"}.get(scheme, scheme)
    if kind == "IOBES":
        tags = [tag.replace("M-", "I-").replace("W-", "S-") for tag in tags]
    found = schemes.Entities([tags], getattr(schemes, kind)).entities[0] if tags else []
    return [(e.start, e.end, e.tag) for e in found]


@pytest.mark.parametrize("scheme", ["IOB2", "IOB1", "BIOES", "BMES", "BMEW", "BILOU"])
@given(data=st.data())
def test_spans_of_every_scheme_are_what_seqeval_finds_in_strict_mode(scheme: Scheme, data: st.DataObject) -> None:
    tags = data.draw(st.lists(st.sampled_from(SCHEME_TAGS[scheme]), max_size=30))
    assert spans(tags, scheme) == by_seqeval(tags, scheme)


@given(st.lists(st.sampled_from(SCHEME_TAGS["IO"]), max_size=30))
def test_entities_of_io_are_runs_of_one_type(tags: list[str]) -> None:
    runs, start = [], 0
    for tag, run in itertools.groupby(tags):
        end = start + len(list(run))
        if tag != "O":
            runs.append((start, end, tag[2:]))
        start = end
    assert spans(tags, "IO") == runs


@pytest.mark.parametrize("scheme", LETTERS)
@given(data=st.data())
def test_iob2_tags_hold_the_entities_of_the_models_scheme(scheme: Scheme, data: st.DataObject) -> None:
    labels = Labels.of({str(i): tag for i, tag in enumerate(SCHEME_TAGS[scheme])}, scheme=scheme)
    indices = data.draw(st.lists(st.integers(0, len(labels.tags) - 1), max_size=20))
    tags = [labels.tags[i] for i in indices]
    assert spans(labels.iob2(indices)) == spans(tags, scheme)
    assert labels.types == ("PER", "LOC")


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O B-PER I-PER", "IOB2"),
        ("O B-PER", "IOB2"),
        ("O I-PER B-ORG I-ORG", "IOB1"),
        ("O I-PER I-LOC", "IO"),
        ("O PER LOC", "IO"),
        ("O B-PER I-PER E-PER S-PER", "BIOES"),
        ("O B-PER M-PER E-PER S-PER", "BMES"),
        ("O B-PER I-PER L-PER U-PER", "BILOU"),
        ("O B-PER I-PER O O", "IOB2"),
        ("O B-PER I-PER S-PER", "BIOS"),
        ("O B-PER I-PER E-PER", "BIEO"),
        ("O B-PER M-PER E-PER", "BMEO"),
        ("O B-PER M-PER E-PER W-PER", "BMEW"),
        ("O B-PER E-PER S-PER", "BIOES"),
    ],
)
def test_the_scheme_is_told_from_the_tags(tags: str, scheme: str) -> None:
    assert Labels.of({str(i): tag for i, tag in enumerate(tags.split())}).scheme == scheme


@pytest.mark.parametrize(
    ("tags", "usual"),
    [
        ("O B_PER I_PER B_FIRST_NAME", "O B-PER I-PER B-FIRST_NAME"),
        ("O PER-B PER-I FIRST-NAME-B", "O B-PER I-PER B-FIRST-NAME"),
        ("o b-per i-per", "O B-per I-per"),
        ("O B:PER I:PER", "O B-PER I-PER"),
        ("O B.PER I.PER B.FIRST.NAME", "O B-PER I-PER B-FIRST.NAME"),
        ("O B-PER I-PER X [CLS] [SEP]", "O B-PER I-PER O O O"),
        ("<pad> O PER LOC", "O O PER LOC"),
    ],
)
def test_tags_written_otherwise_are_read_as_what_they_are(tags: str, usual: str) -> None:
    labels = Labels.of({str(i): tag for i, tag in enumerate(tags.split())})
    assert " ".join(labels.tags) == usual
    assert not any(letter in kind for kind in labels.types for letter in ("B_P", "-B", "[", "b-"))


def test_names_of_types_that_look_like_tags_are_taken_when_the_scheme_is_named() -> None:
    names = {"0": "O", "1": "E-mail", "2": "S-Bahn"}
    with pytest.raises(ValueError, match="E, S, are not those of any of"):
        Labels.of(names)
    assert Labels.of(names, scheme="IO").types == ("E-mail", "S-Bahn")


@pytest.mark.parametrize(
    ("scheme", "tags", "found"),
    [
        ("BIOS", "B-X I-X S-X S-X I-X B-X", [(0, 2, "X"), (2, 3, "X"), (3, 4, "X"), (5, 6, "X")]),
        ("BIEO", "B-X I-X I-X O B-X E-X E-X B-X", [(0, 3, "X"), (4, 6, "X"), (7, 8, "X")]),
        ("BMEO", "B-X M-X E-X M-X B-X B-X", [(0, 3, "X"), (4, 5, "X"), (5, 6, "X")]),
    ],
)
def test_without_a_letter_for_every_end_an_entity_is_whole_where_it_stops(
    scheme: Scheme, tags: str, found: list[tuple[int, int, str]]
) -> None:
    assert spans(tags.split(), scheme) == found


def test_a_scheme_that_the_tags_could_also_be_is_taken_when_it_is_named() -> None:
    assert Labels.of(ID2LABEL, scheme="IOB1").scheme == "IOB1"
    with pytest.raises(ValueError, match="are not BMES"):
        Labels.of(ID2LABEL, scheme="BMES")
    with pytest.raises(ValueError, match="no scheme 'IOBES'; there are IOB2, "):
        Labels.of(ID2LABEL, scheme="IOBES")


scores = st.floats(-9, 9)


@given(data=st.data(), count=st.integers(1, 4), units=st.integers(1, 5))
def test_a_crf_decodes_to_the_best_sequence_of_all(data: st.DataObject, count: int, units: int) -> None:
    def row(size: int) -> tuple[float, ...]:
        return tuple(data.draw(st.lists(scores, min_size=size, max_size=size)))

    start, end, transitions = row(count + 1), row(count + 1), tuple(row(count + 1) for _ in range(count + 1))
    emissions = np.asarray([row(count + 1) for _ in range(units)])
    names = {"0": "O", **{str(i + 1): f"B-{chr(65 + i)}" for i in range(count)}}
    labels = Labels.of(names, "crf", crf=Crf(start=start, end=end, transitions=transitions))

    def total(path: tuple[int, ...]) -> float:
        steps = sum(transitions[a][b] for a, b in itertools.pairwise(path))
        return float(start[path[0]] + end[path[-1]] + steps + sum(emissions[i, tag] for i, tag in enumerate(path)))

    best = max(total(path) for path in itertools.product(range(count + 1), repeat=units))
    assert total(tuple(labels.decode([emissions])[0].tolist())) == pytest.approx(best)


@given(
    data=st.data(), lengths=st.lists(st.integers(0, 9), max_size=6), decoding=st.sampled_from(["crf", "constrained"])
)
def test_sequences_decoded_together_are_decoded_as_each_alone(
    data: st.DataObject, lengths: list[int], decoding: str
) -> None:
    row = st.lists(scores, min_size=len(TAGS), max_size=len(TAGS))
    steps = st.lists(row, min_size=len(TAGS), max_size=len(TAGS))
    crf = Crf(start=tuple(data.draw(row)), end=tuple(data.draw(row)), transitions=tuple(map(tuple, data.draw(steps))))
    labels = Labels.of(ID2LABEL, decoding, crf=crf if decoding == "crf" else None)
    batch = [
        np.asarray(data.draw(st.lists(row, min_size=n, max_size=n)), dtype=np.float32).reshape(n, len(TAGS))
        for n in lengths
    ]
    together = labels.decode(batch)
    assert [len(path) for path in together] == lengths
    for path, logits in zip(together, batch, strict=True):
        assert path.tolist() == labels.decode([logits])[0].tolist()


def test_of_equal_sequences_the_first_tags_are_taken() -> None:
    zero = (0.0,) * len(TAGS)
    labels = Labels.of(ID2LABEL, "crf", crf=Crf(start=zero, end=zero, transitions=(zero,) * len(TAGS)))
    assert [path.tolist() for path in labels.decode([np.zeros((3, 5)), np.zeros((1, 5))])] == [[0, 0, 0], [0]]


def test_a_crf_of_another_size_or_without_its_decoding_is_refused() -> None:
    crf = Crf(start=(0.0,), end=(0.0,), transitions=((0.0,),))
    with pytest.raises(ValueError, match="not of the 5 tags"):
        Labels.of(ID2LABEL, "crf", crf=crf)
    with pytest.raises(ValueError, match="belong together"):
        Labels.of(ID2LABEL, crf=crf)
    with pytest.raises(ValueError, match="belong together"):
        Labels.of(ID2LABEL, "crf")
