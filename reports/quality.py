"""Parts of a report about answers: scores by type, how entities meet gold ones, sentences that differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.records import EvaluationRecord, Found, Matches, Results
from ..eval import Differences
from ..eval.differences import Difference
from .comparison import Row
from .content import Cell, Part, Section, Sentence, Sentences, Span, Table, Text
from .formatting import MISSING

# Sentences that a report carries, and their characters; the rest is in differences.json.
MOST_SENTENCES, MOST_CHARACTERS = 1_000, 200_000

MATCHES = ("right", "boundary", "type", "overlap", "missed", "spurious")
MATCHES_SAID = (
    "Entities against gold, one to one: right; the type right but not the ends (boundary); the ends right but not the "
    "type; only an overlap; missed; spurious. Strict F1 counts only what is right."
)


def sections(
    results: Results, rows: Sequence[Row], winner: str | None, differences: Sequence[Differences]
) -> Iterator[Section]:
    """Scores by type, partial matches and differences, where there are records of them."""
    if results.evaluations:
        parts: list[Part] = [by_type(results.evaluations)]
        if any(row.change for row in rows):
            changes = [(row.variant, row.change) for row in rows if row.change]
            said = "; ".join(f"{variant} {change.gained} gained, {change.lost} lost" for variant, change in changes)
            parts.append(Text(f"Sentences that only one of the two gets wholly right, against the baseline: {said}."))
        yield Section(title="F1 by type", parts=parts)
        if any(record.matches for record in results.evaluations):
            yield Section(title="Partial matches", parts=[Text(MATCHES_SAID), partial(results.evaluations)])
    if differences:
        yield differing(results, winner, differences)


def by_type(evaluations: Sequence[EvaluationRecord]) -> Table:
    """Precision, recall and F1, all types together and each by itself."""
    lines: list[tuple[str | Cell, ...]] = []
    for record in evaluations:
        scores = {"all": record.strict, **record.strict_by_type}
        for kind, score in scores.items():
            figures = [Cell(f"{v * 100:.2f}", v) for v in (score.precision, score.recall, score.f1)]
            default = Cell(f"{record.default.f1 * 100:.2f}", record.default.f1) if kind == "all" else MISSING
            lines.append((record.variant, kind, *figures, default, Cell(f"{score.support:,}", score.support)))
    return Table(headings=("variant", "type", "precision", "recall", "F1", "default F1", "gold"), lines=lines)


def partial(evaluations: Sequence[EvaluationRecord]) -> Table:
    """How many entities meet gold ones in each way."""
    lines: list[tuple[str | Cell, ...]] = []
    for record in evaluations:
        for kind in ("all", *record.matches):
            counted = [record.matches[kind]] if kind != "all" else list(record.matches.values())
            counts = [_sum(counted, name) for name in MATCHES]
            lines.append((record.variant, kind, *(Cell(f"{count:,}", count) for count in counts)))
    return Table(headings=("variant", "type", *MATCHES), lines=lines)


def _sum(counted: Sequence[Matches], name: str) -> int:
    return sum(int(getattr(one, name)) for one in counted)


def differing(results: Results, winner: str | None, differences: Sequence[Differences]) -> Section:
    """How many entities each variant finds differently from the baseline, and the sentences, the winner's first."""
    kinds, effects = ("gained", "lost", "retyped", "moved"), ("mended", "broken")
    lines: list[tuple[str | Cell, ...]] = [
        (
            found.variant,
            *(_count(found.by_kind.get(kind, 0)) for kind in kinds),
            _count(found.touched),
            *(_count(sum(d.effect == effect for d in found.differences)) for effect in effects),
        )
        for found in differences
    ]
    table = Table(headings=("variant", *kinds, "sentences", *effects), lines=lines)
    predictions = {record.variant: record.predictions for record in results.evaluations}
    before = predictions.get(results.settings.baseline, ())
    items: list[Sentence] = []
    left_out = characters = 0
    for found in sorted(differences, key=lambda found: found.variant != winner):
        grouped: dict[int, list[Difference]] = {}
        for one in found.differences:
            grouped.setdefault(one.sentence, []).append(one)
        after = predictions.get(found.variant, ())
        for number, changed in grouped.items():
            characters += len(changed[0].text)
            if characters > MOST_CHARACTERS or len(items) == MOST_SENTENCES:
                left_out += 1
            else:
                items.append(_sentence(found.variant, number, changed, before, after))
    return Section(
        title="Entities that differ from the baseline's",
        parts=[table, Sentences(baseline=results.settings.baseline, items=items, left_out=left_out)],
    )


def _count(count: int) -> Cell:
    return Cell(f"{count:,}", count)


def _sentence(
    variant: str,
    number: int,
    changed: Sequence[Difference],
    before: Sequence[Sequence[Found]],
    after: Sequence[Sequence[Found]],
) -> Sentence:
    """A sentence with both labellings; without recorded predictions they hold only what differs."""
    both = [
        list(given[number]) if number < len(given) else [e for d in changed if (e := getattr(d, side))]
        for given, side in ((before, "baseline"), (after, "candidate"))
    ]
    found = [entity for d in changed for entity in (d.baseline, d.candidate) if entity]
    return Sentence(
        number=number + 1,
        text=changed[0].text,
        variant=variant,
        before=[_span(entity, both[1]) for entity in both[0]],
        after=[_span(entity, both[0]) for entity in both[1]],
        changes=[(d.kind, _entity(d.text, d.baseline), _entity(d.text, d.candidate), d.effect) for d in changed],
        types=tuple(sorted({entity.type for entity in found})),
        effects=tuple(sorted({d.effect for d in changed})),
    )


def _span(entity: Found, others: Sequence[Found]) -> Span:
    return Span(entity.start, entity.end, entity.type, entity in others)


def _entity(text: str, entity: Found | None) -> str:
    return f"{text[entity.start : entity.end]} {entity.type}" if entity else MISSING
