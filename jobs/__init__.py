"""What the commands do, as functions: values in, a record out, progress through a small protocol.

Importing this imports no back end: torch, transformers and onnxruntime load in the child processes that need them.
"""

from .baselines import BaselineUpdate, update_baseline
from .bundling import bundle
from .calibrating import calibrate
from .comparing import PAIRED, Compared, compare
from .deciding import pick
from .explaining import explain
from .fleet.sweeping import sweep
from .gating import gate
from .measuring import bench
from .planning import plan
from .progress import SILENT, Progress
from .reporting import Reported, report
from .running import Run, run
from .scoring import differences, evaluate
from .trimming import trim
from .tuning import tune

__all__ = [
    "PAIRED",
    "SILENT",
    "BaselineUpdate",
    "Compared",
    "Progress",
    "Reported",
    "Run",
    "bench",
    "bundle",
    "calibrate",
    "compare",
    "differences",
    "evaluate",
    "explain",
    "gate",
    "pick",
    "plan",
    "report",
    "run",
    "sweep",
    "trim",
    "tune",
    "update_baseline",
]
