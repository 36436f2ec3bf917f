"""Results in the format of another tool: the JSON of pytest-benchmark 5, which `pytest-benchmark compare` reads."""

from __future__ import annotations

from typing import Any

from ..core.errors import MissingDependencyError
from ..core.install import install_hint
from ..core.records import Machine, MeasurementRecord, Results, RunSettings
from ..core.statistics import clean_ms

FORMATS = ("pytest-benchmark",)


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
