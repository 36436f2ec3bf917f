"""`slimner corpus`, and corpora of other formats and types on their way through the other commands."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
from slimner.core.records import EvaluationRecord
from slimner.core.store import read_results
from slimner.eval import CorpusSource, read_corpus
from slimner.eval.inspection import Inspection

from ..conftest import Slimner, make_checkpoint

TEN = ("address", "book", "company", "game", "government", "movie", "name", "organization", "position", "scene")
CLUENER = "\n".join(
    json.dumps(
        {"text": text, "label": {kind: {text[start : end + 1]: [[start, end]]} for start, end, kind in spans}},
        ensure_ascii=False,
    )
    for text, spans in [
        (
            "浙商银行信贷部叶老桂博士在北京说",
            [(0, 3, "company"), (7, 9, "name"), (10, 11, "position"), (13, 14, "address")],
        ),
        ("生生不息ＣＳＯＬ生化狂潮", [(4, 7, "game")]),
        ("《星球大战》与《三国演义》在外交部", [(0, 5, "movie"), (7, 12, "book"), (14, 16, "government")]),
        ("曼联 队訪問臺灣故宮👍", [(0, 3, "organization"), (6, 9, "scene")]),
    ]
    * 3
)


def test_a_corpus_is_described(slimner: Slimner, tmp_path: Path) -> None:
    (tmp_path / "cluener.json").write_text(CLUENER, encoding="utf-8")
    (tmp_path / "train.bio").write_text("北 B-address\n京 I-address\n", encoding="utf-8")
    done = slimner("corpus", "cluener.json", "--against", "train.bio", "--drop", "game")
    assert done.returncode == 0, done.stderr
    first, *_ = done.stdout.splitlines()
    assert first == "cluener.json, without game: cluener, UTF-8, 12 sentences, 27 entities"
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert rows["address"] == ["3", "11", "%", "3", "1", "2", "2", "100", "%"]
    assert rows["name"][-2:] == ["0", "%"]
    assert "game" not in rows
    assert "duplicates  8 sentences repeat an earlier one" in done.stdout
    assert "defects     none" in done.stdout
    assert "in common   with train.bio, without game: 0 sentences" in done.stdout
    facts = msgspec.json.decode(slimner("corpus", "cluener.json", "--json").stdout, type=Inspection)
    assert (facts.sentences, facts.entities, len(facts.types), facts.without_entities) == (12, 30, 10, 0)


def test_a_corpus_is_written_as_it_was_read(slimner: Slimner, tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("Emma NN B-name\nWatson NN I-name\nsmiled VB O\n\nLondon NN I-address\n")
    done = slimner("corpus", "a.conll", "--map", "name=PER", "--out", "b.jsonl")
    assert done.returncode == 0, done.stderr
    assert "defects     1 stray-inside: " in done.stdout
    assert "line 5: I-address follows the start of a sentence" in done.stdout
    there = read_corpus(CorpusSource(name=str(tmp_path / "a.conll"), map={"name": "PER"})).sentences
    assert read_corpus(str(tmp_path / "b.jsonl")).sentences == there


def test_defects_end_a_command_with_file_and_line(slimner: Slimner, tmp_path: Path) -> None:
    (tmp_path / "a.bio").write_text("王 B-PER\n芳\n", encoding="utf-8")
    done = slimner("corpus", "a.bio")
    assert done.returncode == 2
    assert "a.bio:2: one column, '芳'" in done.stderr
    (tmp_path / "b.bio").write_text("王 B-LOC\n芳 I-PER\n", encoding="utf-8")
    done = slimner("corpus", "b.bio", "--strict")
    assert done.returncode == 2
    assert "b.bio:2: I-PER follows B-LOC" in done.stderr
    assert "leave out --strict" in done.stderr
    for wrong in (["--map", "PER"], ["--map", "PERS=X"], ["--format", "conl"], ["--sample", "0"], ["--drop", "X"]):
        assert slimner("corpus", "b.bio", *wrong).returncode == 2, wrong


def test_an_artifact_is_scored_on_a_corpus_of_other_types(
    slimner: Slimner, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "cluener.json").write_text(CLUENER, encoding="utf-8")
    refused = slimner("eval", artifacts["onnx-fp32"], "--corpus", "cluener.json")
    assert refused.returncode == 2
    assert "gold has address" in refused.stderr
    assert "--map address=PER" in refused.stderr
    changes = {"name": "PER", "address": "LOC", "scene": "LOC"}
    changes |= {"company": "ORG", "organization": "ORG", "government": "ORG"}
    options = [o for old, new in changes.items() for o in ("--map", f"{old}={new}")]
    drop = ("book", "game", "movie", "position")
    options += [o for kind in drop for o in ("--drop", kind)]
    options += ["--sample", "8", "--seed", "2"]
    done = slimner("eval", artifacts["onnx-fp32"], "--corpus", "cluener.json", *options, "--json")
    assert done.returncode == 0, done.stderr
    record = msgspec.json.decode(done.stdout, type=EvaluationRecord)
    source = CorpusSource(name=str(tmp_path / "cluener.json"), map=changes, drop=drop, sample=8, seed=2)
    corpus = read_corpus(source)
    assert (record.corpus, record.corpus_sha256) == (corpus.name, corpus.sha256)
    assert record.strict.support == corpus.facts.entities
    assert set(record.strict_by_type) <= {"PER", "LOC", "ORG"}


def test_ten_types_go_through_a_run_to_its_report(slimner: Slimner, tmp_path: Path) -> None:
    tags = ["O", *(f"{prefix}-{kind}" for kind in TEN for prefix in "BI")]
    make_checkpoint(tmp_path / "ten", labels=tags)
    (tmp_path / "cluener.json").write_text(CLUENER.replace("[[7, 9]]", "[[7, 9], [7, 9]]"), encoding="utf-8")
    short = ("--samples", "10", "--repetitions", "1", "--warmup", "1")
    lean = ("--variants", "onnx-fp32", "--baseline", "onnx-fp32", *short)
    done = slimner("run", "ten", "--corpus", "cluener.json", "--map", "name=PER", "--drop", "game", *lean)
    assert done.returncode == 0, done.stderr  # a baseline alone has lost nothing
    assert "repaired 3 repeated-entity; first in line 1: name 7..10 twice" in done.stderr
    results = read_results(tmp_path / "slimner-report" / "results.json")
    kinds = {*TEN, "PER"} - {"game", "name"}
    (evaluation,) = results.evaluations
    assert {count.type for sentence in evaluation.sentences for count in sentence} == kinds
    assert evaluation.strict.support == 27
    report = (tmp_path / "slimner-report" / "report.md").read_text(encoding="utf-8")
    assert "27 entities in 12 sentences of cluener.json, name=PER, without game" in report
    by_type = report.partition("## F1 by type")[2].partition("\n## ")[0]
    lines = [line.split("|") for line in by_type.splitlines() if line.startswith("| onnx-fp32")]
    assert [line[2].strip() for line in lines] == ["all", *sorted(kinds)]


def test_a_corpus_says_how_many_sentences_a_margin_needs(slimner: Slimner, tmp_path: Path) -> None:
    (tmp_path / "cluener.json").write_text(CLUENER, encoding="utf-8")
    done = slimner("corpus", "cluener.json", "--plan", "f1_max_drop=1pp")
    assert done.returncode == 0, done.stderr
    assert "plan        at 1 pp 80 % power needs" in done.stdout
    assert "assumed: of 100 entities 1 is found by the baseline only" in done.stdout
    plans = [
        msgspec.json.decode(
            slimner("corpus", "cluener.json", "--plan", f"f1_max_drop={margin}", "--json").stdout, type=Inspection
        ).plans[0]
        for margin in ("2pp", "1pp")
    ]
    assert [plan.margin_pp for plan in plans] == [2, 1]
    assert plans[0].sentences[0] < plans[1].sentences[0] < plans[1].sentences[1]  # type: ignore[operator]
    for wrong in ("pss_max=1MB", "f1_max_drop=1", "f1_max_drop=0pp", "f1_max_drop"):
        assert slimner("corpus", "cluener.json", "--plan", wrong).returncode == 2
    assert slimner("corpus", "cluener.json", "--plan-from", "results.json").returncode == 2
