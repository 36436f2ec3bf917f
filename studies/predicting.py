"""What `slimner predict` answers a second, against cores times one predictor.

    python studies/predicting.py [--lines 100000] [--model BUNDLE] [--scheduler]
    python studies/predicting.py --lines 1000000 --short 20 --scheduler    # a million short lines, on a cluster too
    python studies/predicting.py --lines 1000000 --short 20 --scheduler --workers 4 --kill

Lines have the lengths of the embedded workload, or at most --short characters. One predictor in a process of its own
answers a part of them before and after, so that it is seen when the machine became slower meanwhile. The command is
timed whole, from its start to its end, and its output is compared with what the predictor answered. With --scheduler a
local Dask cluster answers too, by default of a worker a core, and its output has to be that of the command byte for
byte; with --kill one of its workers ends by SIGKILL when a third of the lines are written. Exit code 1 if the command
has less than 0.9 times cores times one predictor, or anything has another answer.
"""

from __future__ import annotations

import argparse
import filecmp
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import where_and_when
from slimner import zoo
from slimner.core import child
from slimner.core.machine import thread_environment
from slimner.jobs.opening import open_predictor
from slimner.reports.tables import markdown

LEAST = 0.9
SAMPLE = 4000
TOGETHER = 64


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--model", type=Path, default=zoo.bundle())
    parser.add_argument("--short", type=int, default=None, help="cut lines to so many characters")
    parser.add_argument("--scheduler", action="store_true")
    parser.add_argument("--workers", type=int, default=None, help="of the cluster")
    parser.add_argument("--kill", action="store_true", help="end a worker of the cluster by SIGKILL")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    workload = zoo.workload().read_text(encoding="utf-8").splitlines()
    if given.short:
        workload = list(dict.fromkeys(stripped for line in workload if (stripped := line[: given.short].strip())))
    with tempfile.TemporaryDirectory() as directory:
        texts, out = Path(directory) / "texts.txt", Path(directory) / "found.jsonl"
        lines = itertools.islice(itertools.cycle(workload), given.lines)
        texts.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        before, expected = _one(given.model, workload)
        rows = [("one predictor, before", f"{before:.1f}", "")]
        rates = [("slimner predict", _command(given.model, texts, out, given.lines))]
        same = _same(out, expected, given.lines)
        if given.scheduler:
            found, workers = Path(directory) / "cluster.jsonl", given.workers or cores
            name = f"on a local Dask cluster of {workers}" + (", one killed" if given.kill else "")
            rates.append((name, _on_cluster(given.model, texts, found, given.lines, workers, kill=given.kill)))
            same &= filecmp.cmp(out, found, shallow=False)
        after, _ = _one(given.model, workload)
    rows.append(("one predictor, after", f"{after:.1f}", ""))
    one = (before + after) / 2
    rows += [(name, f"{rate:.1f}", f"{rate / (cores * one):.2f}") for name, rate in rates]
    print(where_and_when())
    print(f"{given.lines:,} lines, {cores} cores; answers {'are' if same else 'ARE NOT'} those of one predictor.\n")
    print(markdown(("", "texts per s", "of cores times one predictor"), rows))
    raise SystemExit(0 if same and rates[0][1] >= LEAST * cores * one else 1)


def answer_in_child(model: Path, texts: list[str]) -> tuple[float, list[str]]:
    """The child's job: texts a second of one predictor in steady state, and each answer as JSON."""
    predictor = open_predictor(model)
    predictor.many(texts[:TOGETHER])
    begun, answered, found = time.monotonic(), 0, []
    for some in itertools.cycle([texts[i : i + TOGETHER] for i in range(0, len(texts), TOGETHER)]):
        entities = predictor.many(some)
        if len(found) < len(texts):
            found += [json.dumps([(e.start, e.end, e.type, e.score) for e in each]) for each in entities]
        answered += len(some)
        if answered >= SAMPLE:
            break
    return answered / (time.monotonic() - begun), found


def _one(model: Path, texts: list[str]) -> tuple[float, list[str]]:
    from predicting import answer_in_child as job  # by a name that the child can import

    environment = {**thread_environment(1), "PYTHONPATH": str(Path(__file__).parent)}
    return child.call(job, model, texts).run(timeout_s=3600, environment=environment)


def _command(model: Path, texts: Path, out: Path, lines: int) -> float:
    program = "from slimner.cli.main import main; main()"
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", program, "predict", str(model), str(texts), "--out", str(out)], check=True)
    return lines / (time.monotonic() - begun)


def _on_cluster(model: Path, texts: Path, out: Path, lines: int, workers: int, *, kill: bool) -> float:
    from distributed import LocalCluster
    from slimner import Predicted, predict_file

    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
        left = [cluster.workers[0]] if kill else []

        def done(predicted: Predicted) -> None:
            if left and predicted.texts >= lines / 3:
                os.kill(left.pop().pid, signal.SIGKILL)

        begun = time.monotonic()
        predict_file(model, texts, out, scheduler=cluster.scheduler_address, workers=workers, on_done=done)
        if left:
            raise SystemExit("no worker was killed: too few lines")
        return lines / (time.monotonic() - begun)


def _same(out: Path, expected: list[str], lines: int) -> bool:
    written = 0
    with out.open(encoding="utf-8") as file:
        for line, answer in zip(file, itertools.cycle(expected), strict=False):
            entities = [(e["start"], e["end"], e["type"], e["score"]) for e in json.loads(line)["entities"]]
            if json.dumps(entities) != answer:
                return False
            written += 1
    return written == lines


if __name__ == "__main__":
    main()
