from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slimner.core import child
from slimner.core.machine import describe, thread_environment
from slimner.core.records import EvaluationRecord, Score, TypeCount
from slimner.eval import CorpusSource, Sentence, f1_change, f1_interval, read_corpus
from slimner.eval.scoring import LEAST_CHARACTERS, align, count, evaluate, evaluate_in_child, score
from slimner.variants.predictor import Tagging

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
sequences = st.lists(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.lists(st.sampled_from(TAGS), min_size=n, max_size=n),
            st.lists(st.sampled_from(TAGS), min_size=n, max_size=n),
        )
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(sequences)
def test_counts_by_sentence_add_up_to_seqevals_strict_score(pairs: list[tuple[list[str], list[str]]]) -> None:
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    counts = [c for g, p in pairs for c in count(g, p)]
    right, found, wanted = (sum(getattr(c, key) for c in counts) for key in ("right", "predicted", "gold"))
    if not (found or wanted):
        return
    strict, _, _ = score(gold, predicted)
    assert strict.support == wanted
    assert strict.f1 == pytest.approx(2 * right / (found + wanted))


def test_strict_mode_sees_a_flip_that_the_default_hides() -> None:
    strict, _, default = score([["B-PER", "I-PER"], ["O", "B-LOC"]], [["I-PER", "I-PER"], ["O", "B-LOC"]])
    assert strict.f1 == pytest.approx(2 / 3)
    assert default.f1 == 1


def tagging(*units: tuple[int, int, str]) -> Tagging:
    return Tagging(
        offsets=tuple((a, b) for a, b, _ in units),
        tags=tuple(t for *_, t in units),
        probabilities=tuple(1.0 for _ in units),
    )


def sentence(text: str, *tokens: tuple[int, int]) -> Sentence:
    return Sentence(text=text, tokens=tokens, tags=("O",) * len(tokens))


def test_the_first_unit_of_a_word_speaks_for_it() -> None:
    predicted = tagging((0, 3, "B-LOC"), (3, 4, "O"), (5, 8, "I-LOC"))
    assert align(predicted, sentence("U.S. gov", (0, 4), (5, 8))) == ["B-LOC", "I-LOC"]


def test_a_unit_over_several_characters_is_one_entity() -> None:
    predicted = tagging((0, 3, "B-ORG"), (3, 4, "O"))
    assert align(predicted, sentence("NBA赛", (0, 1), (1, 2), (2, 3), (3, 4))) == ["B-ORG", "I-ORG", "I-ORG", "O"]


def test_a_character_the_tokenizer_drops_is_inside_the_entity_around_it_and_else_outside() -> None:
    dropped = sentence("王\u200b芳\u200b", (0, 1), (1, 2), (2, 3), (3, 4))
    assert align(tagging((0, 1, "B-PER"), (2, 3, "I-PER")), dropped) == ["B-PER", "I-PER", "I-PER", "O"]
    assert align(tagging((0, 1, "B-PER"), (2, 3, "B-PER")), dropped) == ["B-PER", "O", "B-PER", "O"]
    assert align(tagging((0, 1, "B-PER"), (2, 3, "I-LOC")), dropped) == ["B-PER", "O", "I-LOC", "O"]


def test_a_word_the_tokenizer_drops_is_outside() -> None:
    words = Sentence(text="a b c", tokens=((0, 1), (2, 3), (4, 5)), tags=("O",) * 3, words=True)
    assert align(tagging((0, 1, "B-PER"), (4, 5, "I-PER")), words) == ["B-PER", "O", "I-PER"]


def record(*counts: tuple[int, int, int], corpus: str = "c") -> EvaluationRecord:
    nothing = Score(precision=0, recall=0, f1=0, support=0)
    return EvaluationRecord(
        variant="v",
        artifact="a",
        machine=describe(),
        corpus=corpus,
        corpus_sha256=corpus,
        strict=nothing,
        strict_by_type={},
        default=nothing,
        sentences=tuple((TypeCount(type="PER", right=r, predicted=p, gold=g),) for r, p, g in counts),
        predictions=((),) * len(counts),
        seconds=0,
    )


