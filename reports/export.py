"""Results in the format of another tool. Pure functions; MLflow, which is written to, is in `jobs/tracking.py`.

Formats: the JSON of pytest-benchmark 5, which `pytest-benchmark compare` reads; Bencher's metric format; the entries of
github-action-benchmark; a fragment of a Hugging Face model card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..core import text
from ..core.errors import MissingDependencyError, UserError
from ..core.install import install_hint
from ..core.metrics import F1, METRICS, Metric
from ..core.records import Machine, MeasurementRecord, Results, RunSettings
from ..core.statistics import Spread, clean_ms
from .comparison import Row
from .formatting import spread_of
from .tables import column, markdown

FORMATS = ("pytest-benchmark", "bencher", "github-benchmark", "mlflow", "csv", "model-card")


def figures(row: Row) -> Iterator[tuple[str, Metric, Spread]]:
    """What a variant has of each metric, under the names of the columns of `table.csv`."""
    for name, metric in METRICS.items():
        if figure := row.spread(name):
            yield column(metric), metric, figure


def to_bencher(results: Results, rows: Sequence[Row]) -> dict[str, Any]:
    """Bencher's metric format: a benchmark a variant, a measure a figure, with the ends of its interval."""
    return {
        f"{results.checkpoint.name}/{row.variant}": {
            name.replace("_", "-"): {
                "value": figure.value,
                **({} if figure.low is None else {"lower_value": figure.low}),
                **({} if figure.high is None else {"upper_value": figure.high}),
            }
            for name, _, figure in figures(row)
        }
        for row in rows
        if not row.failed
    }


