"""How often a verdict on F1 is wrong: corpora drawn with a known loss, judged as a gate judges them.

    python studies/f1.py --out f1-study [--runs 1000] [--jobs 2] [--plant silent ...] [--sentences 500 ...]

Each cell draws `--runs` corpora of one kind and judges the change of F1 at a margin that is just the true loss, where a
verdict "no worse" is a false pass and may come in 2.5 % of them at most. Cells that are done are in `cells.jsonl` and
not computed again. The tables of docs/evidence/f1.md are printed at the end. `--plant`, `--shape`, `--rate` and
`--sentences` choose some of the cells, and may be given several times.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path

import msgspec
import numpy as np
from slimner.core.paired import proportion, shared_level
from slimner.eval.intervals import change_interval
from slimner.reports.tables import markdown

LOSSES = (1.0, 2.0, 5.0)
SENTENCES = (1, 5, 20, 50, 100, 200, 500, 2000)
RATES = (0.3, 1.0, 3.0)
PLANTS = ("missing", "wrong", "silent", "mixed", "churn")
SHAPES = ("poisson", "geometric")
RUNS = 1000
BEYOND = 50  # draws beyond each end: a fifth of what a gate takes

# Of 100 gold entities the baseline finds so many, gives so many wrong ends, and finds so many that are none.
RIGHT, WRONG, INVENTED = 0.92, 0.04, 0.03
CHURN = 0.02  # share of the entities that change from wrong to right, and of those that change back, beside the loss

# Share of the entities that are of the type that is judged by itself, one of three.
OF_TYPE = 0.3


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Corpora of one kind: `rate` entities a sentence, `loss` pp lost in the way of `plant`.

    An entity is `missing` or has `wrong` ends, or nothing is found in a whole sentence (`silent`), or half the loss is
    of the first kind and half of the third (`mixed`), or as many entities change for the better as for the worse beside
    the loss, of which half are missing (`churn`).
    """

    plant: str
    shape: str
    rate: float
    loss: float
    sentences: int
    of_type: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge said of the corpora of a cell at a margin of the loss: passes, intervals that hold the loss, and
    alarms, verdicts that the loss is more than the margin."""

    cell: Cell
    runs: int
    passes: int
    covered: int
    alarms: int
    judged: int


def drawn(random: np.random.Generator, cell: Cell, share: float) -> tuple[np.ndarray, np.ndarray]:
    """A corpus: right, predicted and gold by sentence for the baseline and for a candidate that loses `share`."""
    n = cell.sentences
    rate = cell.rate * (OF_TYPE if cell.of_type else 1)
    gold = random.poisson(rate, n) if cell.shape == "poisson" else random.geometric(1 / (1 + rate), n) - 1
    right = random.binomial(gold, RIGHT)
    wrong = random.binomial(gold - right, WRONG / (1 - RIGHT))
    invented = random.poisson(INVENTED * rate, n)
    one = np.stack((right, right + wrong + invented, gold), axis=1)
    silence = {"silent": 1.0, "mixed": 0.5}.get(cell.plant, 0.0)
    lost = random.binomial(right, share * (1 - silence))
    gone = {"missing": lost, "mixed": lost, "wrong": 0 * lost}.get(cell.plant, random.binomial(lost, 0.5))
    after, predicted = right - lost, one[:, 1] - gone
    if silence:
        heard = random.random(n) >= share * silence
        after, predicted = after * heard, predicted * heard
    if cell.plant == "churn":
        gained = random.binomial(wrong, CHURN * RIGHT / WRONG)
        back = random.binomial(after, CHURN)
        after = after + gained - back
    return one.astype(float), np.stack((after, predicted, gold), axis=1).astype(float)


def share_of(plant: str, loss: float) -> float:
    """The share that has to be lost for F1 to drop by `loss` pp, by bisection on the expected counts."""

    def f1(share: float) -> float:
        right, predicted = RIGHT * (1 - share), RIGHT + WRONG + INVENTED
        if plant == "mixed":  # two losses of half the share, one after the other
            right = RIGHT * (1 - share / 2) ** 2
            predicted = (predicted - RIGHT * share / 2) * (1 - share / 2)
        elif plant == "silent":
            predicted *= 1 - share
        else:
            predicted -= RIGHT * share * {"missing": 1.0, "wrong": 0.0}.get(plant, 0.5)
        if plant == "churn":
            right = right * (1 - CHURN) + RIGHT * CHURN
        return 200 * right / (1 + predicted)

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if f1(0) - f1(middle) < loss else (low, middle)
    return low


def judge(cell: Cell, runs: int, margin: float | None = None) -> Found:
    """Draw and judge the corpora of a cell; the margin is the loss if none is given."""
    random = np.random.default_rng(list(msgspec.json.encode(cell)))
    share = share_of(cell.plant, cell.loss)
    level = shared_level(3) if cell.of_type else shared_level(1)
    margin = cell.loss if margin is None else margin
    passes = covered = alarms = judged = 0
    for run in range(runs):
        found = change_interval(*drawn(random, cell, share), seed=run, level=level, beyond=BEYOND)
        if found is not None:
            judged += 1
            passes += found.low >= -margin
            covered += found.low <= -cell.loss <= found.high
            alarms += found.high < -margin
    return Found(cell=cell, runs=runs, passes=int(passes), covered=int(covered), alarms=int(alarms), judged=judged)


def cells() -> Iterator[Cell]:
    """All corpora whose false passes and coverage are counted."""
    for plant, shape, rate, loss, sentences in product(PLANTS, SHAPES, RATES, LOSSES, SENTENCES):
        yield Cell(plant=plant, shape=shape, rate=rate, loss=loss, sentences=sentences)
    for plant, rate, loss, sentences in product(PLANTS, RATES, LOSSES, SENTENCES):
        yield Cell(plant=plant, shape="poisson", rate=rate, loss=loss, sentences=sentences, of_type=True)


def harmless() -> Iterator[tuple[Cell, float]]:
    """Corpora without a loss, with the margin that is asked for: how much power is left."""
    for plant, rate, margin, sentences in product(("nothing", "churn"), RATES, (0.5, 1.0, 2.0), SENTENCES[-4:]):
        yield Cell(plant=plant, shape="poisson", rate=rate, loss=0.0, sentences=sentences), margin


def compute(out: Path, runs: int, jobs: int, chosen: Mapping[str, Container[object]]) -> list[tuple[Found, float]]:
    """The cells of which each field is among the chosen, if any are, and the ones that are done from the file."""
    log = out / "cells.jsonl"
    out.mkdir(parents=True, exist_ok=True)
    lines = log.read_bytes().splitlines() if log.exists() else []
    done = [msgspec.json.decode(line, type=tuple[Found, float]) for line in lines]
    known = {(found.cell, margin) for found, margin in done if found.runs >= runs}
    wanted = [pair for pair in (*((cell, cell.loss) for cell in cells()), *harmless()) if pair not in known]
    wanted = [pair for pair in wanted if all(getattr(pair[0], name) in values for name, values in chosen.items())]
    wanted.sort(key=lambda pair: pair[0].sentences)
    with ProcessPoolExecutor(jobs) as pool, log.open("ab") as file:
        todo = {pool.submit(judge, cell, runs, margin): margin for cell, margin in wanted}
        for number, future in enumerate(as_completed(todo), 1):
            found = (future.result(), todo[future])
            file.write(msgspec.json.encode(found) + b"\n")
            file.flush()
            done.append(found)
            sys.stderr.write(f"{number} of {len(todo)}: {found[0].cell}\n")
    return done


def report(done: Sequence[tuple[Found, float]]) -> str:
    """The tables: by number of sentences, the worst cell and all of them together."""
    lossy = [found for found, _ in done if found.cell.loss]
    passes: list[tuple[str, ...]] = []
    alarms: list[tuple[str, ...]] = []
    for of_type, plant in product((False, True), PLANTS):
        mine = [f for f in lossy if f.cell.plant == plant and f.cell.of_type == of_type]
        name = f"{plant}{', one type' if of_type else ''}"
        if mine:
            passes.append((name, *(_worst(mine, n, lambda f: f.passes) for n in SENTENCES)))
            alarms.append((name, *(_worst(mine, n, lambda f: f.alarms) for n in SENTENCES)))
    power = [
        (
            f"{plant}, {rate:g} a sentence, margin {margin:g} pp",
            *(
                f"{found.passes / found.runs * 100:.0f} %"
                for found, at in sorted(done, key=lambda pair: pair[0].cell.sentences)
                if (found.cell.plant, found.cell.rate, found.cell.loss, at) == (plant, rate, 0.0, margin)
            ),
        )
        for plant, rate, margin in product(("nothing", "churn"), RATES, (0.5, 1.0, 2.0))
    ]
    power = [line for line in power if len(line) > 1]
    return "\n\n".join(
        (
            "False passes, the worst of the cells and its 95 % interval; below it the least coverage",
            markdown(("loss", *map(str, SENTENCES)), passes),
            "False alarms: verdicts that more was lost; the same",
            markdown(("loss", *map(str, SENTENCES)), alarms),
            "Passes when nothing became worse",
            markdown(("candidate", *map(str, SENTENCES[-4:])), power),
        )
    )


def _worst(found: Sequence[Found], sentences: int, wrong: Callable[[Found], int]) -> str:
    mine = [f for f in found if f.cell.sentences == sentences]
    if not mine:
        return "-"
    worst = max(mine, key=lambda f: wrong(f) / f.runs)
    _, high = proportion(wrong(worst), worst.runs)
    covered = min((f.covered / f.judged for f in mine if f.judged), default=1.0)
    return f"{wrong(worst) / worst.runs * 100:.1f} % (to {high * 100:.1f}); {covered * 100:.0f} %"


def main() -> None:
    """Compute what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("f1-study"))
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plant", action="append", choices=(*PLANTS, "nothing"))
    parser.add_argument("--shape", action="append", choices=SHAPES)
    parser.add_argument("--rate", action="append", type=float, choices=RATES)
    parser.add_argument("--sentences", action="append", type=int, choices=SENTENCES)
    given = vars(parser.parse_args())
    chosen = {name: given[name] for name in ("plant", "shape", "rate", "sentences") if given[name]}
    print(report(compute(given["out"], given["runs"], given["jobs"], chosen)))


if __name__ == "__main__":
    main()
