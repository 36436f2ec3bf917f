"""Whether `slimner tune` finds something better than the default `onnx-int8`: docs/evidence/tuning.md.

    python studies/tuning.py [--budget 3600] [--work .tuning] [--out docs/evidence/tuning.md] [CHECKPOINT ...]

Without checkpoints: the embedded model, under a policy that limits what F1 may lose, and random weights in the shape of
bert-base-chinese, whose time alone is judged. The budget is that of each checkpoint, in seconds; what was tried is kept
below --work, so that the same command goes on where a budget ended. Times need a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from common import where_and_when
from slimner.core.store import write_text
from slimner.jobs import tune
from slimner.jobs.progress import Silent
from slimner.reports import read_policy
from slimner.reports.tables import markdown
from slimner.reports.tuning import Tuned, table

ROOT = Path(__file__).parents[1]
CHECKPOINTS = ("news-zh", "synthetic:bert-base-chinese")
BUDGET_S = 3600.0
POLICY = """objective = "p50"
tie = "2%"

[constraints]
f1_max_drop = "1pp"
"""


class Said(Silent):
    """Each artifact, and what became of each change, on standard error."""

    def done(self, phase: str, what: str) -> None:
        """Say it, but for single pairs."""
        if phase != "measure":
            self.note(f"{phase}: {what}")

    def note(self, message: str) -> None:
        """Say it with the time of day."""
        sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {message}\n")


def place(work: Path, checkpoint: str) -> Path:
    """Where the best artifact of a checkpoint goes."""
    return work / checkpoint.rpartition("/")[2].replace(":", "-")


def section(tuned: Tuned, budget_s: float) -> str:
    """What was tried on one checkpoint, and what came of it."""
    tried = table(tuned)
    layers = sorted(tuned.layers, key=lambda layer: layer.time)
    looked = markdown(
        ("layer in FP32", "error", "time"),
        [(layer.layer, f"{layer.error:.3f}", f"{layer.time:.3f}") for layer in layers],
    )
    command = f"slimner tune {shlex.quote(tuned.checkpoint)} --policy policy.toml --budget {budget_s:g}s --out tuned"
    failed = "".join(f"\nNot built or measured: {what}\n" for what in tuned.failed)
    missed = f"\nThe best does not meet the policy in {', '.join(tuned.misses)}.\n" if tuned.misses else ""
    return f"""## {tuned.checkpoint}

`{command}`

**{tuned.found}** It ended because {tuned.ended}.
{failed}{missed}
{markdown(tried.headings, tried.lines)}

What one layer in FP32 changes, as shares of the logits' error and of the time of a text when all are in INT8; a few
passes in one process, which only give the order of what is tried:

{looked}
"""


def page(found: Sequence[Tuned], budget_s: float) -> str:
    """The page of evidence."""
    sections = "\n".join(section(tuned, budget_s) for tuned in found)
    return f"""# What `slimner tune` finds

Made by `nox -s tuning` (`studies/tuning.py`), not edited by hand. {where_and_when()}

The policy of every search:

```toml
{POLICY}```

A change is kept if its 95 % interval against the best until then, from pairs of processes on the embedded workload, is
shown to be better by more than the tie. Without trained weights F1 is not judged. `logit error` is the mean difference
from the checkpoint's logits.

{sections}"""


def main() -> None:
    """Search, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="*", default=CHECKPOINTS)
    parser.add_argument("--budget", type=float, default=BUDGET_S, help="seconds for each checkpoint (3600)")
    parser.add_argument("--work", type=Path, default=Path(".tuning"), help="the best artifacts")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/evidence/tuning.md")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    write_text(given.work / "policy.toml", POLICY)
    policy = read_policy(given.work / "policy.toml")
    found = [
        tune(name, place(given.work, name), policy=policy, budget_s=given.budget, progress=Said())
        for name in given.checkpoints
    ]
    write_text(given.out, page(found, given.budget))


if __name__ == "__main__":
    main()
