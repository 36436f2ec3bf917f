"""How long scoring a large corpus takes with all cores, against one process.

    python studies/scoring.py [--documents 2000] [--characters 500] [--rounds 3]

Documents are sentences of the embedded corpus, joined until they have so many characters. An artifact of `onnx-int8` is
scored in turns by one process and by as many as there is room for (A B B A ...), in one run. Exit code 1 if the records
differ in more than their times. Seconds are those of the whole job, start of the processes included.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
from common import artifact_of, where_and_when
from slimner.core.records import EvaluationRecord
from slimner.eval import read_corpus
from slimner.eval.corpora import EMBEDDED, CorpusSource
from slimner.jobs.scoring import score, scored_at_a_time
from slimner.reports.tables import markdown
from slimner.variants import verify


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--characters", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    artifact = verify(artifact_of("news-zh", "onnx-int8"))
    many = scored_at_a_time(artifact, 1)
    seconds: dict[int, list[float]] = {1: [], many: []}
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "documents.jsonl"
        write(file, given.documents, given.characters)
        corpus = read_corpus(CorpusSource(name=str(file)))
        records: list[EvaluationRecord] = []
        for number in range(given.rounds):
            for processes in (1, many)[:: 1 if number % 2 == 0 else -1]:
                begun = time.monotonic()
                record = score(artifact, corpus, threads=1, timeout_s=3600, processes=processes)
                seconds[processes].append(time.monotonic() - begun)
                records.append(msgspec.structs.replace(record, seconds=0.0))
    same = all(record == records[0] for record in records)
    shares = [all_cores / one for one, all_cores in zip(seconds[1], seconds[many], strict=True)]
    print(where_and_when())
    print(f"{given.documents:,} documents; records {'are' if same else 'ARE NOT'} the same but for their times.\n")
    rows = [(str(count), ", ".join(f"{one:.1f}" for one in found)) for count, found in seconds.items()]
    print(markdown(("processes", "seconds of each round"), rows))
    print(f"\nall cores take {statistics.median(shares):.2f} of the time of one process (median of the rounds)")
    raise SystemExit(0 if same else 1)


def write(file: Path, documents: int, characters: int) -> None:
    """Documents of at least so many characters, with their entities, as JSON lines."""
    sentences = itertools.cycle(read_corpus(CorpusSource(name=EMBEDDED)).sentences)
    with file.open("w", encoding="utf-8") as out:
        for _ in range(documents):
            text, entities = "", []
            while len(text) < characters:
                sentence = next(sentences)
                entities += [
                    {"start": len(text) + start, "end": len(text) + end, "type": kind}
                    for start, end, kind in sentence.entities
                ]
                text += sentence.text
            out.write(json.dumps({"text": text, "entities": entities}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
