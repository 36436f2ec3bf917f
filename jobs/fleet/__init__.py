"""Many runs at once: every checkpoint on every workload with every number of threads, on one machine or on many."""

from .cells import Cell
from .plan import SweepPlan, read_plan

__all__ = ["Cell", "SweepPlan", "read_plan"]
