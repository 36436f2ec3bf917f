"""slimner beside its peers: the same weights and texts, whole services and bare engines, measured in turn.

    python studies/peers/run.py --work DIR --make           # environments and models; measures nothing
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

from harness import ORIGINAL, OURS, PEERS, ROUNDS, WORKERS, Harness, Peer, Served, say
from peer import MODELSCOPES, lines, time_it

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import where_and_when
from slimner.core.explain_records import Explanation
from slimner.core.statistics import spread
from slimner.core.store import write_text
from slimner.jobs.explaining import explain
from slimner.reports.tables import markdown
from slimner.variants import open_predictor


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


def bound(found: Explanation, engines: dict[str, list[float]], served: dict[str, list[Served]]) -> str:
    """How far any engine could be ahead of the best peer here, if all but the products with weights were free."""
    if found.products is None:
        return ""
    products = found.products
    least = products.macs / products.peak_macs_per_s * 1e3
    lines = [
        f"`slimner explain` on these texts ({found.tokens:.0f} tokens on average): products with weights take "
        f"{products.ms:.1f} of {found.ms:.1f} ms, at {products.reached * 100:.0f} % of what one large "
        f"{products.precision} product reaches on this machine. Were everything else free, a text would take "
        f"at least {least:.1f} ms."
    ]
    if peers := {name: statistics.median(times) for name, times in engines.items() if name != OURS}:
        best, own = min(peers, key=peers.__getitem__), statistics.median(engines[OURS])
        lines.append(
            f"The best peer in process, {engine_of(best)}, takes {peers[best]:.1f} ms: nothing that does these "
            f"products is more than {peers[best] / least:.1f} times as fast, and slimner is "
            f"{peers[best] / own:.2f} times as fast."
        )
    if rates := {name: statistics.median(s.qps for s in each) for name, each in served.items() if name != OURS}:
        best, ours = max(rates, key=rates.__getitem__), statistics.median(s.qps for s in served[OURS])
        most = WORKERS * 1e3 / least
        lines.append(
            f"{WORKERS} workers could then answer {most:.0f} texts a second, {most / rates[best]:.1f} times the best "
            f"peer's ({best}, {rates[best]:.0f}); slimner answers {ours:.0f}, {ours / rates[best]:.2f} times."
        )
    return "\n".join(lines)


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="environments and models; kept for another start")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--checkpoint", default="synthetic:bert-base-chinese")
    parser.add_argument("--seconds", type=int, default=8, help="length of each load")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each is measured ({ROUNDS})")
    parser.add_argument("--peers", default="", help="engines, separated by commas; without it all")
    parser.add_argument("--only", choices=("services", "engines"), help="measure only these")
    parser.add_argument("--make", action="store_true", help="make environments and models, and measure nothing")
    parser.add_argument("--time", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.time:
        time_ours(*given.time)
        return
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    harness = Harness(work, given.checkpoint, given.seconds)
    peers = [peer for peer in PEERS if not given.peers or peer.engine in given.peers.split(",")]
    for peer in peers:
        harness.model(peer)
    if given.make:
        return
    engines: dict[str, list[float]] = {}
    told: dict[str, list[list[tuple[int, int, str]]]] = {}
    served: dict[str, list[Served]] = {}
    for number in range(given.rounds):
        order: list[Peer | None] = [None, *peers]
        for peer in order if number % 2 == 0 else reversed(order):
            name = peer.title if peer else OURS
            say(f"round {number + 1}: {name}")
            if given.only != "services":
                milliseconds, told[name] = harness.time(peer)
                engines.setdefault(name, []).append(milliseconds)
            if given.only != "engines" and (peer is None or peer.server):
                served.setdefault(name, []).append(harness.serve(peer))
    say("what bounds slimner")
    page = page_of(harness, peers, engines, told, served, rounds=given.rounds)
    if given.out:
        write_text(given.out, page)
    print(page)


def engine_of(title: str) -> str:
    """The title of a peer without how it is served."""
    return title.partition(", Gunicorn")[0].partition(" in Flask")[0]


def engine_table(engines: dict[str, list[float]], told: dict[str, list[list[tuple[int, int, str]]]]) -> str:
    """Time a text of every bare engine, and how many texts it answers as the same weights do in FP32."""
    lines = []
    for name, values in sorted(engines.items(), key=lambda item: statistics.median(item[1])):
        same, reference = "-", told.get(ORIGINAL if "ModelScope" in name else "torch FP32")
        if reference and name != OURS:
            same = f"{sum(a == b for a, b in zip(told[name], reference, strict=True))} of {len(reference)}"
        lines.append((engine_of(name), _rounds(values, 1), _ratio(engines[OURS], values), same))
    return markdown(("engine", "p50 a text, ms", "slimner over it", "texts answered as in FP32"), lines)


def page_of(
    harness: Harness,
    peers: Sequence[Peer],
    engines: dict[str, list[float]],
    told: dict[str, list[list[tuple[int, int, str]]]],
    served: dict[str, list[Served]],
    *,
    rounds: int,
) -> str:
    """The page of evidence."""
    but = ""
    if any("modelscope" in peer.engine for peer in peers):
        but = (
            " but ModelScope:\nit has a RaNER of the same size, and its pipeline pads every text to "
            f"{MODELSCOPES} tokens, as it does by default"
        )
    services = engine_lines = ""
    if served:
        figures, ratios = service_tables(served)
        services = f"""
## Services

{figures}

Ratios with their 95 % interval over the rounds:

{ratios}
"""
    if engines:
        engine_lines = f"""
## Engines

Each in a process of its own, one thread, the same texts one at a time.

{engine_table(engines, told)}

With random weights logits lie close together, so INT8 of every engine changes answers that a trained model would keep.
slimner's answers are not in the last column: an I- tag without its B- begins no entity there, and random weights give
many.
"""
    return f"""# Beside its peers

Made by `nox -s peers` (`studies/peers/`), not edited by hand. {where_and_when()} Another machine:
[an AMD processor without AMX](peers-amd.md).

The same BERT-base weights (random, {harness.name}) and {len(harness.texts.read_text(encoding="utf-8").splitlines())}
Chinese sentences of up to 50 characters for all{but}.
Two workers of one thread each; Flask's own server has one process with
threads. The load is wrk's, {harness.seconds} s each; memory is the
summed PSS of `/proc/PID/smaps_rollup`. Services take turns, in {rounds}
rounds.
{services}{engine_lines}
## What bounds it

{bound(explain(harness.artifact, workload=harness.texts), engines, served)}
"""


if __name__ == "__main__":
    main()
