"""Make the embedded workload: texts whose lengths are spread like those of real news sentences.

Lengths are drawn from a log-normal curve through the median, 95th and 99th percentile measured on 19,535 sentences of
Chinese news (44, 112 and 171 characters). Each text is put together from whole clauses of the embedded corpus, so that
its characters and names are real ones; it is for timing, not for scoring.

    python recipes/make_workload.py zoo/news_zh/corpus.jsonl --out zoo/news_zh/workload.txt
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
from pathlib import Path

MEDIAN, P95 = 44, 112
LONGEST = 400


def lengths(texts: int) -> list[int]:
    """Evenly spaced quantiles of the curve, so that the mix is exact; the last few reach past the model's window."""
    from statistics import NormalDist

    sigma = math.log(P95 / MEDIAN) / NormalDist().inv_cdf(0.95)
    curve = NormalDist(math.log(MEDIAN), sigma)
    drawn = [round(math.exp(curve.inv_cdf((i + 0.5) / texts))) for i in range(texts)]
    return [max(6, min(LONGEST, length)) for length in drawn[:-1]] + [LONGEST]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    clauses = [
        clause
        for line in given.corpus.read_text(encoding="utf-8").splitlines()
        for clause in re.split(r"(?<=[，。；！？])", json.loads(line)["text"])
        if clause.strip()
    ]
    texts: list[str] = []
    for wanted in lengths(given.texts):
        text = ""
        while len(text) < wanted:
            fits = [c for c in draw.sample(clauses, 60) if len(text) + len(c) <= wanted + 2]
            text += max(fits, key=len) if fits else draw.choice(clauses)[: wanted - len(text)]
        texts.append(text.strip())
    draw.shuffle(texts)
    given.out.write_text("\n".join(texts) + "\n", encoding="utf-8")
    spread = sorted(map(len, texts))
    at = {p: spread[int(p / 100 * len(spread))] for p in (50, 95, 99)}
    print(f"{len(texts)} texts, lengths {spread[0]} to {spread[-1]}, " + ", ".join(f"p{p} {n}" for p, n in at.items()))


if __name__ == "__main__":
    main()
