"""How often a worse variant wins because it is simpler: choices among variants with known figures.

    python studies/ties.py [--runs 2000]

Two variants of which the simpler one is worse by so much are measured in a few processes, and in more of them as long
as `undecided` asks for it, up to `--most`. Printed: how often the simpler one wins, and how many choices stay open.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import product

import numpy as np
from slimner.core.paired import proportion
from slimner.reports import Policy, decide
from slimner.reports.comparison import Row
from slimner.reports.decision import undecided
from slimner.reports.tables import markdown

POLICY = Policy(f1_max_drop_pp=None, objective={"p50": 1.0})
COMPLEXITY = {"simple": 0, "lean": 1}
FIRST, MOST = 3, 12

Noise = Callable[[np.random.Generator, float], float]

NOISES: dict[str, Noise] = {
    "normal": lambda random, deviation: random.normal(0, deviation),
    "one-sided": lambda random, deviation: deviation * (random.exponential() - 1),
    "two modes": lambda random, deviation: deviation * (random.choice([-1, 1]) + random.normal(0, 0.2)),
}


def choice(
    random: np.random.Generator, worse: float, deviation: float, noise: str, most: int
) -> tuple[bool, int, bool]:
    """Whether the simpler variant wins, after how many processes of each, and whether it is still open."""
    values: dict[str, list[float]] = {"simple": [], "lean": []}

    def measure(variant: str) -> None:
        shift = np.log1p(worse) if variant == "simple" else 0.0
        values[variant].append(float(10 * np.exp(shift + NOISES[noise](random, deviation))))

    for _ in range(FIRST):
        for variant in values:
            measure(variant)
    while True:
        rows = [Row(variant=name, baseline=False, figures={"p50": tuple(found)}) for name, found in values.items()]
        wanted = undecided(rows, COMPLEXITY, POLICY)
        if not wanted or len(values["lean"]) >= most:
            return decide(rows, COMPLEXITY, POLICY).winner == "simple", len(values["lean"]), bool(wanted)
        for variant in wanted:
            measure(variant)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--most", type=int, default=MOST)
    given = parser.parse_args()
    lines: list[tuple[str, ...]] = []
    for noise, deviation, worse in product(NOISES, (0.01, 0.05, 0.1), (0.0, 0.1, 0.15)):
        random = np.random.default_rng([round(deviation * 100), round(worse * 100), list(NOISES).index(noise)])
        found = [choice(random, worse, deviation, noise, given.most) for _ in range(given.runs)]
        wins = sum(won for won, *_ in found)
        low, high = proportion(wins, given.runs)
        lines.append(
            (
                noise,
                f"{deviation * 100:.0f} %",
                f"{worse * 100:.0f} %",
                f"{wins / given.runs * 100:.1f} % ({low * 100:.1f} to {high * 100:.1f})",
                f"{np.mean([count for _, count, _ in found]):.1f}",
                f"{np.mean([left for *_, left in found]) * 100:.0f} %",
            )
        )
    headings = ("noise", "deviation", "truly worse by", "the simpler one wins", "processes", "still open")
    print(markdown(headings, lines))


if __name__ == "__main__":
    main()
