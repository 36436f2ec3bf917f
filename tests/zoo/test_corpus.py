"""The checker of the embedded corpus: scheme, spans, duplicates, counts, and the variety it promises."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from pathlib import Path

import pytest
from slimner import zoo
from slimner.eval import read_corpus

ROWS = [json.loads(line) for line in zoo.corpus().read_text(encoding="utf-8").splitlines()]
ENTITIES = [
    (row["id"], e["start"], e["end"], e["type"], row["text"][e["start"] : e["end"]])
    for row in ROWS
    for e in row["entities"]
]


def test_it_is_as_large_as_promised() -> None:
    assert len(ROWS) >= 500
    counts = Counter(kind for *_, kind, _ in ENTITIES)
    assert set(counts) == {"PER", "LOC", "ORG"}
    assert sum(counts.values()) >= 1200
    assert min(counts.values()) >= 300


def test_spans_are_inside_in_order_and_apart() -> None:
    for row in ROWS:
        last = 0
        for entity in row["entities"]:
            assert last <= entity["start"] < entity["end"] <= len(row["text"]), row["id"]
            last = entity["end"]


def test_names_have_no_space_or_mark_at_their_edges() -> None:
    for identity, *_, name in ENTITIES:
        assert name == name.strip(), identity
        assert not re.match(r"[，。、；：？！《》（）()]", name), (identity, name)
        assert not re.search(r"[，。、；：？！《（(]$", name), (identity, name)


def test_nothing_is_there_twice() -> None:
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert len({re.sub(r"\W", "", row["text"]) for row in ROWS}) == len(ROWS)


def test_domains_are_all_there() -> None:
    domains = Counter(row["id"].partition("-")[0] for row in ROWS)
    assert {"news", "business", "sport", "science", "travel", "public"} <= set(domains)
    assert min(domains[d] for d in ("news", "business", "sport", "science", "travel", "public")) >= 80


def test_lengths_spread_like_news() -> None:
    lengths = sorted(len(row["text"]) for row in ROWS)
    assert lengths[0] == 6
    assert 280 <= lengths[-1] <= 300
    assert 35 <= statistics.median(lengths) <= 50
    assert 100 <= lengths[int(len(lengths) * 0.95)] <= 150


def test_enough_sentences_have_no_entity() -> None:
    assert sum(not row["entities"] for row in ROWS) >= 0.15 * len(ROWS)


@pytest.mark.parametrize(
    ("what", "pattern", "least"),
    [
        ("transliterated names", r"[\u4e00-\u9fff]·[\u4e00-\u9fff]", 60),
        ("Latin letters", r"[A-Za-z]{2}", 30),
        ("digits", r"\d", 80),
        ("full-width letters or digits", r"[０-９Ａ-Ｚａ-ｚ]", 10),
        ("quotation marks", r"[“”「」]", 60),
        ("book title marks", r"《", 20),
        ("emoji", r"[\U0001F300-\U0001FAFF\u2600-\u27bf]", 15),
        ("traditional characters", r"[臺灣學國車員週會]", 8),
    ],
)
def test_what_the_guide_promises_occurs(what: str, pattern: str, least: int) -> None:
    assert sum(bool(re.search(pattern, row["text"])) for row in ROWS) >= least, what


def test_the_same_name_is_rarely_of_two_types() -> None:
    kinds: dict[str, set[str]] = {}
    for *_, kind, name in ENTITIES:
        kinds.setdefault(name, set()).add(kind)
    assert sum(len(k) > 1 for k in kinds.values()) <= 10


def test_the_reader_sees_what_the_file_says() -> None:
    corpus = read_corpus("news-zh")
    assert corpus.facts.sentences == len(ROWS)
    assert corpus.facts.entities == len(ENTITIES)


def test_the_marked_form_goes_there_and_back(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = Path(__file__).parents[2] / "recipes" / "corpus.py"
    marked = tmp_path / "marked.txt"
    marked.write_bytes(
        subprocess.run(
            [sys.executable, str(script), "unpack", str(zoo.corpus())], capture_output=True, check=True
        ).stdout
    )
    out = tmp_path / "out.jsonl"
    subprocess.run([sys.executable, str(script), "pack", f"all={marked}", "--out", str(out)], check=True)
    again = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(r["text"], r["entities"]) for r in again] == [(r["text"], r["entities"]) for r in ROWS]
