"""Figures as text: one unit for each kind, aligned digits, a dash where there is no figure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ..core.metrics import Metric, Unit
from ..core.statistics import Spread
from ..eval import Interval

MISSING = "-"

# The space between a figure and its unit.
_UNIT = re.compile(r"(?<=\d) (?=%|/s|(?:[kMG]?B|m?s|pp)\b)")
KEPT = "\u00a0"


def glued(sentence: str) -> str:
    """A sentence in which no line can end between a figure and its unit."""
    return _UNIT.sub(KEPT, sentence)


def megabytes(value: float | None) -> str:
    """Bytes as megabytes of a million bytes."""
    return MISSING if value is None else f"{value / 1e6:.1f} MB" if value < 1e7 else f"{value / 1e6:.0f} MB"


def milliseconds(value: float | None) -> str:
    """Milliseconds with three digits or so."""
    return MISSING if value is None else f"{value:.2f} ms" if value < 10 else f"{value:.1f} ms"


def seconds(value: float | None) -> str:
    """Seconds."""
    return MISSING if value is None else f"{value:.2f} s"


def megabytes_per_hundred(value: float | None) -> str:
    """Bytes a hundred answers as megabytes."""
    return MISSING if value is None else f"{value / 1e6:.2f} MB per 100"


def per_second(value: float | None) -> str:
    """Answers per second."""
    return MISSING if value is None else f"{value:.1f} /s" if value < 10 else f"{value:.0f} /s"


def per_second_and_gib(value: float | None) -> str:
    """Answers per second and GiB of memory."""
    return MISSING if value is None else f"{value:.0f} /s/GiB"


def percent(value: float | None) -> str:
    """A share as a percentage."""
    return MISSING if value is None else f"{value * 100:.2f} %"


FORMATS: Mapping[Unit, Callable[[float | None], str]] = {
    "bytes": megabytes,
    "bytes/100": megabytes_per_hundred,
    "ms": milliseconds,
    "s": seconds,
    "1/s": per_second,
    "1/s/GiB": per_second_and_gib,
    "pp": percent,
}


def show(metric: Metric, value: float | None) -> str:
    """A value of a metric in its unit."""
    return FORMATS[metric.unit](value)


def score(value: Interval | None) -> str:
    """F1 in percent with half the width of its interval."""
    return MISSING if value is None else f"{value.value * 100:.2f} ±{value.half_width * 100:.1f}"


def points(change: Interval) -> str:
    """A change in percentage points with its interval."""
    return f"{change.value:+.2f} pp, 95 % {change.low:+.2f} to {change.high:+.2f}"


SCALES: Mapping[Unit, float] = {"bytes": 1e6, "bytes/100": 1e6, "pp": 0.01}


def spread_of(figure: Spread | None, metric: Metric) -> str:
    """A figure with half the width of its 95 % interval, in front of the unit: `8.05 ±0.12 ms`."""
    if figure is None or figure.half_width is None:
        return show(metric, figure.value if figure else None)
    number, _, name = show(metric, figure.value).partition(" ")
    half = figure.half_width / SCALES.get(metric.unit, 1.0)
    digits = max(len(number.partition(".")[2]), 1 if half < 1 else 0)
    return f"{number} ±{half:.{digits}f} {name}".rstrip()
