"""From records to a comparison, a verdict, a decision and a report; pure functions, except those that write files."""

from .comparison import Row, rows_of
from .decision import Decision, decide, undecided
from .document import Beside, report_of
from .policy import Policy, read_policy
from .report import write_report
from .verdicts import Terms, compare_sides

__all__ = [
    "Beside",
    "Decision",
    "Policy",
    "Row",
    "Terms",
    "compare_sides",
    "decide",
    "read_policy",
    "report_of",
    "rows_of",
    "undecided",
    "write_report",
]
