"""From records to a comparison, a verdict, a decision and a report; pure functions, but for those that write files."""

from .comparison import Row, rows_of
from .decision import Decision, decide, undecided
from .policy import Policy, read_policy
from .report import write_report
from .verdicts import Terms, compare_sides

__all__ = [
    "Decision",
    "Policy",
    "Row",
    "Terms",
    "compare_sides",
    "decide",
    "read_policy",
    "rows_of",
    "undecided",
    "write_report",
]
