"""How often a whole gate is wrong, all metrics, looks and types together, on noise that is not nice: simulated.

    python studies/family.py [--gates 2000] [--scored 500]

Once the gate knows nothing of the machine, once what `slimner calibrate` finds from 40 pairs of the same noise.
A gate judges five figures of time and memory in pairs after each look, F1, and F1 of three types. Nothing is planted;
or one of them is worse by exactly its margin, where "pass" is a false pass; or all of them are, where "regression" is a
false alarm as well. The verdicts are those of `slimner gate`; only the figures are drawn. F1 and the pairs are drawn
independently of each other. The table of docs/evidence/gate-error.md is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

import numpy as np
from f1 import Cell, drawn, share_of
from slimner.core.lasting import UNKNOWN, lasting_of
from slimner.core.metrics import METRICS
from slimner.core.paired import LOOKS, Change, centre_of_pairs, proportion, shared_level
from slimner.core.verdicts import judge
from slimner.eval.intervals import change_interval
from slimner.reports.calibration import Intervals, outcomes
from slimner.reports.tables import markdown

# Standard deviation of a pair's change: relative, growth in bytes per 100 answers.
DEVIATIONS = {"p50": 0.03, "p95": 0.035, "tail": 0.06, "memory": 0.003, "growth": 40_000.0}
MARGINS = {name: METRICS[name].margin for name in DEVIATIONS}
SHARED = 0.5  # correlation of a process's figures
AUTOCORRELATION = 0.5
CALIBRATED = 40  # pairs of a calibration

SENTENCES, RATE, POINTS, TYPES = 500, 3.0, 2.0, 3

PLANTS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    **{name: (name,) for name in ("p50", "memory", "growth", "f1")},
    "everything": (*DEVIATIONS, "f1"),
}


def asymmetric(random: np.random.Generator, pairs: int) -> np.ndarray:
    """Lognormal noise of the processes of both sides, shape (pairs, 2)."""
    return random.lognormal(0, 1, (pairs, 2))


def two_modes(random: np.random.Generator, pairs: int) -> np.ndarray:
    """Three processes of ten are slower by five deviations of the others."""
    return 5.0 * (random.random((pairs, 2)) < 0.3) + random.standard_normal((pairs, 2))


def machine_drifts(random: np.random.Generator, pairs: int) -> np.ndarray:
    """The machine's state goes from process to process; which side of a pair begins is drawn for every other pair."""
    found = _autocorrelated(random, 2 * pairs).reshape(pairs, 2)
    begins = np.repeat(random.integers(0, 2, -(-pairs // 2)), 2)[:pairs] ^ (np.arange(pairs) % 2)
    return np.where(begins[:, None] == 1, found[:, ::-1], found)


def side_drifts(random: np.random.Generator, pairs: int) -> np.ndarray:
    """What favours a side in a pair goes on to the next, whichever side begins: no order of measuring helps."""
    return np.stack((np.zeros(pairs), _autocorrelated(random, pairs)), axis=1)


def _autocorrelated(random: np.random.Generator, count: int) -> np.ndarray:
    values = random.standard_normal(count)
    for i in range(1, count):
        values[i] = AUTOCORRELATION * values[i - 1] + np.sqrt(1 - AUTOCORRELATION**2) * values[i]
    return values


Noise = Callable[[np.random.Generator, int], np.ndarray]
NOISES: dict[str, Noise] = {
    "asymmetric (lognormal)": asymmetric,
    "two modes": two_modes,
    "machine drifts (0.5)": machine_drifts,
    "side drifts (0.5)": side_drifts,
}


def gate(random: np.random.Generator, noise: Noise, scale: float, *, calibrated: bool) -> Intervals:
    """The intervals of one gate at each look; `scale` makes the deviation of a pair's change 1."""
    changes = figures(random, noise, scale, LOOKS[-1])
    earlier = figures(random, noise, scale, CALIBRATED) if calibrated else {}
    known = {name: lasting_of(earlier[name]) if calibrated else UNKNOWN for name in changes}
    level = shared_level(len(DEVIATIONS), len(LOOKS))
    return [
        {name: centre_of_pairs(values[:look], level, known[name]) for name, values in changes.items()} for look in LOOKS
    ]


def figures(random: np.random.Generator, noise: Noise, scale: float, pairs: int) -> dict[str, list[float]]:
    """The change of each metric in successive pairs."""
    common, *own = (np.diff(noise(random, pairs), axis=1)[:, 0] / scale for _ in range(len(DEVIATIONS) + 1))
    return {
        name: (DEVIATIONS[name] * (np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * mine)).tolist()
        for name, mine in zip(DEVIATIONS, own, strict=True)
    }


def scored(random: np.random.Generator, loss: float, seed: int) -> str:
    """What F1 and F1 by type say together: "regression", "pass" or "inconclusive"; each type loses as much as all."""
    cell = Cell(plant="churn", shape="geometric", rate=RATE / TYPES, loss=loss, sentences=SENTENCES)
    share = share_of(cell.plant, loss) if loss else 0.0
    types = [drawn(random, cell, share) for _ in range(TYPES)]
    tables = [(sum(one for one, _ in types), sum(two for _, two in types)), *types]
    verdicts = []
    for number, (one, two) in enumerate(tables):
        level = shared_level(TYPES if number else 1)
        found = change_interval(np.asarray(one), np.asarray(two), seed=seed, level=level, beyond=50)
        assert found is not None
        change = Change(value=found.value, low=found.low, high=found.high, level=level, n=SENTENCES)
        verdicts.append((judge(change, POINTS, METRICS["f1"]), found.low >= -POINTS))
    if any(verdict == "worse" for verdict, _ in verdicts):
        return "regression"
    return "pass" if verdicts[0][1] else "inconclusive"


def ends(random: np.random.Generator, gates: list[Intervals], f1: list[str], plant: tuple[str, ...]) -> tuple[int, int]:
    """How many gates end with "pass" and with "regression"."""
    shifts: Mapping[str, float] = {name: MARGINS[name] for name in plant if name in MARGINS}
    passes = regressions = 0
    for measured in gates:
        both = {next(iter(outcomes([measured], MARGINS, shifts))), f1[random.integers(len(f1))]}
        regressions += "regression" in both
        passes += both == {"pass"}
    return passes, regressions


def main() -> None:
    """Simulate, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gates", type=int, default=2000)
    parser.add_argument("--scored", type=int, default=500, help="corpora from which each gate's F1 is taken")
    given = parser.parse_args()
    random = np.random.default_rng(1)
    f1 = {loss: [scored(random, loss, seed) for seed in range(given.scored)] for loss in (0.0, POINTS)}
    lines = []
    for name, noise in NOISES.items():
        scale = float(np.diff(np.concatenate([noise(random, 1000) for _ in range(100)]), axis=1).std())
        found = [
            [gate(random, noise, scale, calibrated=calibrated) for _ in range(given.gates)]
            for calibrated in (False, True)
        ]
        for kind, plant in PLANTS.items():
            scores = f1[POINTS if "f1" in plant else 0.0]
            counts = [count for gates in found for count in ends(random, gates, scores, plant)]
            lines.append((name, kind, *(_share(count, given.gates) for count in counts)))
    headings = (
        f"{verdict}, {known}" for known in ("nothing known", "calibrated") for verdict in ("pass", "regression")
    )
    print(markdown(("noise", "at its margin", *headings), lines))


def _share(count: int, of: int) -> str:
    low, high = proportion(count, of)
    return f"{count / of * 100:.1f} % ({low * 100:.1f} to {high * 100:.1f})"


if __name__ == "__main__":
    main()
