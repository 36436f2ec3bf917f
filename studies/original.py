"""The three tables of the work slimner comes from, for a model of BERT-base size: fp32 against the leanest variant.

    python studies/original.py --out docs/evidence/original.md

Dependencies (2.2), memory by stage (4.1), and F1, response time, QPS at five clients and minimum memory (4.2). The
model has random weights in the shape of bert-base-chinese (12 layers of 768, 21,128 entries), which is all that memory
and speed depend on. Its F1 would mean nothing: in its place stand the share of tags that stay the same, and the F1 of
the embedded model, which is trained, through the same variants. Takes about half an hour on two cores; the page is
written when all of it is done.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import artifact_of, settings, where_and_when
from msgspec.structs import replace
from slimner.bench import ledger as accounts
from slimner.bench import measure, read_workload, steps
from slimner.bench.dependencies import import_ledger
from slimner.core.ledger_records import ImportLedger, Minimum, ServerPoint
from slimner.core.machine import thread_environment
from slimner.core.metrics import METRICS
from slimner.core.records import MeasurementRecord, Measuring
from slimner.core.store import write_text
from slimner.jobs import evaluate
from slimner.reports import ledger as tables
from slimner.reports import markdown as md
from slimner.reports.comparison import Row, measured_row
from slimner.reports.formatting import MISSING, megabytes, milliseconds, per_second, seconds, spread_of
from slimner.reports.tables import markdown
from slimner.variants import read_manifest, resolve_checkpoint

RANDOM = "synthetic:bert-base-chinese"
WORKERS = 2
REPETITIONS = 3
GIB = 1 << 30

USUAL = """
import sys
from transformers import pipeline
ner = pipeline("token-classification", model=sys.argv[1], aggregation_strategy="simple")
for text in open(sys.argv[2], encoding="utf-8").read().splitlines()[:20]:
    ner(text)
