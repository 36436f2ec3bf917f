"""What this machine has shown of how long a change lasts, from the pairs of each comparison on it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from ..bench.pairs import Pair
from ..core.lasting import Lasting, PairsShown, by_metric, lasting_of
from ..core.records import Machine
from ..reports.calibration import changes_of
from .shown import keep, kept

KIND = "pairs"


def remember(pairs: Sequence[Pair]) -> None:
    """Keep what the pairs of one comparison show."""
    if not pairs:
        return
    changes = changes_of([pair.baseline for pair in pairs], [pair.candidate for pair in pairs])
    metrics = {name: lasting_of(values) for name, values in changes.items()}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    shown = PairsShown(date=now, metrics={name: one for name, one in metrics.items() if one.pairs})
    if shown.metrics:
        keep(KIND, pairs[0].baseline.machine, shown)


def known(machine: Machine) -> dict[str, Lasting]:
    """By metric, what all pairs on a machine have shown."""
    return by_metric(kept(KIND, machine, PairsShown))
