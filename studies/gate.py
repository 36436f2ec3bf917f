"""How often a gate is wrong here: on pairs that changed nothing, and on pairs with a planted change.

    python studies/gate.py measure  --out gate-study
    python studies/gate.py simulate --out gate-study
    python studies/gate.py real     --out gate-study
    python studies/gate.py report   --out gate-study

`measure` takes pairs of an artifact with a copy of itself and with planted ones, `simulate` resamples gates from those
pairs, beside pytest-benchmark's rule, `real` runs whole `slimner gate` commands one after the other, and `report`
prints the tables of docs/evidence/gate-error.md.

Every part goes on where it stopped. `real` is the long one: a minute or two for a gate. Its log is kept in the
repository with the machine and the commit of each gate, so that several machines can add to it; start it anew when the
gate has changed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from common import artifact_of
from gate_report import lines_of, report
from planted import EFFECTS, draw
from pytest_benchmark.utils import parse_compare_fail
from slimner.bench import read_workload
from slimner.bench.pairs import Pair, Tally, measure_pairs
from slimner.core.cache import cache_directory
from slimner.core.commit import commit_of
from slimner.core.journal import Journal
from slimner.core.machine import boot_id, describe
from slimner.core.metrics import METRICS
from slimner.core.outside import read_json
from slimner.core.paired import Change
from slimner.core.records import EvaluationRecord, Measuring, TypeCount
from slimner.core.statistics import clean_ms
from slimner.core.store import write_json
from slimner.core.verdicts import judge
from slimner.eval import CorpusSource, f1_change, read_corpus
from slimner.jobs import evaluate
from slimner.jobs.calibrating import path_of
from slimner.reports.calibration import changes_of, outcomes, resample, said, summarize
from slimner.variants import VARIANTS, open_predictor, read_manifest, resolve_checkpoint
from slimner.variants.building import build

PAIRS = {"nothing": 40, "slow": 24, "leak": 12}
PLANTED = (*EFFECTS, "f1", "type")
VARIANT_OF = {kind: f"planted-{kind}" for kind in (*EFFECTS, "f1")} | {"type": "planted-f1"}
RUNS = 1000
POINTS = {"f1": 1.0, "type": 5.0}  # of F1, and of the F1 of one type
TYPE = "ORG"
RULE = "mean:5%"


class Pool(msgspec.Struct):
    """The pairs of one kind."""

    disturbed: int
    pairs: list[Pair]


def plugin(out: Path) -> Path:
    """A directory with the planted variants as an importable distribution."""
    directory = (out / "plugin").resolve()
    facts = directory / "slimner_planted-0.dist-info"
    facts.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).parent / "planted.py", directory / "slimner_planted.py")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: slimner-planted\nVersion: 0\n")
    names = {kind: f"SPOILT_{number}" for number, kind in enumerate(EFFECTS)} | {"f1": "FORGETFUL"}
    lines = (f"planted-{kind} = slimner_planted:{name}" for kind, name in names.items())
    (facts / "entry_points.txt").write_text("[slimner.variants]\n" + "\n".join(lines) + "\n")
    return directory


def sides(out: Path) -> dict[str, Path]:
    """The artifact, a copy of it, and the planted ones."""
    base = artifact_of("news-zh", "onnx-int8").resolve()
    copy = (out / "copy" / base.name).resolve()
    if not copy.exists():
        shutil.copytree(base, copy)
    checkpoint = resolve_checkpoint("news-zh")
    built = {
        kind: build(checkpoint, VARIANTS.get(name), cache=cache_directory(), timeout_s=600)[0].path.resolve()
        for kind, name in VARIANT_OF.items()
    }
    return {"base": base, "nothing": copy, **built}


def measure(out: Path, seed: int) -> None:
    """Measure the pools, and keep the A/A pairs as this machine's calibration."""
    where = sides(out)
    settings = Measuring(samples=100, seed=seed, timeout_s=600)
    for kind, count in PAIRS.items():
        path = out / f"{kind}.json"
        if path.exists():
            continue
        journal = Journal(out / f"unfinished-{kind}", (kind, count, boot_id()))
        begun = time.monotonic()
        run = Tally(looks=(count,))
        for pair in measure_pairs(where["base"], where[kind], "news-zh", settings, journal=journal):
            run.take(pair)
            say(f"{kind}: pair {pair.number}, {len(run.pairs) - run.undisturbed} disturbed")
            if run.ended:
                break
        write_json(path, Pool(len(run.pairs) - run.undisturbed, run.pairs), indent=0)
        journal.finish()
        say(f"{kind}: {len(run.pairs)} pairs in {time.monotonic() - begun:.0f} s ({run.ended})")
        if kind == "nothing":
            calibration = summarize(
                [pair.baseline for pair in run.pairs],
                [pair.candidate for pair in run.pairs],
                date=datetime.datetime.now(datetime.UTC).date().isoformat(),
                disturbed=len(run.pairs) - run.undisturbed,
                workload=read_workload("news-zh").facts,
                settings=settings,
            )
            write_json(out / "calibration.json", calibration)
            write_json(path_of(calibration.fingerprint), calibration)
            say(said(calibration))
    score(out, where)


