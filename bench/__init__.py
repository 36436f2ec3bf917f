"""Measuring artifacts: one fresh process a repetition, variants in turn, memory by stage and latency by text."""

from .session import Step, measure, steps
from .workload import Workload, read_workload

__all__ = ["Step", "Workload", "measure", "read_workload", "steps"]