"""


def some_texts(path: Path, count: int, longest: int, suits: Callable[[str], bool] = lambda text: True) -> Path:
    """`count` texts of the embedded workload that suit, up to `longest` characters, evenly over their lengths."""
    texts = sorted((t for t in read_workload("news-zh").texts if len(t) <= longest and suits(t)), key=len)
    chosen = [texts[round(i * (len(texts) - 1) / (count - 1))] for i in range(count)]
    path.write_text("\n".join(chosen) + "\n", encoding="utf-8")
    return path


class Account:
    """Everything that is measured of one artifact."""

    def __init__(self, artifact: Path, everything: Path, short: Path, plan: Measuring) -> None:
        self.manifest = read_manifest(artifact)
        say(f"{self.manifest.variant}: processes")
        self.records: list[MeasurementRecord] = [
            measure(step, str(everything), plan) for step in steps([artifact], REPETITIONS)
        ]
        self.row: Row = measured_row(self.manifest.variant, self.records, read_workload(str(everything)).facts.lengths)
        self.imports: ImportLedger = accounts.dependencies(artifact, short, plan, say)
        self.points: list[ServerPoint] = list(
            accounts.server_points(artifact, str(short), plan, most_workers=WORKERS, seconds=20.0, on_progress=say)
        )
        say(f"{self.manifest.variant}: minimum memory")
        self.least: Minimum = accounts.artifact_minimum(
            artifact, str(short), plan, measured=self.records[0], on_trial=lambda t: say(f"{t}")
        )
        self.server_least: Minimum = accounts.server_minimum(
            artifact, str(short), plan, workers=WORKERS, point=self.served, on_trial=lambda t: say(f"{t}")
        )

    @property
    def served(self) -> ServerPoint:
        """The server with preload and two workers."""
        return next(p for p in self.points if p.workers == WORKERS and p.preload)


def say(what: str) -> None:
    """Progress, with the time since the start."""
    sys.stderr.write(f"{time.monotonic() - BEGUN:6.0f} s  {what}\n")


BEGUN = time.monotonic()


def dependency_section(title: str, ledger: ImportLedger) -> str:
    """One ledger of imports."""
    return md.section(replace(tables.imports(ledger), title=title), 3)


def server_section(account: Account) -> str:
    """The curve of its server over workers."""
    section = tables.server(account.points, None)
    return md.section(replace(section, title=f"{account.manifest.variant}, {section.title}"), 3)


def stage_table(one: Account, other: Account) -> str:
    """Memory by stage side by side, a stage that only one has left empty."""
    names = list(dict.fromkeys(s.name for account in (one, other) for s in account.records[0].stages))
    order = ["interpreter", "predictor code", *(n for n in names if n.startswith("import ")), "tokenizer", "model"]
    lines: list[tuple[str, ...]] = []
    for name in [*order, "first answer", "steady"]:
        line = [name]
        for account in (one, other):
            stages = account.records[0].stages
            at = next((i for i, s in enumerate(stages) if s.name == name), None)
            if at is None:
                line += [MISSING, MISSING]
            else:
                before = stages[at - 1].pss_bytes or 0 if at else 0
                line += [f"{((stages[at].pss_bytes or 0) - before) / 1e6:+.0f} MB", megabytes(stages[at].pss_bytes)]
        lines.append(tuple(line))
    for name, figure in (
        ("peak (VmHWM)", lambda account: account.records[0].stages[-1].hwm_bytes),
        ("server, 1 worker, before traffic", lambda account: account.points[0].before.pss_bytes),
        ("server, 2 workers with preload, before traffic", lambda account: account.served.before.pss_bytes),
        ("server, 2 workers with preload, after traffic", lambda account: account.served.after.pss_bytes),
    ):
        lines.append((name, "", megabytes(figure(one)), "", megabytes(figure(other))))
    a, b = one.manifest.variant, other.manifest.variant
    return markdown(("stage", f"{a} adds", a, f"{b} adds", b), lines)


def trained_f1(variant: str, plan: Measuring) -> float:
    """Strict F1 of the embedded model through a variant, on the embedded corpus."""
    return evaluate(artifact_of("news-zh", variant), timeout_s=plan.timeout_s).strict.f1


def result_table(one: Account, other: Account, f1: tuple[float, float]) -> str:
    """What it comes to."""

    def change(of: float, to: float) -> str:
        return f"{(to / of - 1) * 100:+.0f} %"

    lines: list[tuple[str, str, str, str]] = [
        (
            "same tags as the checkpoint (in place of F1)",
            *(f"{account.manifest.parity.tag_agreement * 100:.2f} %" for account in (one, other)),
            "",
        ),
        (
            "F1 of the embedded trained model (3 M parameters)",
            *(f"{value * 100:.2f}" for value in f1),
            f"{(f1[1] - f1[0]) * 100:+.2f} pp",
        ),
    ]
    for name, of, show in (
        ("artifact", lambda a: a.manifest.size_bytes, megabytes),
        ("memory of one process, steady", lambda a: a.row.value("memory"), megabytes),
        ("response time p50, one process", lambda a: a.row.value("p50"), milliseconds),
        ("response time p95, one process", lambda a: a.row.value("p95"), milliseconds),
        ("cold start", lambda a: a.row.value("cold_start"), seconds),
        ("server: QPS at five clients", lambda a: a.served.per_s, per_second),
        ("server: p50 at five clients", lambda a: a.served.p50_ms, milliseconds),
        ("server: summed PSS after traffic", lambda a: a.served.after.pss_bytes, megabytes),
        ("server: summed RSS, as it is often read", lambda a: a.served.after.rss_bytes, megabytes),
        ("server: QPS per GiB of PSS", lambda a: a.served.per_s / (a.served.after.pss_bytes / GIB), per_second),
        ("minimum memory of one process", lambda a: a.least.bytes, megabytes),
        ("minimum memory of the server", lambda a: a.server_least.bytes, megabytes),
    ):
        first, second = of(one), of(other)
        lines.append((name, show(first), show(second), change(first, second) if first and second else MISSING))
    return markdown(("", one.manifest.variant, other.manifest.variant, "change"), lines)


def _spread(account: Account, metric: str) -> str:
    return spread_of(account.row.spread(metric), METRICS[metric])


def main() -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--baseline", default="fp32")
    parser.add_argument("--lean", default="onnx-int8", help="the leanest variant, as `slimner run` picks it")
    parser.add_argument("--checkpoint", help="another checkpoint directory in place of the random one")
    given = parser.parse_args()
    plan = settings(samples=100)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        checkpoint = given.checkpoint or str(resolve_checkpoint(RANDOM).path)
        everything = some_texts(place / "texts.txt", 100, 10_000)
        short = some_texts(place / "short.txt", 40, 50)
        say("building")
        one, other = (artifact_of(checkpoint, variant) for variant in (given.baseline, given.lean))
        say("the usual way: transformers.pipeline")
        usual = import_ledger(
            [sys.executable, "-P", "-c", USUAL, checkpoint, str(short)],
            timeout_s=1800,
            environment=thread_environment(1),
            on_progress=say,
        )
        accounts_of = [Account(artifact, everything, short, plan) for artifact in (one, other)]
    first, second = accounts_of
    say("F1 of the embedded model")
    f1 = (trained_f1(given.baseline, plan), trained_f1(given.lean, plan))
    held = first.least.limiter
    checks = "\n".join(f"- {a.manifest.variant}: {tables.sum_check(a.records[0])}" for a in accounts_of)
    write_text(
        given.out,
        f"""# The original's tables, at BERT-base size

Made by `nox -s original` (`studies/original.py`) in {(time.monotonic() - BEGUN) / 60:.0f} minutes, not edited by hand.

{where_and_when()}

The model has {first.manifest.checkpoint.parameters / 1e6:.0f} million parameters in the shape of bert-base-chinese and
random weights: memory and speed depend on the shape alone, F1 would mean nothing. One thread a process. MB are 10^6
bytes. One process is measured on 100 texts with the length mix of Chinese news (p50
{read_workload("news-zh").facts.length(50)} characters); the server on 40 sentences of up to 50 characters, as the
original was.

## 2.2 Dependencies

Resident memory that the imports of each distribution add, in the order of the program; what importing it alone adds;
its size on disk; and whether anything of it was called after the imports, while texts were answered.

{dependency_section("The usual way: transformers.pipeline on the checkpoint", usual)}

{dependency_section(f"{first.manifest.variant}, opened by slimner", first.imports)}

{dependency_section(f"{second.manifest.variant}, opened by slimner", second.imports)}

## 4.1 Memory by stage

PSS of one process, read at each stage, and of our server (Gunicorn, master and workers summed).

{stage_table(first, second)}

{checks}

## 4.2 What it comes to

{result_table(first, second, f1)}

Random logits lie close together, so more tags flip than a trained model's do. The server has two workers, preload, and
one thread each. One process: p50
{_spread(first, "p50")} and {_spread(second, "p50")}, memory
{_spread(first, "memory")} and {_spread(second, "memory")}, 95 % over
{REPETITIONS} fresh processes.

Minimum memory is the least limit, to 8 MB and confirmed twice, under which everything is answered rightly and in at
most three times the time it takes without ({held}).

{server_section(first)}

{server_section(second)}
""",
    )
    say(f"written to {given.out}")


if __name__ == "__main__":
    main()