def score(out: Path, where: Mapping[str, Path]) -> None:
    """Score the artifact as it is, and where every text loses an entity."""
    for name, lost, tags in (("base", "0", ""), ("f1", "1", ""), ("type", "1", tags_of(where["base"]))):
        if not (out / f"evaluation-{name}.json").exists():
            os.environ |= {"PLANTED_LOST": lost, "PLANTED_TAGS": tags}
            write_json(out / f"evaluation-{name}.json", evaluate(where[name]), indent=0)


def tags_of(artifact: Path) -> str:
    """The tags of the type that loses entities, as numbers."""
    return ",".join(str(i) for i, tag in enumerate(read_manifest(artifact).labels.tags) if tag.endswith(f"-{TYPE}"))


def pools(out: Path) -> dict[str, Pool]:
    """What was measured."""
    return {kind: read_json(out / f"{kind}.json", Pool) for kind in PAIRS}


def simulate(out: Path, seed: int) -> None:
    """Resample gates from the pools, judge the same data by pytest-benchmark's rule, and plant F1."""
    from slimner.core.gate_records import Calibration

    margins = {m.metric: m.margin for m in read_json(out / "calibration.json", Calibration).metrics}
    found: dict[str, dict[str, int]] = {}
    rule = parse_compare_fail(RULE)
    random = np.random.default_rng(seed)
    for kind, pool in pools(out).items():
        baseline, candidate = [pair.baseline for pair in pool.pairs], [pair.candidate for pair in pool.pairs]
        ratios = changes_of(baseline, candidate)
        gates = resample(ratios, tests=len(ratios), runs=RUNS, seed=seed)
        found[kind] = dict(outcomes(gates, margins))
        alarms = 0
        for _ in range(RUNS):
            one, two = (group[random.integers(len(group))] for group in (baseline, candidate))
            means = ({"mean": float(np.mean(clean_ms(record)))} for record in (two, one))
            alarms += rule.fails(*means) is not None
        found[f"{kind}, {RULE}"] = {"regression": alarms, "pass": RUNS - alarms}
        shifts = {name: float(np.expm1(np.mean(values))) for name, values in ratios.items()}
        say(f"{kind}: mean change " + ", ".join(f"{name} {shift * 100:+.2f} %" for name, shift in shifts.items()))
    found["f1"] = dict(Counter(planted_f1(out, RUNS, seed)))
    write_json(out / "simulated.json", found)


def planted_f1(out: Path, runs: int, seed: int) -> Iterator[str]:
    """Gates on F1 alone, in which the planted loss of one point falls on other sentences each time."""
    base, lossy = (read_json(out / f"evaluation-{name}.json", EvaluationRecord) for name in ("base", "f1"))
    random = np.random.default_rng(seed)
    touched = [i for i, (a, b) in enumerate(zip(base.sentences, lossy.sentences, strict=True)) if a != b]
    for run in range(runs):
        sentences = list(base.sentences)
        for i in random.permutation(touched):
            sentences[i] = lossy.sentences[i]
            if f1(sentences) <= f1(base.sentences) - POINTS["f1"] / 100:
                break
        planted = msgspec.structs.replace(base, sentences=tuple(sentences))
        points = f1_change(base, planted, seed=run).points
        change = Change(value=points.value, low=points.low, high=points.high, level=0.95, n=len(sentences))
        verdict = judge(change, 0.5, METRICS["f1"])
        yield {"worse": "regression", "same": "pass", "better": "pass"}.get(verdict, "inconclusive")


def f1(sentences: Sequence[Sequence[TypeCount]], kind: str = "f1") -> float:
    """Micro F1 of counts by sentence, of all types or of the one that loses entities."""
    counts = [c for s in sentences for c in s if kind == "f1" or c.type == TYPE]
    return 2 * sum(c.right for c in counts) / sum(c.predicted + c.gold for c in counts)


