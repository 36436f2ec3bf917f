"""Texts a second of 2,000 sentences of mixed lengths: text by text on one core, and what the library offers.

    python studies/offline.py [--checkpoint NAME] [--texts 2000] [--rounds 3]

Sentences are those of the embedded corpus. A text by itself on one core is how `Predictor.many` went until windows
shared runs. Ways take turns within each round; ratios are over the first way, with the 95 % interval over rounds. Exit
code 1 if the entities of a way differ from the first way's, or, where a run has one thread, a score's last bit.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from common import artifact_of, where_and_when
from slimner import predict, zoo
from slimner.core.statistics import spread
from slimner.eval import read_corpus
from slimner.reports.tables import markdown
from slimner.variants import Entity, open_predictor

Found = list[list[Entity]]
Answer = list[tuple[int, int, str]]
FIRST = "text by text, one core"


def ways(artifact: Path, cores: int) -> dict[str, Callable[[Sequence[str]], Found]]:
    """Each way to answer texts, in order."""
    one, threaded = open_predictor(artifact, threads=1), open_predictor(artifact, threads=cores)
    return {
        FIRST: lambda texts: [one(text) for text in texts],
        "`Predictor.many`, one core": one.many,
        f"`Predictor.many`, {cores} threads": threaded.many,
        "`slimner.predict`, a process a core, its start included": lambda texts: list(predict(artifact, texts)),
    }


def unscored(entities: Sequence[Entity]) -> Answer:
    """Entities without their scores."""
    return [(entity.start, entity.end, entity.type) for entity in entities]


@click.command(help=__doc__)
@click.option("--checkpoint", default=str(zoo.checkpoint()), show_default="the embedded one")
@click.option("--texts", "count", default=2000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(checkpoint: str, count: int, rounds: int) -> None:
    sentences = [sentence.text for sentence in read_corpus(str(zoo.corpus())).sentences]
    texts = list(itertools.islice(itertools.cycle(sentences), count))
    all_ways = ways(artifact_of(checkpoint, "onnx-int8"), len(os.sched_getaffinity(0)))
    rates: dict[str, list[float]] = {name: [] for name in all_ways}
    wrong, inexact = dict.fromkeys(all_ways, 0), dict.fromkeys(all_ways, 0)
    expected: Found = []
    for number in range(rounds):
        order = list(all_ways) if number % 2 == 0 or not expected else list(all_ways)[::-1]
        for name in order:
            begun = time.monotonic()
            found = all_ways[name](texts)
            rates[name].append(count / (time.monotonic() - begun))
            expected = expected or found
            wrong[name] += sum(unscored(one) != unscored(other) for one, other in zip(found, expected, strict=True))
            inexact[name] += sum(one != other for one, other in zip(found, expected, strict=True))
    rows = []
    for name, values in rates.items():
        ratio = spread([value / first for value, first in zip(values, rates[FIRST], strict=True)])
        interval = "" if ratio.low is None else f" ({ratio.low:.2f} to {ratio.high:.2f})"
        figures = (", ".join(f"{v:.0f}" for v in values), f"{ratio.value:.2f}{interval}")
        rows.append((name, *figures, str(wrong[name]), str(inexact[name])))
    print(where_and_when())
    print(f"{count:,} sentences of {min(map(len, texts))} to {max(map(len, texts))} characters, {rounds} rounds.\n")
    print(markdown(("way", "texts per s, each round", "over the first", "other entities", "other scores"), rows))
    exact = not any(texts for name, texts in inexact.items() if "threads" not in name)
    raise SystemExit(0 if exact and not any(wrong.values()) else 1)


if __name__ == "__main__":
    main()
