"""Charts as SVG, drawn here, so that they show without a script, in print, and beside Markdown.

Everything inside the frame is placed in percent of it: a page stretches a chart to its width, and text keeps its size.
Series differ by colour, by the shape of their dots and by the dashes of their lines; the colours are those that Okabe
and Ito chose for colour-blind readers, darkened for a white ground.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from ..core import text
from .content import Bars, Chart, Point, Series

COLOURS = ("#0072b2", "#c44e00", "#00805f", "#b1558c", "#a36a00", "#2b8cbe", "#555555", "#7b3f98", "#8a1c1c", "#3f51b5")
DARK_COLOURS = (
    "#56b4e9",
    "#ff8b4d",
    "#2fc79a",
    "#e39bc4",
    "#e6a93a",
    "#9ad3f5",
    "#bbbbbb",
    "#c79be0",
    "#ff9d9d",
    "#a5b4ff",
)
DASHES = ("", "7 4", "2 3", "9 3 2 3", "12 4", "4 4", "1 4", "8 3 1 3 1 3")
SHAPES = (
    "M-1,0A1,1 0 1 0 1,0A1,1 0 1 0 -1,0Z",
    "M-.9,-.9H.9V.9H-.9Z",
    "M0,-1.15L1.1,.85H-1.1Z",
    "M0,-1.2L1.2,0L0,1.2L-1.2,0Z",
    "M0,1.15L1.1,-.85H-1.1Z",
)

# Radius in pixels of the smallest and the largest dot.
SMALLEST, LARGEST = 4.0, 14.0
BAR_HEIGHT = 26

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 380, 64, 24, 16, 48


class Scale:
    """Values to shares of the frame, with the ticks between; `log` for a logarithmic one."""

    def __init__(self, values: Sequence[float], *, zero: bool, log: bool = False) -> None:
        self.log = log and min(values, default=1) > 0
        low, high = min(values, default=0.0), max(values, default=1.0)
        if self.log:
            self.low, self.high = math.log10(low) - 0.02, math.log10(high) + 0.02
            self.ticks = _decades(low, high)
            return
        low = min(0.0, low) if zero else low
        room = (high - low or abs(high) or 1.0) * 0.06
        self.low, self.high = (low if zero and low == 0 else low - room), high + room
        step = _step(self.high - self.low)
        first = math.ceil(self.low / step - 1e-9)
        self.ticks = [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def share(self, value: float) -> float:
        """Where a value lies, from 0 to 1."""
        at = math.log10(value) if self.log else value
        return (at - self.low) / ((self.high - self.low) or 1.0)


def _step(width: float) -> float:
    """The distance of some five ticks: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(width / 5))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if width / (factor * power) <= 6)