@contextlib.contextmanager
def beside(hog: bool) -> Iterator[None]:
    """With a process that keeps one core busy, or without."""
    if not hog:
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def real(out: Path, log: Path, counts: Mapping[str, int], seed: int) -> None:
    """Whole gate commands, every other one beside a process that keeps a core busy; each is written down at its end."""
    where = sides(out)
    score(out, where)
    done = Counter(line["kind"] for line in lines_of(log))
    commit = commit_of(Path(__file__).parent)
    about = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": describe().cpu,
        "commit": commit.sha[:7] if commit else "",
    }
    draws = draws_of(where["base"])
    for number in range(max(counts.values())):
        for kind in (kind for kind, count in counts.items() if done[kind] <= number < count):
            environment = dict(os.environ)
            if kind in POINTS:
                tags = tags_of(where["base"]) if kind == "type" else ""
                lost = share_of(out, kind, draws(number))
                environment |= {"PLANTED_SEED": str(number), "PLANTED_LOST": lost, "PLANTED_TAGS": tags}
            command = [
                *(sys.executable, "-c", "from slimner.cli.main import main; main()", "gate"),
                *("--baseline", where["base"], "--candidate", where[kind], "--seed", str(seed + number), "--json"),
            ]
            line = {**about, "kind": kind, **gate(command, environment, hog=bool(number % 2))}
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            told = f"exit code {line['code']}, {line['seconds']} s, {line['pairs']}"
            say(f"{kind} {number + 1} of {counts[kind]}: {told}")


def gate(command: Sequence[object], environment: Mapping[str, str], *, hog: bool) -> dict[str, Any]:
    """One gate command and how it ended."""
    begun = time.monotonic()
    with beside(hog):
        ended = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    record = json.loads(ended.stdout) if ended.stdout else {}
    comparisons = record.get("comparisons", [])
    return {
        "hog": hog,
        "code": ended.returncode,
        "pairs": [c["pairs"] for c in comparisons],
        "rejected": [c["disturbed_pairs"] for c in comparisons],
        "ended": [c["ended"] for c in comparisons],
        "seconds": round(time.monotonic() - begun, 1),
        "worse": [check["name"] for check in record.get("checks", []) if check["outcome"] == "regression"],
        "error": ended.stderr[-300:] if ended.returncode in (2, 4) else "",
    }


def draws_of(artifact: Path) -> Callable[[int], list[float]]:
    """For a seed, the number that `planted.draw` gives each sentence of the corpus."""
    encode = open_predictor(artifact).encode
    ids = [np.asarray(encode(s.text).ids, dtype=np.int64) for s in read_corpus(CorpusSource(name="news-zh")).sentences]
    return lambda seed: [draw(seed, tokens) for tokens in ids]


def share_of(out: Path, kind: str, draws: Sequence[float]) -> str:
    """The least share of texts that has to lose an entity for F1 to drop by as much as is planted."""
    base, lossy = (read_json(out / f"evaluation-{name}.json", EvaluationRecord) for name in ("base", kind))
    sentences = list(base.sentences)
    for i in sorted(range(len(sentences)), key=lambda i: draws[i]):
        sentences[i] = lossy.sentences[i]
        if f1(sentences, kind) <= f1(base.sentences, kind) - POINTS[kind] / 100:
            return repr(float(np.nextafter(draws[i], 1)))
    raise AssertionError("losing one entity of every text costs less than what is planted")


def say(text: str) -> None:
    """Progress, on standard error."""
    sys.stderr.write(text + "\n")


def main() -> None:
    """Run a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("measure", "simulate", "real", "report", "all"))
    parser.add_argument("--out", type=Path, default=Path("gate-study"))
    parser.add_argument("--log", type=Path, default=Path("docs/evidence/gates.jsonl"), help="gates of `real`, kept")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nothing", type=int, default=60, help="A/A gates of `real`")
    for kind in PLANTED:
        parser.add_argument(f"--{kind}", type=int, default=10)
    given = parser.parse_args()
    directory = str(plugin(given.out))
    if directory not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (directory, os.environ.get("PYTHONPATH"))))
        os.execv(sys.executable, [sys.executable, *sys.argv])  # entry points are found at start
    os.environ["SLIMNER_CACHE"] = str((given.out / "cache").resolve())
    counts = {kind: getattr(given, kind.replace("-", "_")) for kind in ("nothing", *PLANTED)}
    for part in ("measure", "simulate", "real", "report") if given.part == "all" else (given.part,):
        if part == "real":
            real(given.out, given.log, counts, given.seed)
        elif part == "report":
            report(given.out, given.log)
        else:
            {"measure": measure, "simulate": simulate}[part](given.out, given.seed)


if __name__ == "__main__":
    main()
