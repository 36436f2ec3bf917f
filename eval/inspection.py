"""The contents of a corpus: types, lengths, defects, duplicates, overlap."""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np

from ..core.records import Record
from .corpora import Corpus, Defect, Sentence, counts
from .planning import Plan


class LengthRange(Record, frozen=True, kw_only=True):
    """Minimum, median, 95th percentile and maximum of some lengths."""

    shortest: int
    p50: int
    p95: int
    longest: int


class TypeFacts(Record, frozen=True, kw_only=True):
    """An entity type: mentions, sentences it is in, distinct texts, and mention lengths in characters.

    `known` counts the mentions whose text is an entity of that type in the other corpus; None without another corpus.
    """

    type: str
    mentions: int
    sentences: int
    distinct: int
    length_characters: LengthRange
    known: int | None = None


class Overlap(Record, frozen=True, kw_only=True):
    """What a corpus shares with another: sentences whose text is in both, and mentions known from the other."""

    corpus: str
    sha256: str
    shared_sentences: int
    examples: tuple[str, ...]
    known_mentions: int


class Place(Record, frozen=True, kw_only=True):
    """Position of a defect (lines from 1; rows, in a dataset), and its description."""

    line: int
    detail: str


class DefectFacts(Record, frozen=True, kw_only=True):
    """Defects of one kind, repaired or read as they are: the first one, and the positions of all."""

    rule: str
    number: int
    line: int
    detail: str
    places: tuple[Place, ...] = ()


class Inspection(Record, frozen=True, kw_only=True):
    """The contents of a corpus.

    `duplicates` counts sentences whose text occurred before, `contradictions` those of them with different gold labels.
    `length_words` is None unless the corpus is split into words. `plans` say how many sentences a gate needs.
    """

    corpus: str
    sha256: str
    format: str
    encoding: str | None
    scheme: str | None
    sentences: int
    without_entities: int
    entities: int
    characters: int
    length_characters: LengthRange
    length_words: LengthRange | None
    types: tuple[TypeFacts, ...]
    duplicates: int
    contradictions: int
    defects: tuple[DefectFacts, ...]
    against: Overlap | None = None
    plans: tuple[Plan, ...] = ()


def _spread(lengths: Sequence[int]) -> LengthRange:
    low, middle, high, top = np.percentile(lengths, [0, 50, 95, 100], method="inverted_cdf")
    return LengthRange(shortest=int(low), p50=int(middle), p95=int(high), longest=int(top))


def _mentions(sentences: Sequence[Sentence]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = collections.defaultdict(list)
    for sentence in sentences:
        for start, end, kind in sentence.entities:
            found[kind].append(sentence.text[start:end])
    return found


def inspect(corpus: Corpus, against: Corpus | None = None) -> Inspection:
    """Describe a corpus, and what it shares with another."""
    sentences = corpus.sentences
    mentions = _mentions(sentences)
    elsewhere = {kind: set(texts) for kind, texts in _mentions(against.sentences).items()} if against else {}
    kinds = collections.Counter(kind for sentence in sentences for kind in {kind for *_, kind in sentence.entities})
    first: dict[str, Sentence] = {}
    repeated = [(s, first[s.text]) for s in sentences if first.setdefault(s.text, s) is not s]
    types = tuple(
        TypeFacts(
            type=kind,
            mentions=len(texts),
            sentences=kinds[kind],
            distinct=len(set(texts)),
            length_characters=_spread([len(text) for text in texts]),
            known=sum(text in elsewhere.get(kind, ()) for text in texts) if against else None,
        )
        for kind, texts in sorted(mentions.items(), key=lambda item: (-len(item[1]), item[0]))
    )
    by_rule: dict[str, list[Defect]] = collections.defaultdict(list)
    for defect in corpus.defects:
        by_rule[defect.rule].append(defect)
    return Inspection(
        corpus=corpus.name,
        sha256=corpus.sha256,
        format=corpus.format,
        encoding=corpus.encoding,
        scheme=corpus.scheme,
        sentences=len(sentences),
        without_entities=sum(not sentence.entities for sentence in sentences),
        entities=sum(map(len, mentions.values())),
        characters=sum(len(sentence.text) for sentence in sentences),
        length_characters=_spread([len(sentence.text) for sentence in sentences]),
        length_words=_spread([len(s.tokens) for s in sentences]) if all(s.words for s in sentences) else None,
        types=types,
        duplicates=len(repeated),
        contradictions=sum(one.entities != other.entities for one, other in repeated),
        defects=tuple(
            DefectFacts(
                rule=rule,
                number=number,
                line=by_rule[rule][0].line,
                detail=by_rule[rule][0].detail,
                places=tuple(Place(line=defect.line, detail=defect.detail) for defect in by_rule[rule]),
            )
            for rule, number in counts(corpus.defects).items()
        ),
        against=_overlap(corpus, against, types) if against else None,
    )


def _overlap(corpus: Corpus, other: Corpus, types: Sequence[TypeFacts]) -> Overlap:
    there = {sentence.text for sentence in other.sentences}
    shared = [sentence.text for sentence in corpus.sentences if sentence.text in there]
    return Overlap(
        corpus=other.name,
        sha256=other.sha256,
        shared_sentences=len(shared),
        examples=tuple(shared[:3]),
        known_mentions=sum(facts.known or 0 for facts in types),
    )
