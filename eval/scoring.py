"""Scores with seqeval: strict mode under the explicit scheme as the headline, conlleval mode beside it."""

from __future__ import annotations

import functools
import math
import multiprocessing
import os
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from ..core.child import die_with_parent
from ..core.machine import describe
from ..core.records import EvaluationRecord, Found, Score, TypeCount
from ..variants import Predictor, open_predictor, read_manifest
from ..variants.labels import spans
from ..variants.predictor import Tagging
from .corpora import Corpus, CorpusSource, Sentence, read_corpus
from .matching import count_matches

# Fewer characters a process are scored before another process has loaded its libraries.
LEAST_CHARACTERS = 50_000
PARTS_EACH = 8


def predict(predictor: Predictor, sentences: Sequence[Sentence]) -> list[list[str]]:
    """Predicted tags by each sentence's tokens: from its words if it came split, else from its text, as when served."""
    taggings = predictor.tag_many((one.text, one.tokens if one.words else None) for one in sentences)
    return [align(tagging, one) for tagging, one in zip(taggings, sentences, strict=True)]


def align(tagging: Tagging, sentence: Sentence) -> list[str]:
    """Predicted tags by the corpus's tokens.

    A token takes the tag of the first unit that reaches into it; where one unit covers several tokens, those after the
    first continue it (I-X). A character that no unit reaches (the tokenizer dropped it) is inside the entity that goes
    on after it, as it is in what is served, else O; a word that no unit reaches is O, as transformers' examples do.
    """
    tags: list[str] = []
    unit, last = 0, -1
    for start, end in sentence.tokens:
        while unit < len(tagging.offsets) and tagging.offsets[unit][1] <= start:
            unit += 1
        tag = tagging.tags[unit] if unit < len(tagging.offsets) else "O"
        if unit == len(tagging.offsets) or tagging.offsets[unit][0] >= end:
            goes_on = not sentence.words and tag.startswith("I-") and bool(tags) and tags[-1][2:] == tag[2:]
            tags.append(tag if goes_on else "O")
            continue
        tags.append(f"I-{tag[2:]}" if unit == last and tag != "O" else tag)
        last = unit
    return tags


def entities(sentence: Sentence, tags: Sequence[str]) -> tuple[Found, ...]:
    """Entities of a sentence's text by tags of its tokens."""
    return tuple(
        Found(start=sentence.tokens[first][0], end=sentence.tokens[last - 1][1], type=kind)
        for first, last, kind in spans(tags)
    )


def count(gold: Sequence[str], predicted: Sequence[str]) -> tuple[TypeCount, ...]:
    """Exactly right, predicted and gold entities of one sentence by type; types with none are left out."""
    wanted, found = set(spans(gold)), set(spans(predicted))
    kinds = sorted({kind for *_, kind in wanted | found})
    return tuple(
        TypeCount(
            type=kind,
            right=sum(span[2] == kind for span in wanted & found),
            predicted=sum(span[2] == kind for span in found),
            gold=sum(span[2] == kind for span in wanted),
        )
        for kind in kinds
    )


def score(gold: list[list[str]], predicted: list[list[str]]) -> tuple[Score, dict[str, Score], Score]:
    """Strict score, strict score by type, and default (conlleval) score of tag sequences."""
    from seqeval import metrics
    from seqeval.scheme import IOB2

    report: Any = metrics.classification_report  # its annotations name one of the types it takes and returns

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "no predicted samples": the zero it sets is what we report
        strict = report(gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0)
        default = report(gold, predicted, output_dict=True, zero_division=0)
    by_type = {str(k): _score(v) for k, v in strict.items() if not str(k).endswith(" avg")}
    return _score(strict["micro avg"]), by_type, _score(default["micro avg"])


def _score(row: dict[str, Any]) -> Score:
    return Score(
        precision=float(row["precision"]),
        recall=float(row["recall"]),
        f1=float(row["f1-score"]),
        support=int(row["support"]),
    )


def evaluate(directory: Path, corpus: Corpus, threads: int, processes: int = 1) -> EvaluationRecord:
    """Score an artifact on a corpus; CorpusError if gold has types the model does not know.

    A large corpus is divided among at most `processes` processes, which changes no tag.
    """
    manifest = read_manifest(directory)
    corpus.require_types(manifest.labels.types)
    tags, seconds = divided(directory, corpus.sentences, threads, processes)
    predicted = [corpus.names(found) for found in tags]
    gold = [list(sentence.tags) for sentence in corpus.sentences]
    if not any(tag != "O" for tags in (*gold, *predicted) for tag in tags):
        nothing = Score(precision=0.0, recall=0.0, f1=0.0, support=0)
        strict, by_type, default = nothing, dict[str, Score](), nothing
    else:
        strict, by_type, default = score(gold, predicted)
    found = tuple(entities(s, p) for s, p in zip(corpus.sentences, predicted, strict=True))
    return EvaluationRecord(
        variant=manifest.variant,
        artifact=manifest.name,
        machine=describe(),
        corpus=corpus.name,
        corpus_sha256=corpus.sha256,
        strict=strict,
        strict_by_type=by_type,
        default=default,
        sentences=tuple(count(g, p) for g, p in zip(gold, predicted, strict=True)),
        predictions=found,
        matches=count_matches((entities(s, s.tags), f) for s, f in zip(corpus.sentences, found, strict=True)),
        seconds=round(seconds, 3),
    )


def divided(
    directory: Path, sentences: Sequence[Sentence], threads: int, processes: int
) -> tuple[list[list[str]], float]:
    """Predicted tags of each sentence, and the seconds it took: in this process, or in several for a large corpus.

    Each of them opens the artifact by itself: they are forked before a back end is loaded, which might not survive it.
    """
    characters = sum(len(sentence.text) for sentence in sentences)
    processes = min(processes, characters // LEAST_CHARACTERS)
    if processes < 2:
        predictor = open_predictor(directory, threads=threads)
        started = time.perf_counter()
        return predict(predictor, sentences), time.perf_counter() - started
    started = time.perf_counter()
    size = math.ceil(len(sentences) / (processes * PARTS_EACH))
    starts = range(0, len(sentences), size)
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, initializer=die_with_parent, initargs=(os.getpid(),)) as pool:
        asked = [pool.submit(_predict_part, directory, sentences[at : at + size], threads) for at in starts]
        return [tags for part in asked for tags in part.result()], time.perf_counter() - started


def _predict_part(directory: Path, sentences: Sequence[Sentence], threads: int) -> list[list[str]]:
    return predict(_opened(directory, threads), sentences)


@functools.cache
def _opened(directory: Path, threads: int) -> Predictor:
    """The predictor of this process, which scores one part after another."""
    return open_predictor(directory, threads=threads)


def evaluate_in_child(directory: Path, corpus: CorpusSource, threads: int, processes: int) -> EvaluationRecord:
    """The child's job."""
    return evaluate(directory, read_corpus(corpus), threads, processes)