def _decades(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 300 else (1,)
    return [f * 10.0**p for p in powers for f in factors if low * 0.95 <= f * 10.0**p <= high * 1.05]


def scales(chart: Chart) -> tuple[Scale, Scale]:
    """Those of its axes."""
    points = [p for series in chart.series for p in series.points]
    ends = [v for p in points for v in (p.y, p.low, p.high) if v is not None]
    x = Scale([p.x for p in points], zero=chart.x.zero, log=chart.x.log)
    return x, Scale([*ends, *(value for _, value in chart.limits)], zero=chart.y.zero, log=chart.y.log)


def _percent(share: float) -> str:
    return f"{share * 100:.2f}%"


def number(value: float) -> str:
    """A tick's label."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.10g}"


def inside(chart: Chart) -> str:
    """What is drawn in the frame of a chart: grid, ticks, limits, series."""
    x, y = scales(chart)
    return "".join([*_grid(x, y), *_limits(chart, y), *_series(chart.series, x, y)])


def _grid(x: Scale, y: Scale) -> Iterator[str]:
    for tick in y.ticks:
        at = _percent(1 - y.share(tick))
        yield f'<line class="grid" x1="0" x2="100%" y1="{at}" y2="{at}"/>'
        yield f'<text class="tick" x="-8" y="{at}" dy=".35em" text-anchor="end">{number(tick)}</text>'
    for tick in x.ticks:
        at = _percent(x.share(tick))
        yield f'<line class="grid" x1="{at}" x2="{at}" y1="0" y2="100%"/>'
        yield f'<text class="tick" x="{at}" y="100%" dy="1.5em" text-anchor="middle">{number(tick)}</text>'


def _limits(chart: Chart, y: Scale) -> Iterator[str]:
    for label, value in chart.limits:
        at = _percent(1 - y.share(value))
        yield f'<line class="limit" x1="0" x2="100%" y1="{at}" y2="{at}"/>'
        yield f'<text class="limit-name" x="4" y="{at}" dy="-.4em">{escape(text.line(label))}</text>'


def _series(series: Sequence[Series], x: Scale, y: Scale) -> Iterator[str]:
    for i, one in enumerate(series):
        places = [(x.share(p.x), 1 - y.share(p.y)) for p in one.points]
        if (one.line or one.guide) and len(places) > 1:
            kind = "guide" if one.guide else f"line c{i % len(COLOURS)}"
            dashes = "" if one.guide else f' stroke-dasharray="{DASHES[i % len(DASHES)]}"'
            path = " ".join(f"{a * 1000:.1f},{b * 1000:.1f}" for a, b in places)
            yield (
                '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%" overflow="visible">'
                f'<polyline class="{kind}"{dashes} points="{path}" vector-effect="non-scaling-stroke"/></svg>'
            )
        if one.dots:
            for point, (a, b) in zip(one.points, places, strict=True):
                yield from _dot(point, a, b, y, i)


def _dot(point: Point, a: float, b: float, y: Scale, i: int) -> Iterator[str]:
    at = _percent(a)
    if point.low is not None and point.high is not None:
        low, high = _percent(1 - y.share(point.low)), _percent(1 - y.share(point.high))
        yield f'<line class="whisker c{i % len(COLOURS)}" x1="{at}" x2="{at}" y1="{low}" y2="{high}"/>'
    radius = SMALLEST + (LARGEST - SMALLEST) * math.sqrt(point.area)
    if point.ringed:
        yield f'<circle class="ring" cx="{at}" cy="{_percent(b)}" r="{radius + 4:.1f}"/>'
    shape = SHAPES[i % len(SHAPES)]
    yield (
        f'<svg x="{at}" y="{_percent(b)}" overflow="visible"><path class="dot c{i % len(COLOURS)}" d="{shape}" '
        f'transform="scale({radius:.1f})"/></svg>'
    )


def inside_bars(bars: Bars) -> str:
    """What is drawn in the frame of stacked bars, a band of `BAR_HEIGHT` pixels for each category."""
    x = _bar_scale(bars)
    out: list[str] = []
    for tick in x.ticks:
        at = _percent(x.share(tick))
        out.append(f'<line class="grid" x1="{at}" x2="{at}" y1="0" y2="100%"/>')
        out.append(f'<text class="tick" x="{at}" y="100%" dy="1.5em" text-anchor="middle">{number(tick)}</text>')
    for i, name in enumerate(bars.categories):
        top = i * BAR_HEIGHT * 2
        out.append(f'<text class="name" x="0" y="{top + 16}">{escape(text.line(name))}</text>')
        before = 0.0
        for j, (part, values) in enumerate(bars.parts):
            if values[i] > 0:
                says = escape(text.line(f"{name}, {part}: {values[i]:+.1f}"))
                width = x.share(before + values[i]) - x.share(before)
                out.append(
                    f'<rect class="bar c{j % len(COLOURS)}" x="{_percent(x.share(before))}" y="{top + 22}" '
                    f'width="{_percent(width)}" height="{BAR_HEIGHT - 4}"><title>{says}</title></rect>'
                )
                before += values[i]
    return "".join(out)


def places(chart: Chart | Bars) -> Iterator[tuple[float, float, str]]:
    """Where each point lies in the frame, from 0 to 1 from its upper left corner, and what it says."""
    if isinstance(chart, Bars):
        x = _bar_scale(chart)
        before = [0.0] * len(chart.categories)
        for part, values in chart.parts:
            for i, value in enumerate(values):
                if value > 0:
                    middle = (i * 2 * BAR_HEIGHT + 22 + (BAR_HEIGHT - 4) / 2) / (len(values) * 2 * BAR_HEIGHT)
                    yield x.share(before[i] + value / 2), middle, f"{chart.categories[i]}, {part}: {value:+.1f}"
                    before[i] += value
        return
    across, up = scales(chart)
    for series in chart.series:
        if not series.guide:
            for point in series.points:
                yield across.share(point.x), 1 - up.share(point.y), point.says


def _bar_scale(bars: Bars) -> Scale:
    totals = [sum(values[i] for _, values in bars.parts) for i in range(len(bars.categories))]
    return Scale([0.0, *totals], zero=True)


def names(chart: Chart | Bars) -> list[str]:
    """What the legend names, in order of the colours."""
    return (
        [name for name, _ in chart.parts] if isinstance(chart, Bars) else [s.name for s in chart.series if not s.guide]
    )


def mark(i: int, *, bars: bool = False, dots: bool = False) -> str:
    """The sample of a series in the legend."""
    if bars:
        inner = f'<rect class="bar c{i % len(COLOURS)}" x="2" y="2" width="14" height="12"/>'
    elif dots:
        shape = SHAPES[i % len(SHAPES)]
        inner = f'<path class="dot c{i % len(COLOURS)}" transform="translate(12 8) scale(5.5)" d="{shape}"/>'
    else:
        dashes = DASHES[i % len(DASHES)]
        inner = f'<line class="line c{i % len(COLOURS)}" x1="0" x2="24" y1="8" y2="8" stroke-dasharray="{dashes}"/>'
    return f'<svg width="24" height="16" aria-hidden="true">{inner}</svg>'


STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.grid{stroke:#ddd}.limit{stroke:#333;stroke-dasharray:6 3}"
    ".guide{fill:none;stroke:#777;stroke-dasharray:4 4}.line{fill:none;stroke-width:2}.dot,.bar{stroke:#fff;"
    "stroke-width:.1}.bar{stroke-width:1}.ring{fill:none;stroke:#333;stroke-width:1.5}.whisker{stroke-width:1.5}"
    + "".join(
        f".line.c{i},.whisker.c{i}{{stroke:{colour}}}.dot.c{i},.bar.c{i}{{fill:{colour}}}"
        for i, colour in enumerate(COLOURS)
    )
)


def alone(chart: Chart | Bars) -> str:
    """A chart as a file of its own, with title, legend and axes, on white."""
    bars = isinstance(chart, Bars)
    height = len(chart.categories) * BAR_HEIGHT * 2 if isinstance(chart, Bars) else HEIGHT
    inner = inside_bars(chart) if isinstance(chart, Bars) else inside(chart)
    left = 16 if bars else LEFT
    legend, at, row = [], float(left), 0
    for i, name in enumerate(names(chart)):
        size = 36 + 7.5 * len(name)
        if at + size > WIDTH - RIGHT:
            at, row = float(left), row + 1
        dots = not isinstance(chart, Bars) and chart.series[i].dots and not chart.series[i].line
        legend.append(
            f'<svg x="{at:.0f}" y="{36 + 20 * row}" overflow="visible">{mark(i, bars=bars, dots=dots)}'
            f'<text x="30" y="12">{escape(text.line(name))}</text></svg>'
        )
        at += size
    top = 36 + 20 * (row + 1) + TOP
    below = chart.axis if isinstance(chart, Bars) else chart.x.title
    beside = "" if isinstance(chart, Bars) else chart.y.title
    whole = top + height + BOTTOM
    wide = WIDTH - left - RIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {whole}" width="{WIDTH}" height="{whole}" '
        f'role="img"><title>{escape(text.line(chart.title))}</title><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{left}" y="22" style="font-weight:600;font-size:14px">{escape(text.line(chart.title))}</text>'
        + "".join(legend)
        + f'<svg x="{left}" y="{top}" width="{wide}" height="{height}" overflow="visible">{inner}</svg>'
        f'<text x="{left + wide / 2}" y="{top + height + 40}" text-anchor="middle">{escape(text.line(below))}</text>'
        f'<text transform="translate(16 {top + height / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(text.line(beside))}</text></svg>\n"
    )
