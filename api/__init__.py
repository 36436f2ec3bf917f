"""slimner as a library: open a predictor, score, measure, compare, gate, run, sweep, plan.

Everything is loaded when it is first used: importing slimner imports no back end and no training framework.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slimner.core.errors import SlimnerError, UserError
    from slimner.core.gate_records import Calibration, GateRecord
    from slimner.core.plan_records import DeploymentPlan
    from slimner.core.records import BenchReport, EvaluationRecord, MeasurementRecord, Measuring, Results
    from slimner.core.verdicts import Comparison
    from slimner.eval import CorpusSource, Differences
    from slimner.jobs import (
        Compared,
        Progress,
        Run,
        bench,
        bundle,
        calibrate,
        compare,
        differences,
        evaluate,
        gate,
        pick,
        plan,
        run,
        sweep,
    )
    from slimner.jobs.fleet import SweepPlan
    from slimner.jobs.opening import open_predictor
    from slimner.jobs.predicting import Predicted, predict, predict_file
    from slimner.reports import Decision, Policy, read_policy
    from slimner.reports.fleet import Sweep
    from slimner.variants import Entity, Predictor

    __version__: str

_HOMES = {
    "BenchReport": "slimner.core.records",
    "Calibration": "slimner.core.gate_records",
    "Compared": "slimner.jobs",
    "Comparison": "slimner.core.verdicts",
    "CorpusSource": "slimner.eval",
    "Decision": "slimner.reports",
    "DeploymentPlan": "slimner.core.plan_records",
    "Differences": "slimner.eval",
    "Entity": "slimner.variants",
    "EvaluationRecord": "slimner.core.records",
    "GateRecord": "slimner.core.gate_records",
    "MeasurementRecord": "slimner.core.records",
    "Measuring": "slimner.core.records",
    "Policy": "slimner.reports",
    "Predicted": "slimner.jobs.predicting",
    "Predictor": "slimner.variants",
    "Progress": "slimner.jobs",
    "Results": "slimner.core.records",
    "Run": "slimner.jobs",
    "SlimnerError": "slimner.core.errors",
    "Sweep": "slimner.reports.fleet",
    "SweepPlan": "slimner.jobs.fleet",
    "UserError": "slimner.core.errors",
    "bench": "slimner.jobs",
    "bundle": "slimner.jobs",
    "calibrate": "slimner.jobs",
    "compare": "slimner.jobs",
    "differences": "slimner.jobs",
    "evaluate": "slimner.jobs",
    "gate": "slimner.jobs",
    "open_predictor": "slimner.jobs.opening",
    "pick": "slimner.jobs",
    "plan": "slimner.jobs",
    "predict": "slimner.jobs.predicting",
    "predict_file": "slimner.jobs.predicting",
    "read_policy": "slimner.reports",
    "run": "slimner.jobs",
    "sweep": "slimner.jobs",
}

__all__ = [
    "BenchReport",
    "Calibration",
    "Compared",
    "Comparison",
    "CorpusSource",
    "Decision",
    "DeploymentPlan",
    "Differences",
    "Entity",
    "EvaluationRecord",
    "GateRecord",
    "MeasurementRecord",
    "Measuring",
    "Policy",
    "Predicted",
    "Predictor",
    "Progress",
    "Results",
    "Run",
    "SlimnerError",
    "Sweep",
    "SweepPlan",
    "UserError",
    "__version__",
    "bench",
    "bundle",
    "calibrate",
    "compare",
    "differences",
    "evaluate",
    "gate",
    "open_predictor",
    "pick",
    "plan",
    "predict",
    "predict_file",
    "read_policy",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.metadata.version("slimner")
    if name not in _HOMES:
        raise AttributeError(f"module 'slimner' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


class _Callable(types.ModuleType):
    """The package `slimner.bench`, which can be called as the function of that name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return importlib.import_module("slimner.jobs").bench(*args, **kwargs)


class _Front(types.ModuleType):
    """This module. Importing `slimner.bench` sets its attribute `bench` to the package, which hides the function."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "bench" and isinstance(value, types.ModuleType):
            value.__class__ = _Callable
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Front
