"""`slimner trim`: a checkpoint with the tokens that texts need, and no others."""

from __future__ import annotations

from pathlib import Path

import click

from ..eval import CorpusSource
from ..eval.corpora import UNSAID
from ..jobs.trimming import Trimmed
from ..jobs.trimming import trim as trim_job
from ..variants import LoadOptions
from . import options, printing
from .progress import Steps


@click.command(short_help="Cut a checkpoint's vocabulary to what texts need.")
@options.checkpoint
@click.option(
    "--keep",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Texts, one a line; all their tokens stay. May be given again.",
)
@click.option("--corpus", default=UNSAID, metavar="FILE", help="Labelled sentences; all their tokens stay.")
@options.corpus_reading
@click.option(
    "--characters",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File of characters that always stay, in any order.",
)
@click.option(
    "--outside",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Other texts, one a line, whose tokens need not stay; what they lose is counted.",
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

    Every text of --keep and --corpus keeps its tokens and its logits, to the last bit. Other texts may get unknown
    tokens. The result is an ordinary checkpoint for every variant. WordPiece and WordLevel vocabularies only.

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
        printing.print_json(made)
        return
    printing.say(*_lines(made))


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
