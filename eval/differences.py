"""What two variants answer differently, entity by entity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from ..core.records import EvaluationRecord, Found, Record
from .corpora import Corpus, Sentence
from .matching import match
from .scoring import entities

DifferenceKind = Literal["gained", "lost", "retyped", "moved"]


class Difference(Record, frozen=True, kw_only=True):
    """An entity that only one of two finds, or that both find differently, in sentence `sentence` (from 0) of a corpus.

    Gained: only the candidate finds it. Lost: only the baseline does. Retyped: both find it there, of another type.
    Moved: both find one of that type there, with other ends. `was_right` and `is_right` say whether gold has what the
    baseline and the candidate found.
    """

    sentence: int
    text: str
    kind: DifferenceKind
    baseline: Found | None
    candidate: Found | None
    was_right: bool
    is_right: bool

    @property
    def effect(self) -> str:
        """Its effect on the score."""
        if self.is_right:
            return "mended"
        return "broken" if self.was_right else "wrong before and after" if self.baseline and self.candidate else "wrong"


class Differences(Record, frozen=True, kw_only=True):
    """All differences between two artifacts on one corpus of `sentences` sentences; `variant` is the candidate's."""

    baseline: str
    candidate: str
    variant: str
    corpus: str
    sentences: int
    differences: tuple[Difference, ...]

    @property
    def by_kind(self) -> dict[str, int]:
        """How many there are of each kind that occurs, most first."""
        return dict(Counter(d.kind for d in self.differences).most_common())

    @property
    def touched(self) -> int:
        """Sentences with a difference."""
        return len({d.sentence for d in self.differences})


def differences(baseline: EvaluationRecord, candidate: EvaluationRecord, corpus: Corpus) -> Differences:
    """Every entity that two evaluations of one corpus answer differently; ValueError if it was another corpus."""
    for record in (baseline, candidate):
        if record.corpus_sha256 != corpus.sha256:
            raise ValueError(f"{record.variant} was scored on {record.corpus}, another corpus than {corpus.name}")
    found: list[Difference] = []
    for i, sentence in enumerate(corpus.sentences):
        found += _of_sentence(i, sentence, baseline.predictions[i], candidate.predictions[i])
    return Differences(
        baseline=baseline.artifact,
        candidate=candidate.artifact,
        variant=candidate.variant,
        corpus=corpus.name,
        sentences=len(corpus.sentences),
        differences=tuple(found),
    )


def _of_sentence(
    index: int, sentence: Sentence, before: Sequence[Found], after: Sequence[Found]
) -> Iterator[Difference]:
    if before == after:
        return
    gold = set(entities(sentence, sentence.tags))
    for old, new in match(before, after):
        if old == new:
            continue
        kind: DifferenceKind = "gained" if old is None else "lost"
        if old is not None and new is not None:
            kind = "moved" if old.type == new.type else "retyped"
        yield Difference(
            sentence=index,
            text=sentence.text,
            kind=kind,
            baseline=old,
            candidate=new,
            was_right=old in gold,
            is_right=new in gold,
        )