def test_an_interval_is_around_the_score_and_repeats_with_its_seed() -> None:
    scored = record(*[(1, 1, 1)] * 80, *[(0, 1, 1)] * 20)
    interval = f1_interval(scored, seed=1)
    assert interval.value == pytest.approx(0.8)
    # the mean of 100 draws of 0 or 1 with p = 0.8: a normal interval of half width 1.96 * sqrt(0.8 * 0.2 / 100)
    assert interval.half_width == pytest.approx(0.0784, abs=0.012)
    assert interval.low < 0.8 < interval.high
    assert f1_interval(scored, seed=1) == interval
    assert f1_interval(scored, seed=2) != interval


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    import random

    draw = random.Random(5)
    hits = 0
    for trial in range(120):
        interval = f1_interval(
            record(*[(1, 1, 1) if draw.random() < 0.8 else (0, 1, 1) for _ in range(150)]), seed=trial
        )
        hits += interval.low <= 0.8 <= interval.high
    assert 106 <= hits <= 120


def test_the_same_predictions_have_no_change_at_all() -> None:
    scored = record(*[(1, 2, 2)] * 30, *[(2, 2, 3)] * 20)
    change = f1_change(scored, scored, seed=1)
    assert (change.points.low, change.points.value, change.points.high) == (0, 0, 0)
    assert (change.gained, change.lost) == (0, 0)


def test_swapping_the_two_turns_the_sign_of_a_change_and_a_loss_is_doubted_less_than_a_gain() -> None:
    one, two = record(*[(1, 1, 1)] * 50, *[(0, 1, 1)] * 10), record(*[(1, 1, 1)] * 55, *[(0, 1, 1)] * 5)
    there, back = f1_change(one, two, seed=3), f1_change(two, one, seed=3)
    assert there.points.value == pytest.approx(-back.points.value)
    assert there.points.low < -back.points.high < there.points.value
    assert there.points.value < there.points.high < -back.points.low
    assert (there.gained, there.lost) == (5, 0)
    assert (back.gained, back.lost) == (0, 5)


def test_scores_on_different_corpora_are_not_compared() -> None:
    with pytest.raises(ValueError, match="different corpora: one and two"):
        f1_change(record((1, 1, 1), corpus="one"), record((1, 1, 1), corpus="two"), seed=1)


def test_an_artifact_is_scored_on_its_own_entities(artifacts: dict[str, Path], small_corpus: Path) -> None:
    """The entities the predictor gives, scored by hand, are the headline: what is served is what was scored."""
    from slimner.variants import open_predictor
    from slimner.variants.labels import spans

    corpus = read_corpus(str(small_corpus))
    evaluated = evaluate(artifacts["onnx-fp32"], corpus, 1)
    predictor = open_predictor(artifacts["onnx-fp32"])
    right = found = wanted = 0
    for s in corpus.sentences:
        gold = {(s.tokens[a][0], s.tokens[b - 1][1], kind) for a, b, kind in spans(s.tags)}
        entities = {(e.start, e.end, e.type) for e in predictor(s.text)}
        right, found, wanted = right + len(gold & entities), found + len(entities), wanted + len(gold)
    assert found > 0
    assert evaluated.strict.f1 == pytest.approx(2 * right / (found + wanted))
    assert evaluated.strict.support == wanted


def test_a_corpus_without_entities_scores_zero_and_not_an_error(artifacts: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "。", "entities": []}\n')
    assert evaluate(artifacts["fp32"], read_corpus(str(path)), 1).strict.support == 0


def test_a_corpus_divided_over_processes_has_the_record_of_one_that_is_not(
    artifacts: dict[str, Path], small_corpus: Path, tmp_path: Path
) -> None:
    text, entities = "", []
    while len(text) < LEAST_CHARACTERS // 20:
        for sentence in read_corpus(str(small_corpus)).sentences:
            entities += [{"start": a + len(text), "end": b + len(text), "type": t} for a, b, t in sentence.entities]
            text += sentence.text
    large = tmp_path / "large.jsonl"
    large.write_text((json.dumps({"text": text, "entities": entities}) + "\n") * 41, encoding="utf-8")
    one, two = (
        child.call(evaluate_in_child, artifacts["onnx-int8"], CorpusSource(name=str(large)), 1, processes).run(
            timeout_s=300, environment=thread_environment(1)
        )
        for processes in (1, 2)
    )
    assert msgspec.structs.replace(two, seconds=one.seconds) == one
