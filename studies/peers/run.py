"""slimner beside its peers: the same weights and texts, whole services and bare engines, measured in turn.

    python studies/peers/run.py --work DIR --out docs/evidence/peers.md

Each peer is built and run in an environment of its own below DIR, made at the first start. The load is wrk's and memory
is read from /proc/PID/smaps_rollup here, so that neither is slimner's own. Needs wrk, and a quiet machine for ten
minutes beside what building takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import OURS, PEERS, ROUNDS, Harness, Peer, Served, say
from peer import lines, time_it

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import where_and_when
from slimner.core.statistics import spread
from slimner.core.store import write_text
from slimner.reports.tables import markdown
from slimner.variants import open_predictor, resolve_checkpoint


def time_ours(artifact: str, texts: str) -> None:
    """The same for slimner, in a process of its own."""
    predictor = open_predictor(Path(artifact))

    def predict(text: str) -> list[tuple[int, int, str]]:
        return [(entity.start, entity.end, entity.type) for entity in predictor(text)]

    answers = [predict(text) for text in lines(texts)]
    print(json.dumps({"p50_ms": time_it(predict, lines(texts)), "answers": answers}))


def _rounds(values: Sequence[float], digits: int = 0) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    found = spread([one / other for one, other in zip(ours, theirs, strict=True)])
    return f"{found.value:.2f}" + (f" ({found.low:.2f} to {found.high:.2f})" if found.low is not None else "")


def service_tables(found: dict[str, list[Served]]) -> tuple[str, str]:
    """Figures of every round, and slimner over each peer with the 95 % interval over rounds."""
    columns = {
        "QPS, 5 clients": (lambda s: s.qps, 0),
        "p95, 5 clients, ms": (lambda s: s.five.p95_ms, 0),
        "p50, 1 client, ms": (lambda s: s.one.p50_ms, 1),
        "PSS at start, MB": (lambda s: s.started_mb, 0),
        "PSS after, MB": (lambda s: s.after_mb, 0),
        "first answer, s": (lambda s: s.first_answer_s, 1),
    }
    figures = markdown(
        ("service", *columns),
        [
            (title, *(_rounds([of(s) for s in served], digits) for of, digits in columns.values()))
            for title, served in found.items()
        ],
    )
    ours = found[OURS]
    ratios = markdown(
        ("slimner over", *columns),
        [
            (title, *(_ratio([of(s) for s in ours], [of(s) for s in served]) for of, _ in columns.values()))
            for title, served in found.items()
            if title != OURS
        ],
    )
    return figures, ratios


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="environments and models; kept for another start")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--checkpoint", default="synthetic:bert-base-chinese")
    parser.add_argument("--seconds", type=int, default=8, help="length of each load")
    parser.add_argument("--peers", default="", help="engines, separated by commas; without it all")
    parser.add_argument("--time", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.time:
        time_ours(*given.time)
        return
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    harness = Harness(work, Path(resolve_checkpoint(given.checkpoint).path), given.seconds)
    peers = [peer for peer in PEERS if not given.peers or peer.engine in given.peers.split(",")]
    for peer in peers:
        harness.model(peer)
    engines: dict[str, list[float]] = {}
    told: dict[str, list[list[tuple[int, int, str]]]] = {}
    served: dict[str, list[Served]] = {}
    for number in range(ROUNDS):
        order: list[Peer | None] = [None, *peers]
        for peer in order if number % 2 == 0 else reversed(order):
            name = peer.title if peer else OURS
            say(f"round {number + 1}: {name}")
            milliseconds, told[name] = harness.time(peer)
            engines.setdefault(name, []).append(milliseconds)
            if peer is None or peer.server:
                served.setdefault(name, []).append(harness.serve(peer))
    figures, ratios = service_tables(served)
    reference = told.get("torch FP32")
    lines = []
    for name, values in sorted(engines.items(), key=lambda item: statistics.median(item[1])):
        same = "-"
        if reference and "ModelScope" not in name and name != OURS:
            same = f"{sum(a == b for a, b in zip(told[name], reference, strict=True))} of {len(reference)}"
        lines.append((name.partition(",")[0], _rounds(values, 1), _ratio(engines[OURS], values), same))
    bare = markdown(("engine", "p50 a text, ms", "slimner over it", "texts answered as torch FP32 does"), lines)
    but = " but ModelScope, which has a RaNER of the same size" if any("modelscope" in p.engine for p in peers) else ""
    page = f"""# Beside its peers

Made by `nox -s peers` (`studies/peers/`), not edited by hand. {where_and_when()} An older release was measured on
[a processor with AMX](peers-amx.md).

The same BERT-base weights (random, {given.checkpoint}) and 40 Chinese sentences of up to 50 characters for all{but}.
Two workers of one thread each; Flask's own server has one process with
threads. The load is wrk's, {given.seconds} s each; memory is the
summed PSS of `/proc/PID/smaps_rollup`. Services take turns, in {ROUNDS}
rounds.

## Services

{figures}

Ratios with their 95 % interval over the rounds:

{ratios}

## Engines

Each in a process of its own, one thread, the same texts one at a time.

{bare}

With random weights logits lie close together, so INT8 of every engine changes answers that a trained model would keep.
slimner's answers are not in the last column: an I- tag without its B- begins no entity there, and random weights give
many.
"""
    if given.out:
        write_text(given.out, page)
    print(page)


if __name__ == "__main__":
    main()
