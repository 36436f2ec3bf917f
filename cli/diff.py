"""`slimner diff`: every entity that two variants find differently."""

from __future__ import annotations

import click
from rich.text import Text

from ..core.records import Measuring
from ..eval import CorpusSource
from ..eval.differences import Difference, Differences
from ..jobs import differences
from . import options, printing
from .progress import Steps


@click.command(short_help="List every entity gained, lost, retyped or moved between two variants.")
@click.argument("baseline")
@click.argument("candidate")
@options.variant
@click.option("--most", type=click.IntRange(0), default=100, show_default=True, help="How many to print; 0 prints all.")
@options.corpus
@options.running
@options.output
def diff(
    baseline: str,
    candidate: str,
    variant: str | None,
    most: int,
    corpus: CorpusSource,
    settings: Measuring,
    as_json: bool,
) -> None:
    """List every entity of --corpus that BASELINE and CANDIDATE (artifacts or bundles, or checkpoints with --variant)
    find differently.

    \b
    slimner diff artifact-a artifact-b --corpus test.bio
    """
    with Steps() as progress:
        result = differences(
            baseline,
            candidate,
            variant=variant,
            corpus=corpus,
            threads=settings.threads,
            timeout_s=settings.timeout_s,
            progress=progress,
        )
    if as_json:
        printing.print_json(result)
        return
    console = printing.out_console()
    printing.say(headline(result))
    for difference in result.differences[: most or None]:
        console.print()
        console.print(line(difference), soft_wrap=True)
    if most and len(result.differences) > most:
        printing.say("", f"{len(result.differences) - most:,} more; --most 0 prints all")


def headline(result: Differences) -> str:
    """How many there are of each kind."""
    if not result.differences:
        return f"{result.candidate} finds what {result.baseline} finds in all {result.sentences:,} sentences"
    kinds = ", ".join(f"{count} {kind}" for kind, count in result.by_kind.items())
    return (
        f"{result.candidate} against {result.baseline}: {kinds}, in {result.touched:,} of {result.sentences:,} "
        f"sentences of {result.corpus}"
    )


def line(difference: Difference) -> Text:
    """A difference with its sentence; what the baseline found is underlined, what the candidate found is bold."""
    text = Text(f"{difference.sentence + 1:>6}  {difference.kind:<8}")
    before, after = difference.baseline, difference.candidate
    for i, entity in enumerate((before, after)):
        if entity is not None:
            found = difference.text[entity.start : entity.end]
            text.append(" -> " if i and before is not None else " ")
            text.append(f"{found} {entity.type}", style="bold" if i else "underline")
    text.append(f"  ({difference.effect})\n        ", style="dim")
    sentence = Text(difference.text.replace("\n", " "))
    if before is not None:
        sentence.stylize("underline", before.start, before.end)
    if after is not None:
        sentence.stylize("bold", after.start, after.end)
    return text.append_text(sentence)
