"""`slimner trim`: a checkpoint with the tokens that texts need, and no others."""

from __future__ import annotations

from pathlib import Path

import click

from ..eval import CorpusSource
from ..eval.corpora import UNSAID
from ..jobs.trimming import Trimmed
from ..jobs.trimming import trim as trim_job
from ..variants import LoadOptions
from . import options
from .progress import Steps


@click.command(short_help="Cut a checkpoint's vocabulary to what texts need.")
@options.checkpoint
@click.option(
    "--keep",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Texts, one a line, whose every token stays; may be given again.",
)
@click.option("--corpus", default=UNSAID, metavar="FILE", help="Labelled sentences whose every token stays.")
@options.corpus_reading
@click.option(
    "--characters",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Characters that stay in any case: every one in the file, in any order.",
)
@click.option(
    "--outside",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Other texts, one a line, that nothing is kept for: what they lose is counted.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory to write; it must not exist.")
@options.seed
@options.timeout
@options.output
def trim(
    checkpoint: str,
    load: LoadOptions,
    keep: tuple[Path, ...],
    corpus: CorpusSource,
    characters: Path | None,
    outside: Path | None,
    out: Path,
    seed: int,
    timeout: float,
    as_json: bool,
) -> None:
    """Write CHECKPOINT again with a smaller vocabulary: rows of its embeddings and entries of its tokenizer.json.

    Every text of --keep and --corpus has the tokens it had, and the same logits to the last bit; a text with other
    tokens may be read with unknown ones. What comes out is a checkpoint like any other, for every variant. WordPiece
    and WordLevel vocabularies only.

    \b
    slimner trim my-checkpoint --keep texts.txt --characters common.txt --out trimmed
    slimner run trimmed --corpus dev.bio --workload texts.txt
    """
    with Steps() as progress:
        made = trim_job(
            checkpoint,
            out,
            keep=keep,
            corpus=None if corpus.name == UNSAID else corpus,
            characters=characters,
            outside=outside,
            load=load,
            timeout_s=timeout,
            progress=progress,
        )
    if as_json:
        options.print_json(made)
        return
    options.say(*_lines(made))


def _lines(made: Trimmed) -> list[str]:
    lines = [
        f"trimmed  {made.out}: {made.kept:,} of {made.tokens:,} tokens, {made.kept_bytes / 1e6:.1f} of "
        f"{made.weights_bytes / 1e6:.1f} MB",
        f"inside   {made.texts:,} texts have the tokens they had; {made.unknown.share * 100:.2f} % of these were "
        "unknown before, and are",
        f"unseen   about {made.unseen * 100:.2f} % of the tokens of further texts like these were cut, unless "
        "--characters kept them",
    ]
    if made.outside:
        what = made.outside
        lines.append(
            f"outside  {what.changed:,} of {what.texts:,} other texts are read otherwise; unknown tokens "
            f"{what.before.share * 100:.2f} -> {what.after.share * 100:.2f} %"
        )
        if what.after.examples:
            lines.append(f"         most often: {', '.join(what.after.examples)}")
    return [*lines, f"next     slimner run {made.out} --corpus FILE --workload FILE"]