def to_github_benchmark(results: Results, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Entries of github-action-benchmark's tool `customSmallerIsBetter`.

    That tool has one direction for a file, so F1 is given as 100 % minus F1, and rates are left out.
    """
    found: list[dict[str, Any]] = []
    for row in rows:
        for name, metric, figure in () if row.failed else figures(row):
            if metric is not F1 and (metric.higher_is_better or metric.difference):
                continue
            value, unit, half = figure.value, metric.unit.replace("bytes", "B"), figure.half_width
            title = f"{results.checkpoint.name} {row.variant} {metric.title}"
            if metric is F1:
                value, unit, title = round(100 * (1 - value), 6), "%", f"{title} error (100 - F1)"
                half = half and 100 * half
            entry: dict[str, Any] = {"name": title, "unit": unit, "value": value}
            if half is not None:
                entry["range"] = f"\u00b1 {half:.4g}"
            entry["extra"] = f"{name}; {results.machine.cpu}; slimner {results.slimner}"
            found.append(entry)
    return found


def to_model_card(results: Results, row: Row) -> str:
    """A fragment of a model card: `model-index` with the scores of a variant, and a table of what it costs.

    Raises MissingDependencyError without huggingface_hub, whose own classes write and check it, and UserError for a
    variant that was not scored.
    """
    try:
        from huggingface_hub import EvalResult, ModelCardData
    except ImportError:
        raise MissingDependencyError(
            "this format needs huggingface_hub, not installed here", install_hint("lab")
        ) from None
    evaluation = next((e for e in results.evaluations if e.variant == row.variant), None)
    if evaluation is None or results.corpus is None or row.f1 is None:
        raise UserError(f"{row.variant} has no score", "a model card needs F1: name a scored one with --variant")
    corpus, score = results.corpus, evaluation.strict
    ends = f"95 % {row.f1.low:.4f} to {row.f1.high:.4f}"
    data = ModelCardData(
        model_name=f"{results.checkpoint.name} ({row.variant})",
        eval_results=[
            EvalResult(
                task_type="token-classification",
                task_name="Token Classification",
                dataset_type=re.sub(r"[^a-z0-9._-]+", "-", corpus.name.lower()).strip("-.") or "corpus",
                dataset_name=text.line(corpus.name),
                metric_type=kind,
                metric_name=name,
                metric_value=round(value, 6),
            )
            for kind, name, value in (
                ("f1", f"F1, strict ({ends})", score.f1),
                ("precision", "Precision, strict", score.precision),
                ("recall", "Recall, strict", score.recall),
            )
        ],
    )
    lines = [
        (metric.title, spread_of(figure, metric), metric.meaning)
        for _, metric, figure in figures(row)
        if metric is not F1 and metric.column
    ]
    return (
        f"---\n{data.to_yaml()}\n---\n\n## {text.markdown(row.variant)} on CPU\n\n"
        f"{markdown(('figure', 'value', 'meaning'), lines)}\n\n"
        f"Measured on {text.markdown(results.machine.cpu)} ({results.machine.instructions}), "
        f"{results.settings.threads} thread(s), {results.workload.texts} texts of "
        f"{text.markdown(results.workload.name)}; F1 on {corpus.sentences} sentences with {corpus.entities} entities; "
        f"slimner {results.slimner}, {results.started[:10]}.\n"
    )


def to_pytest_benchmark(results: Results) -> dict[str, Any]:
    """One benchmark a variant with every undisturbed sample in seconds; variants without a timed sample are left out.

    Raises MissingDependencyError without pytest-benchmark: the statistics are its own, so that they compare.
    """
    try:
        from pytest_benchmark import __version__ as version
    except ImportError:
        raise MissingDependencyError(
            "this format needs pytest_benchmark, not installed here", install_hint("lab")
        ) from None
    by_variant: dict[str, list[MeasurementRecord]] = {}
    for record in results.measurements:
        if record.timed and record.samples_ms:
            by_variant.setdefault(record.variant, []).append(record)
    order = [name for name in results.settings.variants if name in by_variant]
    order += [name for name in by_variant if name not in order]
    return {
        "machine_info": _machine(results.machine),
        "commit_info": {
            "id": "unversioned",  # what pytest-benchmark writes outside a repository
            "time": None,
            "author_time": None,
            "dirty": False,
            "project": results.checkpoint.name,
            "branch": "(unknown)",
        },
        "benchmarks": [_benchmark(name, by_variant[name], results) for name in order],
        "datetime": results.started,
        "version": version,
    }


def _benchmark(variant: str, records: list[MeasurementRecord], results: Results) -> dict[str, Any]:
    from pytest_benchmark.stats import Stats

    stats = Stats()
    for record in records:
        for milliseconds in clean_ms(record):
            stats.update(milliseconds / 1000)
    extra: dict[str, Any] = {"artifact": records[0].artifact}
    for evaluation in results.evaluations:
        if evaluation.variant == variant:
            extra["f1"] = evaluation.strict.f1
    extra |= {"samples": len(stats.data), "slimner": results.slimner}
    return {
        "group": results.checkpoint.name,
        "name": f"latency[{variant}]",
        "fullname": f"slimner::latency[{variant}]",
        "params": {"variant": variant},
        "param": variant,
        "extra_info": extra,
        "options": _options(results.settings),
        "stats": {**stats.as_dict(), "data": stats.data, "iterations": 1},
    }


def _options(settings: RunSettings) -> dict[str, Any]:
    """How it was timed, under pytest-benchmark's names: the limits are those of the run."""
    return {
        "disable_gc": False,
        "timer": "perf_counter",
        "min_rounds": settings.samples * settings.repetitions,
        "max_time": settings.timeout_s,
        "min_time": 0.0,
        "precision": None,
        "confidence": None,
        "warmup": settings.warmup > 0,
    }


def _machine(machine: Machine) -> dict[str, Any]:
    """The machine of the run under pytest-benchmark's names; what the record does not hold is null."""
    return {
        "node": None,
        "processor": machine.architecture,
        "machine": machine.architecture,
        "python_compiler": None,
        "python_implementation": None,
        "python_implementation_version": machine.python,
        "python_version": machine.python,
        "python_build": None,
        "release": machine.kernel,
        "system": "Linux",
        "cpu": {
            "arch_string_raw": machine.architecture,
            "brand_raw": machine.cpu,
            "count": machine.cores,
            "flags": list(machine.instruction_sets),
        },
    }
