"""`slimner corpus`: what is in a labelled file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from ..core.errors import UserError
from ..core.store import read_results, write_text
from ..core.units import POINTS, quantity
from ..eval import Corpus, CorpusSource, Plan, plan_from_corpus, plans_from_results, read_corpus
from ..eval.corpora import RULES, write
from ..eval.inspection import Inspection, LengthRange, inspect
from ..reports.content import Table
from . import options, printing

F1_DROP = "f1_max_drop"


def _margin(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """The margin of `--plan`, in percentage points."""
    if value is None:
        return None
    key, _, drop = value.partition("=")
    try:
        points = quantity(drop, POINTS) if key == F1_DROP else 0.0
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if not points:
        raise click.BadParameter(f"'{value}' is not a constraint to plan for; write it as {F1_DROP}=0.5pp")
    return points


@click.command(short_help="Show what is in a labelled file: types, lengths, defects, duplicates, overlap.")
@click.argument("corpus", metavar="FILE", default="news-zh")
@options.corpus_reading
@click.option("--against", default=None, metavar="OTHER", help="Another corpus; shows what the two have in common.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="Write the corpus, repaired, renamed and sampled, as JSON lines with character spans.",
)
@click.option(
    "--plan",
    "margin_pp",
    callback=_margin,
    metavar=f"{F1_DROP}=0.5pp",
    help="Show how many sentences like these a gate with that margin needs for 80 and 90 % power.",
)
@click.option(
    "--plan-from",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="RESULTS",
    help="Results of a run on this corpus; plans for variants that differ as much as these.",
)
@click.option(
    "--defects", "list_defects", is_flag=True, help="List every defect with its line, not only the first of each kind."
)
@options.seed
@options.output
def corpus(
    corpus: CorpusSource,
    against: str | None,
    out: Path | None,
    list_defects: bool,
    margin_pp: float | None,
    plan_from: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Show what is in FILE (by default the embedded news-zh), before you trust a score from it.

    Types, lengths, the tag scheme found, every kind of defect with what was done about it, duplicates, and what it has
    in common with another corpus, such as the one a model was trained on.

    \b
    slimner corpus test.bio --against train.bio
    slimner corpus export.json --map name=PER --drop game --out test.jsonl
    slimner corpus test.bio --plan f1_max_drop=0.5pp
    slimner corpus tagged.tsv --columns token=2,tag=3 --encoding big5
    """
    if plan_from and margin_pp is None:
        raise UserError("--plan-from without --plan", f"name the margin: --plan {F1_DROP}=0.5pp")
    labelled = read_corpus(corpus)
    labelled.require_named()
    other = (
        read_corpus(msgspec.structs.replace(corpus, name=against, format=None, columns={}, encoding=None, sample=None))
        if against
        else None
    )
    facts = inspect(labelled, other)
    if margin_pp is not None:
        facts = msgspec.structs.replace(facts, plans=_plans(labelled, margin_pp, plan_from))
    if out:
        write_text(out, write(labelled.sentences))
    if as_json:
        printing.print_json(facts)
        return
    printing.say(f"{facts.corpus}: {', '.join(_form(facts))}", "")
    printing.show(_types(facts))
    printing.say("", *(f"  {line}" for line in _lines(facts, list_defects)))
    if out:
        printing.say(f"  {'written':<12}{out}")


def _plans(labelled: Corpus, margin_pp: float, results: Path | None) -> tuple[Plan, ...]:
    if results is None:
        return (plan_from_corpus(labelled, margin_pp),)
    try:
        return plans_from_results(read_results(results), labelled, margin_pp)
    except ValueError as error:
        raise UserError(f"{results}: {error}", "give the results of a run on this corpus, or leave it out") from None


def _form(facts: Inspection) -> Iterator[str]:
    yield facts.format
    if facts.scheme:
        yield facts.scheme
    if facts.encoding:
        yield facts.encoding.upper()
    yield f"{facts.sentences:,} sentences"
    yield f"{facts.entities:,} entities"


def _types(facts: Inspection) -> Table:
    lines = [
        (
            kind.type,
            f"{kind.mentions:,}",
            f"{kind.mentions / facts.entities * 100:.0f} %",
            f"{kind.sentences:,}",
            f"{kind.distinct:,}",
            str(kind.length_characters.p50),
            str(kind.length_characters.longest),
            *([f"{kind.known / kind.mentions * 100:.0f} %"] if kind.known is not None else []),
        )
        for kind in facts.types
    ]
    known = ("known",) if facts.against else ()
    return Table(headings=("type", "entities", "share", "sentences", "distinct", "p50", "longest", *known), lines=lines)


def _lines(facts: Inspection, list_defects: bool) -> Iterator[str]:
    yield f"{'lengths':<12}{_range(facts.length_characters, 'characters')}"
    if facts.length_words:
        yield f"{'':<12}{_range(facts.length_words, 'words')}"
    yield f"{'no entity':<12}{facts.without_entities:,} sentences"
    yield (
        f"{'duplicates':<12}{facts.duplicates:,} sentences repeat an earlier one"
        + (f", {facts.contradictions:,} of them with other entities" if facts.contradictions else "")
    )
    for defect in facts.defects:
        rule = RULES[defect.rule]
        yield (
            f"{'defects':<12}{defect.number:,} {defect.rule}: {rule.wrong}; {rule.repair} "
            f"(line {defect.line}: {defect.detail})"
        )
        if list_defects:
            for place in defect.places:
                yield f"{'':<12}line {place.line}: {place.detail}"
    if not facts.defects:
        yield f"{'defects':<12}none"
    for plan in facts.plans:
        yield f"{'plan':<12}{plan}"
    if other := facts.against:
        known = (
            f"{other.known_mentions / facts.entities * 100:.0f} % of the entities" if facts.entities else "no entities"
        )
        yield (
            f"{'in common':<12}with {other.corpus}: {other.shared_sentences:,} sentences "
            f"({other.shared_sentences / facts.sentences * 100:.1f} %), {known}"
        )
        for example in other.examples:
            yield f"{'':<12}{example[:80]}"


def _range(spread: LengthRange, unit: str) -> str:
    return f"{spread.shortest:,} to {spread.longest:,} {unit}, p50 {spread.p50:,}, p95 {spread.p95:,}"
