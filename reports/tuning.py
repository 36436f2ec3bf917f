"""What a search for a better `onnx-int8` found, and its table."""

from __future__ import annotations

from ..core.errors import EXIT_PASS, EXIT_REGRESSION
from ..core.records import Record
from ..core.verdicts import MetricVerdict
from ..eval import Interval
from ..variants.sensitivity import Sensitivity
from .content import Table
from .formatting import megabytes, points


class Trial(Record, frozen=True, kw_only=True):
    """One thing that was tried, against the best until then.

    `error` is the mean difference of the logits from the checkpoint's; `f1` the change against `fp32` in percentage
    points; `verdicts` are empty where nothing had to be measured to say `why` it was kept or not.
    """

    tuning: str
    error: float
    size_bytes: int
    f1: Interval | None = None
    verdicts: tuple[MetricVerdict, ...] = ()
    kept: bool
    why: str


class Tuned(Record, frozen=True, kw_only=True):
    """What a search found: the best is in `out`, `tuning` says what it does otherwise, and is empty for the default.

    `misses` are demands of the policy that the best does not meet, `failed` changes that were not built or measured.
    """

    checkpoint: str
    policy: str
    out: str
    artifact: str
    tuning: str
    default: Trial
    layers: tuple[Sensitivity, ...]
    trials: tuple[Trial, ...]
    failed: tuple[str, ...]
    misses: tuple[str, ...]
    ended: str
    found: str

    @property
    def exit_code(self) -> int:
        """0 if the best meets the policy, 1 if it does not."""
        return EXIT_REGRESSION if self.misses else EXIT_PASS


def table(tuned: Tuned) -> Table:
    """A line for the default and for each thing that was tried."""
    return Table(
        headings=("tried", "logit error", "artifact", "F1 against fp32", "kept", "why"),
        lines=[_line(trial) for trial in (tuned.default, *tuned.trials)],
        important=("kept", "why"),
    )


def _line(trial: Trial) -> tuple[str, ...]:
    return (
        trial.tuning,
        f"{trial.error:.4f}",
        megabytes(trial.size_bytes),
        points(trial.f1) if trial.f1 else "-",
        "yes" if trial.kept else "no",
        trial.why,
    )
