"""Windows that share runs of `onnx-int8`: logits to the last bit, and processor time, against each window alone.

    python studies/batching.py [--checkpoint NAME] [--beside ARTIFACT] [--rounds 12]

Time is that of the thread, so that other load on the machine counts little, in turns within each round; a ratio is the
median over rounds. `--beside` is an artifact built otherwise, measured with each window alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from slimner.core.cache import cache_directory
from slimner.variants import VARIANTS, open_predictor, resolve_checkpoint
from slimner.variants.building import build

GROUPS: Mapping[str, Sequence[int]] = {
    "33": (33,),
    "33, 33": (33,) * 2,
    "33, 33, 33": (33,) * 3,
    "33, 33, 33, 33": (33,) * 4,
    "12, 25, 33, 48": (12, 25, 33, 48),
    "17, 22, 30, 38, 45": (17, 22, 30, 38, 45),
    "128": (128,),
    "512": (512,),
}
COMPARED = 100


def differing(model: Any, draw: np.random.Generator) -> int:
    """How many of `COMPARED` groups of 2 to 8 windows, 1 to 120 tokens each, have a logit that differs from alone."""
    wrong = 0
    for _ in range(COMPARED):
        windows = [tokens(draw, int(draw.integers(1, 121))) for _ in range(draw.integers(2, 9))]
        together = model.together(windows)
        wrong += not all(np.array_equal(one, model(window)) for one, window in zip(together, windows, strict=True))
    return wrong


def tokens(draw: np.random.Generator, length: int) -> np.ndarray:
    """Random ids."""
    return draw.integers(5, 20_000, length)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of this thread that the work takes."""
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


@click.command(help=__doc__)
@click.option("--checkpoint", default="synthetic:bert-base-chinese", show_default=True)
@click.option("--beside", type=click.Path(path_type=Path, exists=True))
@click.option("--rounds", default=12, show_default=True)
def main(checkpoint: str, beside: Path | None, rounds: int) -> None:
    source = resolve_checkpoint(checkpoint)
    artifact, _ = build(source, VARIANTS.get("onnx-int8"), cache=cache_directory(), timeout_s=1800)
    model: Any = open_predictor(artifact.path).model
    other: Any = open_predictor(beside).model if beside else model
    draw = np.random.default_rng(0)
    click.echo(f"batching: {artifact.manifest.batching}")
    if artifact.manifest.batching == "packed":
        click.echo(f"groups with a bit that differs: {differing(model, draw)} of {COMPARED}")
    click.echo("\n| windows, tokens | each alone, ms a window | in one run | ratio |\n|:--|--:|--:|--:|")
    for name, lengths in GROUPS.items():
        windows = [tokens(draw, length) for length in lengths]
        if artifact.manifest.batching != "packed" and len(set(lengths)) > 1:
            continue
        alone, together = [], []
        for _ in range(rounds):
            alone.append(seconds(lambda windows=windows: [other(window) for window in windows]))
            together.append(seconds(lambda windows=windows: model.together(windows)))
        each = [1000 * float(np.median(times)) / len(windows) for times in (alone, together)]
        ratio = float(np.median(np.asarray(together) / np.asarray(alone)))
        click.echo(f"| {name} | {each[0]:.1f} | {each[1]:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
