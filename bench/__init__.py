"""Measuring artifacts: one fresh process a repetition, variants in turn, memory by stage and latency by text."""

from .session import Plan, Step, measure, steps
from .workload import Workload, read_workload

__all__ = ["Plan", "Step", "Workload", "measure", "read_workload", "steps"]
