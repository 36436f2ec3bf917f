"""The three plots of a report, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from ..core.records import Results
from ..core.statistics import clean_ms
from .comparison import Row

COLOURS = ("#0b6e99", "#d9730d", "#0f7b6c", "#ad1a72", "#6940a5", "#64473a", "#9f6b53", "#448361")


def _figure(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(width, height), dpi=120, layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _png(figure: Any) -> bytes:
    from matplotlib import pyplot

    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    pyplot.close(figure)
    return out.getvalue()


def tradeoff(rows: Sequence[Row], winner: str | None) -> bytes | None:
    """F1 (with its interval) against memory in steady state; the area of a point is its median latency."""
    shown = [r for r in rows if r.f1 and r.value("memory") and r.value("p50")]
    if not shown:
        return None
    figure, axes = _figure(7.5, 4.8)
    slowest = max(r.value("p50") or 0 for r in shown)
    for colour, row in zip(COLOURS * len(shown), shown, strict=False):
        assert row.f1
        memory, p50 = row.value("memory") or 0, row.value("p50") or 0
        x, y = memory / 1e6, row.f1.value * 100
        axes.errorbar(
            x,
            y,
            yerr=[[y - row.f1.low * 100], [row.f1.high * 100 - y]],
            color=colour,
            capsize=3,
            linewidth=1,
            alpha=0.6,
        )
        star = "* " if row.variant == winner else ""
        axes.scatter(
            x,
            y,
            s=60 + 340 * p50 / slowest,
            color=colour,
            alpha=0.75,
            zorder=3,
            label=f"{star}{row.variant}: F1 {y:.2f}, {x:.0f} MB, p50 {p50:.1f} ms",
        )
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.35 * (high - low))  # room for the legend, clear of the points
    axes.set_xlim(0, 1.08 * max(r.value("memory") or 0 for r in shown) / 1e6)
    axes.legend(frameon=False, fontsize=9, loc="upper left", markerscale=0.6)
    axes.set_xlabel("memory after the workload (RSS, MB)")
    axes.set_ylabel("strict F1 (%), 95 % interval")
    axes.set_title("Accuracy, memory and latency (area: p50)", loc="left", fontsize=11)
    return _png(figure)


def memory(results: Results) -> bytes | None:
    """Memory of the sampled process of each variant over time, with its stages marked."""
    shown = [m for v in results.settings.variants for m in results.measurements if m.variant == v and m.timeline]
    if not shown:
        return None
    figure, axes = _figure(8.5, 4.8)
    for colour, record in zip(COLOURS * len(shown), shown, strict=False):
        x = [p.after_s for p in record.timeline]
        axes.plot(x, [p.pss_bytes / 1e6 for p in record.timeline], color=colour, linewidth=1.4, label=record.variant)
        marked = [s for s in record.stages if s.pss_bytes is not None]
        axes.scatter(
            [s.after_s for s in marked], [(s.pss_bytes or 0) / 1e6 for s in marked], s=16, color=colour, zorder=3
        )
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds since the process started")
    axes.set_ylabel("PSS (MB)")
    axes.set_title("Memory by stage (dots: imports, tokenizer, model, first answer, steady)", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    return _png(figure)


def latency(results: Results) -> bytes | None:
    """Cumulative distribution of the latency of each variant over the workload."""
    from matplotlib import ticker

    figure, axes = _figure(7.5, 4.8)
    drawn = False
    for colour, variant in zip(COLOURS * len(results.settings.variants), results.settings.variants, strict=False):
        samples = sorted(s for m in results.measurements if m.variant == variant and m.timed for s in clean_ms(m))
        if samples:
            drawn = True
            axes.plot(samples, [(i + 1) / len(samples) for i in range(len(samples))], color=colour, label=variant)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(base=10, subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_ylim(0, 1)
    for level in (0.5, 0.95):
        axes.axhline(level, color="grey", linewidth=0.7, linestyle=":")
    axes.set_xlabel("latency of one text (ms, logarithmic)")
    axes.set_ylabel("share of texts answered")
    axes.set_title("Latency over the workload", loc="left", fontsize=11)
    if drawn:
        axes.legend(frameon=False, fontsize=9)
    png = _png(figure)
    return png if drawn else None
