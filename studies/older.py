"""How long `slimner run` and `slimner eval` take, beside an older commit of this repository, paired on one machine.

    python studies/older.py 90dd6b9 [--rounds 2] [--documents 2000] [--work DIRECTORY] [--only run|eval]

The older commit gets an environment of its own, with its own [lab]; the present one is what is installed here. In turns
(A B B A ...) each takes the default checkpoint through `slimner run` twice: first with an empty cache, then again with
that cache, into a new directory. Then each scores its artifact of `onnx-int8` on one corpus of long documents. Times
are those of the whole command. The numbers of timed samples have to be the same: exit code 1 if they are not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from common import where_and_when
from scoring import write
from slimner.reports.tables import markdown

ROOT = Path(__file__).resolve().parents[1]
OLDER, PRESENT = "older", "present"
FIRST, AGAIN, SCORING = "run, first", "run, again", "eval"
TORCH = "torch==2.13.0"
VARIANT = "onnx-int8"


def main() -> None:
    """Make the environment, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--characters", type=int, default=500)
    parser.add_argument("--only", choices=("run", "eval"), default=None)
    parser.add_argument("--work", type=Path, default=Path(".older"), help="kept environments of older commits")
    given = parser.parse_args()
    programs = {OLDER: environment(given.commit, given.work.absolute()), PRESENT: Path(sys.executable)}
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    samples: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        if given.only != "eval":
            for number in range(given.rounds):
                for who in list(programs)[:: 1 if number % 2 == 0 else -1]:
                    at = place / f"{who}{number}"
                    for what in (FIRST, AGAIN):
                        out = at / what.replace(", ", "-")
                        seconds[what, who].append(timed(programs[who], at, "run", "--out", str(out)))
                        samples[who].add(timed_samples(out / "results.json"))
                    shutil.rmtree(at)
        if given.only != "run":
            corpus = place / "documents.jsonl"
            write(corpus, given.documents, given.characters)
            for who, python in programs.items():
                timed(
                    python, place / who, "build", "news-zh", "--variant", VARIANT, "--out", str(place / who / "built")
                )
            for number in range(given.rounds):
                for who in list(programs)[:: 1 if number % 2 == 0 else -1]:
                    built = str(place / who / "built")
                    taken = timed(programs[who], place / who, "eval", built, "--corpus", str(corpus))
                    seconds[SCORING, who].append(taken)
    print(where_and_when())
    print(f"{given.commit} and the present commit, {given.rounds} rounds; {given.documents:,} documents scored.\n")
    rows = [row(what, seconds) for what in (FIRST, AGAIN, SCORING) if seconds[what, OLDER]]
    print(markdown(("", "older, s", "present, s", "present / older"), rows))
    same = samples[OLDER] == samples[PRESENT]
    if samples:
        told = "the same" if same else f"NOT the same: {samples[OLDER]} and {samples[PRESENT]}"
        print(f"\nnumbers of timed samples: {told}")
    raise SystemExit(0 if same else 1)


def environment(commit: str, work: Path) -> Path:
    """Python of an environment with an older commit and its [lab], made once."""
    full = _git("rev-parse", "--verify", f"{commit}^{{commit}}").decode().strip()
    place = work / full[:12]
    python = place / "env" / "bin" / "python"
    if not (place / "done").exists():
        shutil.rmtree(place, ignore_errors=True)
        source = place / "source"
        source.mkdir(parents=True)
        subprocess.run(["tar", "-x", "-C", str(source)], input=_git("archive", full), check=True)
        subprocess.run([sys.executable, "-m", "venv", str(place / "env")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", TORCH, f"{source}[lab]"], check=True)
        (place / "done").touch()
    return python


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, stdout=subprocess.PIPE).stdout


def timed(python: Path, place: Path, *arguments: str) -> float:
    """Seconds of a command of slimner, with a cache of its own."""
    place.mkdir(exist_ok=True)
    begun = time.monotonic()
    subprocess.run(
        [str(python), "-P", "-c", "from slimner.cli.main import main; main()", *arguments],
        cwd=place,
        env={**os.environ, "SLIMNER_CACHE": str(place / "cache")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - begun


def timed_samples(results: Path) -> tuple[int, ...]:
    """How many timed samples each measurement of a run has, in order of size."""
    found = json.loads(results.read_text(encoding="utf-8"))
    return tuple(sorted(len(record["samples_ms"]) for record in found["measurements"]))


def row(what: str, seconds: dict[tuple[str, str], list[float]]) -> tuple[str, ...]:
    """A line of the table: seconds of each round, and the median of the ratios of the pairs."""
    older, present = seconds[what, OLDER], seconds[what, PRESENT]
    ratios = [new / old for old, new in zip(older, present, strict=True)]
    listed = (", ".join(f"{one:.0f}" for one in found) for found in (older, present))
    return (what, *listed, f"{statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
