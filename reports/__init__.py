"""From records to a comparison, a decision and a report; pure functions, but for the last one, which writes files."""

from .comparison import Row, compare
from .decision import Decision, Policy, decide
from .report import write_report

__all__ = ["Decision", "Policy", "Row", "compare", "decide", "write_report"]
