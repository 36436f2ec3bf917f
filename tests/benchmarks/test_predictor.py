"""What one text costs, step by step: tokenize, decode, spans, and the whole predictor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from slimner import zoo
from slimner.variants import Predictor, open_predictor
from slimner.variants.labels import Labels, log_softmax, spans
from tokenizers import Tokenizer

TEXTS = zoo.workload().read_text(encoding="utf-8").splitlines()
MEDIAN = "挪威首相斯特勒在哥本哈根与东道主就北极安全和渔业配额问题交换意见。沙特媒体直呼“他不会老”🔥"


@pytest.fixture(scope="module")
def predictor(embedded_int8: Path) -> Predictor:
    return open_predictor(embedded_int8)


@pytest.fixture(scope="module")
def logits(predictor: Predictor) -> np.ndarray:
    """Logits of a full window in which the best tag of each token by itself is no valid sequence."""
    return np.random.default_rng(1).normal(size=(predictor.body, len(predictor.labels.tags)), scale=3)


def may_follow(tag: str, before: str | None) -> bool:
    return not tag.startswith("I-") or (before is not None and before != "O" and before[2:] == tag[2:])


def best_total(tags: tuple[str, ...], scores: list[list[float]]) -> float:
    """The highest score a valid sequence of tags can reach, token by token."""
    best = {tag: score for tag, score in zip(tags, scores[0], strict=True) if may_follow(tag, None)}
    for row in scores[1:]:
        best = {
            tag: score + max(total for before, total in best.items() if may_follow(tag, before))
            for tag, score in zip(tags, row, strict=True)
            if any(may_follow(tag, before) for before in best)
        }
    return max(best.values())


def test_tokenize_the_workload(benchmark: BenchmarkFixture, predictor: Predictor) -> None:
    encodings = benchmark(lambda: [predictor.encode(text) for text in TEXTS])
    tokenizer = Tokenizer.from_file(str(zoo.checkpoint() / "tokenizer.json"))
    assert [encoding.ids for encoding in encodings] == [tokenizer.encode(text).ids for text in TEXTS]


def test_decode_a_window_to_the_best_valid_sequence(
    benchmark: BenchmarkFixture, predictor: Predictor, logits: np.ndarray
) -> None:
    labels = Labels(predictor.labels.tags, "constrained")
    found = benchmark(labels.decode, [logits])[0].tolist()
    tags = [labels.tags[i] for i in found]
    assert all(may_follow(tag, before) for before, tag in zip([None, *tags], tags, strict=False))
    scores = log_softmax(logits)
    total = float(scores[np.arange(len(found)), found].sum())
    assert total == pytest.approx(best_total(labels.tags, scores.tolist()))


def test_decode_32_sentences_to_their_best_valid_sequences(
    benchmark: BenchmarkFixture, predictor: Predictor, logits: np.ndarray
) -> None:
    labels = Labels(predictor.labels.tags, "constrained")
    batch = [logits[i : i + 20 + i] for i in range(32)]
    found = benchmark(labels.decode, batch)
    assert [path.tolist() for path in found] == [labels.decode([one])[0].tolist() for one in batch]


def test_decode_a_window_by_best_tag(benchmark: BenchmarkFixture, predictor: Predictor, logits: np.ndarray) -> None:
    (found,) = benchmark(Labels(predictor.labels.tags, "argmax").decode, [logits])
    assert found.tolist() == [row.index(max(row)) for row in logits.tolist()]


def test_spans_of_the_workload(benchmark: BenchmarkFixture, predictor: Predictor) -> None:
    from seqeval.scheme import IOB2, Entities

    tagged = [predictor.tag(text).tags for text in TEXTS]
    found = benchmark(lambda: [spans(tags) for tags in tagged])
    expected = [[entity.to_tuple()[1:] for entity in text] for text in Entities(list(map(list, tagged)), IOB2).entities]
    assert [[(kind, start, end) for start, end, kind in text] for text in found] == expected
    assert sum(map(len, found)) > len(TEXTS)


def test_predict_a_text_of_median_length(
    benchmark: BenchmarkFixture, predictor: Predictor, embedded_int8: Path
) -> None:
    assert MEDIAN in TEXTS
    assert len(MEDIAN) == sorted(map(len, TEXTS))[len(TEXTS) // 2]
    entities = benchmark(predictor, MEDIAN)
    assert {("挪威", "LOC"), ("斯特勒", "PER"), ("北极", "LOC")} <= {(e.text, e.type) for e in entities}
    assert entities == open_predictor(embedded_int8)(MEDIAN)
