"""What a BERT of eight layers keeps of its F1 with fewer layers, and what that gains: docs/evidence/distillation.md.

    python studies/distillation.py --msra DIRECTORY [--work .distillation] [--out docs/evidence/distillation.md]

DIRECTORY has train.bio and dev.bio of MSRA. A teacher is trained on a part of the first, and two students learn from
it; what is in --work already is not trained again, and a training that was stopped goes on. This takes about half an
hour of one core with bfloat16 and may run beside other work (`--train-only`). Then every checkpoint is built as
onnx-fp32 and onnx-int8 and scored on dev.bio, and onnx-int8 is measured, the checkpoints in turn; `--no-times` leaves
out what a busy machine would falsify.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import artifact_of, settings, where_and_when
from slimner.bench import measure, read_workload, steps
from slimner.core.metrics import METRICS
from slimner.core.records import EvaluationRecord, MeasurementRecord
from slimner.core.store import write_text
from slimner.eval import f1_change, f1_interval
from slimner.jobs import evaluate
from slimner.reports.comparison import Row, measured_row
from slimner.reports.formatting import MISSING, megabytes, points, score, spread_of
from slimner.reports.tables import markdown
from slimner.variants import read_manifest

ROOT = Path(__file__).parents[1]
SEED = 1
LABELLED, CORPUS, TEXTS = 36_000, 6_000, 11_000  # sentences: the teacher's, the students', and those without labels

COMMANDS = {
    "shallow": "recipes/finetune.py characters --layers 2 --vectors zoo/news_zh/checkpoint --vocabulary 4500 "
    "--train {work}/labelled.bio --dev {msra}/dev.bio --epochs 1 --rate 1e-3 --batch-tokens 1024 --dropout 0.02",
    "teacher": "recipes/finetune.py {work}/shallow --layers 8 "
    "--train {work}/labelled.bio --dev {msra}/dev.bio --epochs 3 --rate 5e-4 --dropout 0.02",
    "student-half": "recipes/distill.py {work}/teacher --layers 4 "
    "--train {work}/corpus.bio --dev {msra}/dev.bio --text {work}/texts.txt --epochs 2",
    "student-quarter": "recipes/distill.py {work}/teacher --layers 2 "
    "--train {work}/corpus.bio --dev {msra}/dev.bio --text {work}/texts.txt --epochs 2",
}
MEASURED = ("teacher", "student-half", "student-quarter")


def command(name: str, work: str, msra: str) -> str:
    """The command that makes a checkpoint."""
    places = f" --out {{work}}/{name} --work {{work}}/state/{name} --bfloat16"
    return "python " + (COMMANDS[name] + places).format(work=work, msra=msra)


def wrapped(line: str) -> str:
    """A command over several lines, as a shell reads it."""
    return " \\\n    ".join(textwrap.wrap(line, 110, break_long_words=False, break_on_hyphens=False))


def gains(rows: Mapping[str, Row], names: Sequence[str]) -> str:
    """What each student's figures are of the teacher's, a line each."""
    lines = []
    for name, row in rows.items():
        parts = [
            f"{METRICS[n].title} {mine / whole * 100:.0f} %"
            for n in names
            if (mine := row.value(n)) and (whole := rows["teacher"].value(n))
        ]
        if name != "teacher":
            lines.append(f"- {name}: {', '.join(parts)} of the teacher's")
    return "\n".join(lines)


def split(msra: Path, work: Path) -> None:
    """The parts of the training data: labelled ones in the corpus's own format, and text, a sentence a line."""
    sentences = (msra / "train.bio").read_text(encoding="utf-8").strip().split("\n\n")
    (work / "labelled.bio").write_text("\n\n".join(sentences[:LABELLED]) + "\n", encoding="utf-8")
    (work / "corpus.bio").write_text("\n\n".join(sentences[:CORPUS]) + "\n", encoding="utf-8")
    texts = ["".join(line.split()[0] for line in s.splitlines()) for s in sentences[LABELLED : LABELLED + TEXTS]]
    (work / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")


def train(msra: Path, work: Path, threads: int, pause: Path | None) -> None:
    """Every checkpoint that is not there yet."""
    work.mkdir(parents=True, exist_ok=True)
    split(msra, work)
    for name in COMMANDS:
        if not (work / name / "training.json").exists():
            print(f"== {name}", flush=True)
            _, *arguments = shlex.split(command(name, str(work), str(msra)))
            arguments += ["--threads", str(threads), *(["--pause-file", str(pause)] if pause else [])]
            if code := ended(subprocess.Popen([sys.executable, *arguments], cwd=ROOT)):
                raise SystemExit(code)


def ended(training: subprocess.Popen[bytes]) -> int:
    """Its exit code; Ctrl-C reaches it too, and it is given the time to save."""
    while True:
        try:
            return training.wait()
        except KeyboardInterrupt:
            continue


def scored(checkpoint: Path, variant: str, dev: Path) -> EvaluationRecord:
    """The score of a variant of a checkpoint."""
    print(f"== {checkpoint.name}, {variant}", flush=True)
    return evaluate(artifact_of(str(checkpoint), variant), corpus=dev)


def measured(checkpoints: Mapping[str, Path], repetitions: int) -> dict[str, Row]:
    """Memory and times of onnx-int8 of each on the embedded workload, in turn, a fresh process each time."""
    workload, plan = read_workload("news-zh"), settings(seed=SEED)
    artifacts = {artifact_of(str(path), "onnx-int8"): name for name, path in checkpoints.items()}
    records: dict[str, list[MeasurementRecord]] = {name: [] for name in checkpoints}
    for step in steps(list(artifacts), repetitions):
        print(f"== {step.name}", flush=True)
        records[artifacts[step.artifact]].append(measure(step, workload.source, plan))
    return {name: measured_row(name, found, workload.facts.lengths) for name, found in records.items()}


def page(work: Path, msra: Path, *, repetitions: int, times: bool) -> str:
    """Score and measure everything."""
    checkpoints = {name: work / name for name in MEASURED}
    scores = {
        name: {variant: scored(path, variant, msra / "dev.bio") for variant in ("onnx-fp32", "onnx-int8")}
        for name, path in checkpoints.items()
    }
    rows = measured(checkpoints, repetitions)
    names = ("memory", "peak", "p50", "p95", "qps") if times else ("memory", "peak")
    teacher = scores["teacher"]["onnx-int8"]
    quality, cost = [], []
    for name, path in checkpoints.items():
        manifest = read_manifest(artifact_of(str(path), "onnx-int8"))
        exact, small = scores[name]["onnx-fp32"], scores[name]["onnx-int8"]
        change = f1_change(teacher, small, seed=SEED)
        assert change is not None
        quality.append(
            (
                name,
                f"{manifest.checkpoint.parameters / 1e6:.1f} M",
                megabytes(manifest.size_bytes),
                score(f1_interval(exact, seed=SEED)),
                score(f1_interval(small, seed=SEED)),
                MISSING if name == "teacher" else points(change.points),
                f"{small.strict.f1 / teacher.strict.f1 * 100:.1f} %" if teacher.strict.f1 else MISSING,
            )
        )
        cost.append((name, *(spread_of(rows[name].spread(n), METRICS[n]) for n in names)))
    tables = (
        markdown(("checkpoint", "parameters", "artifact", "F1, fp32", "F1, int8", "change", "kept"), quality),
        markdown(("checkpoint", *(METRICS[n].title for n in names)), cost),
    )
    commands = "\n".join(wrapped(command(name, "work", "msra")) for name in COMMANDS)
    later = (
        ""
        if times
        else "\nThe machine was busy with other work, so no times were taken; memory does not depend on it.\n"
    )
    return f"""# Fewer layers

Made by `nox -s distillation -- --msra DIRECTORY` (`studies/distillation.py`), not edited by hand. {where_and_when()}

A BERT of eight layers of width 256 with a vocabulary of characters is the teacher; `recipes/distill.py` makes students
of four and of two layers from it. The teacher learns from MSRA's first {LABELLED:,} sentences, as two layers and then
as eight. The students learn from the first {CORPUS:,} with labels, and from {TEXTS:,} that the teacher has not seen as
text alone. It is a short training: the rows compare with each other, not with published figures.

## F1

Strict F1 on MSRA's {len(teacher.sentences):,} dev sentences with 95 % intervals; `change` and `kept` are against the
teacher's `onnx-int8`, the first over the same sentences.

{tables[0]}

## Memory{" and time" if times else ""}

`onnx-int8`, one thread, on the embedded workload of Chinese news, processes in turn, {repetitions} of each; `qps` is
that of five clients.
{later}
{tables[1]}

{gains(rows, names)}

## The commands

`work/labelled.bio`, `work/corpus.bio` and `work/texts.txt` are the parts named above; the study makes them.

```
{commands}
```
"""


def main() -> None:
    """Train what is missing, score, measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--msra", type=Path, required=True, help="directory of train.bio and dev.bio")
    parser.add_argument("--work", type=Path, default=Path(".distillation"), help="checkpoints and state")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/evidence/distillation.md")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--no-times", action="store_true", help="F1 and memory only")
    parser.add_argument("--train-only", action="store_true", help="make the checkpoints, score and measure nothing")
    parser.add_argument("--threads", type=int, default=1, help="threads that train (1)")
    parser.add_argument("--pause-file", type=Path, help="training waits while this file exists")
    given = parser.parse_args()
    msra, work = given.msra.resolve(), given.work.resolve()
    train(msra, work, given.threads, given.pause_file)
    if given.train_only:
        return
    write_text(given.out, page(work, msra, repetitions=given.repetitions, times=not given.no_times))


if __name__ == "__main__":
    main()
