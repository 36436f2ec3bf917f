"""`slimner diff`: every entity that two variants find differently."""

from __future__ import annotations

import click
from rich.text import Text

from ..core.errors import UserError
from ..eval import CorpusSource, differences
from ..eval.differences import Difference, Differences
from . import options
from .sides import evaluate, given, inputs_of, pair_settings


@click.command(short_help="Every entity gained, lost, retyped or moved between two variants.")
@click.argument("baseline")
@click.argument("candidate")
@options.variant
@click.option("--most", type=click.IntRange(0), default=100, show_default=True, help="Print so many; 0 prints all.")
@options.corpus
@options.threads
@options.seed
@options.timeout
@options.as_json
@options.debug
def diff(
    baseline: str,
    candidate: str,
    variant: str | None,
    most: int,
    corpus: CorpusSource,
    threads: int,
    seed: int,
    timeout: float,
    as_json: bool,
    debug: bool,
) -> None:
    """List every entity of --corpus that BASELINE and CANDIDATE (artifacts, or checkpoints with --variant) find
    differently.

    \b
    slimner diff artifact-a artifact-b --corpus test.bio
    """
    options.require("seqeval")
    screen = options.err_console()
    settings = pair_settings(threads=threads, samples=100, warmup=0, seed=seed, timeout=timeout)
    inputs = inputs_of(corpus, "news-zh", settings)
    records = []
    with screen.status("reading") as status:
        for name in (baseline, candidate):
            found = given(name, variant, timeout, status.update)
            if found.artifact is None:
                raise UserError(f"{name} is a results file", "give artifacts; report.md has what differs in a run")
            status.update(f"scoring {name} on {len(inputs.corpus.sentences):,} sentences")
            records.append(evaluate(found.artifact, inputs))
    result = differences(records[0], records[1], inputs.corpus)
    if as_json:
        options.print_json(result)
        return
    console = options.out_console()
    console.print(headline(result), markup=False, soft_wrap=True)
    for difference in result.differences[: most or None]:
        console.print()
        console.print(line(difference), soft_wrap=True)
    if most and len(result.differences) > most:
        console.print(f"\n{len(result.differences) - most:,} more; --most 0 prints all", markup=False)


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
