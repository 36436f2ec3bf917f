"""Whether `slimner load` and an independent client, wrk, find the same rate on the same server, in alternating runs.

    python studies/load_agreement.py --rounds 6 --seconds 10

Five clients each, the embedded model, two workers. Needs wrk and a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import tempfile
from pathlib import Path

from common import artifact_of, where_and_when
from served import CLIENTS, TIMEOUT_S, load_of, started
from slimner.bench import read_workload
from slimner.bench.load import expected_answers, run_closed
from slimner.core.statistics import spread
from slimner.reports.tables import markdown

POST = Path(__file__).parent / "peers" / "post.lua"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--checkpoint", default="news-zh")
    given = parser.parse_args()
    artifact = artifact_of(given.checkpoint, "onnx-int8")
    lines: list[tuple[str, ...]] = []
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as directory, started(artifact) as up:
        texts, bodies = Path(directory) / "texts.txt", Path(directory) / "bodies.jsonl"
        short = [text for text in read_workload("news-zh").texts if len(text) <= 50]
        texts.write_text("\n".join(short) + "\n", encoding="utf-8")
        expected = expected_answers(artifact, str(texts), timeout_s=TIMEOUT_S)
        load = load_of(up.service.url, str(texts), expected)
        random.Random(load.seed).shuffle(short)  # both send the same texts in the same order
        bodies.write_text("".join(json.dumps({"text": text}) + "\n" for text in short), encoding="utf-8")
        run_closed(load, clients=CLIENTS, seconds=3)
        for number in range(given.rounds):
            rates: dict[str, float] = {}
            for client in ("slimner", "wrk") if number % 2 == 0 else ("wrk", "slimner"):
                if client == "slimner":
                    rates[client] = run_closed(load, clients=CLIENTS, seconds=given.seconds).per_s
                else:
                    told = subprocess.run(
                        ["wrk", "-t1", f"-c{CLIENTS}", f"-d{given.seconds}s", "-s", str(POST), up.service.url],
                        env={**os.environ, "PEER_BODIES": str(bodies)},
                        stdout=subprocess.PIPE,
                        text=True,
                        check=True,
                    )
                    found = json.loads(told.stdout.splitlines()[-1])
                    assert not found["errors"], found
                    rates[client] = found["requests"] / found["seconds"]
            ratios.append(rates["slimner"] / rates["wrk"])
            lines.append((str(number + 1), f"{rates['slimner']:.1f}", f"{rates['wrk']:.1f}", f"{ratios[-1]:.3f}"))
    print(markdown(("round", "slimner load, per s", "wrk, per s", "ratio"), lines))
    found_ratio = spread(ratios)
    print(f"\nratio {found_ratio.value:.3f} (95 % {found_ratio.low:.3f} to {found_ratio.high:.3f}). {where_and_when()}")


if __name__ == "__main__":
    main()
