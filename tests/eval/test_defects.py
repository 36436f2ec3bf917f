"""Every kind of defect is found where it is, and repaired or refused as its rule says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from slimner.core.errors import CorpusError
from slimner.eval.corpora import RULES, CorpusSource, counts, read_corpus

ROOT = Path(__file__).parents[2]


def rows(*objects: object) -> str:
    return "\n".join(json.dumps(o) for o in objects)


def spans(text: str, *found: tuple[int, int, str], **more: object) -> dict[str, object]:
    return {"text": text, "entities": [{"start": a, "end": b, "type": kind} for a, b, kind in found], **more}


def task(text: str, *annotations: dict[str, object]) -> dict[str, object]:
    return {"data": {"text": text}, "annotations": list(annotations)}


def labels(*found: tuple[int, int, str], text: str | None = None) -> dict[str, object]:
    said = {} if text is None else {"text": text}
    return {"result": [{"type": "labels", "value": {"start": a, "end": b, "labels": [k], **said}} for a, b, k in found]}


GOOD = spans("王芳", (0, 2, "PER"))

# rule, the file, the line it is in, and the entities (start, end, type) of its last sentence after repair
REPAIRED = [
    ("not-utf8", "a1 O\n\n王芳 B-PER\n".encode("gb18030"), 3, [(0, 2, "PER")]),
    ("stray-inside", "王 B-LOC\n芳 I-PER\n在 I-PER\n", 2, [(0, 1, "LOC"), (1, 3, "PER")]),
    ("stray-inside", "王 O\n芳 E-PER\n在 S-PER\n", 2, [(1, 2, "PER"), (2, 3, "PER")]),
    ("unclosed", "王 B-PER\n芳 I-PER\n在 O\n京 B-LOC\n城 E-LOC\n", 2, [(0, 2, "PER"), (3, 5, "LOC")]),
    ("unclosed", "王 B-PER\n芳 S-PER\n在 B-X\n京 E-X\n", 1, [(0, 1, "PER"), (1, 2, "PER"), (2, 4, "X")]),
    (
        "lone-surrogate",
        '{"text": "王\\ud83d芳", "entities": [{"start": 0, "end": 3, "type": "PER"}]}',
        1,
        [(0, 3, "PER")],
    ),
    ("white-space-edge", rows(GOOD, spans(" 王 芳\u3000", (0, 5, "PER"))), 2, [(1, 4, "PER")]),
    ("empty-entity", rows(spans("王 芳", (1, 2, "PER"), (2, 3, "PER"))), 1, [(2, 3, "PER")]),
    ("repeated-entity", rows(spans("王芳", (0, 2, "PER"), (0, 2, "PER"))), 1, [(0, 2, "PER")]),
    ("overlap", rows(spans("在北京大学", (1, 3, "LOC"), (1, 5, "ORG"))), 1, [(1, 5, "ORG")]),
    ("overlap", rows(spans("王芳", (0, 2, "PER"), (0, 2, "LOC"))), 1, [(0, 2, "PER")]),
    ("utf16-offsets", rows(task("👍王芳", labels((2, 4, "PER"), text="王芳"))), 1, [(1, 3, "PER")]),
    (
        "several-annotations",
        rows(
            task("王芳", {**labels((0, 1, "LOC")), "was_cancelled": True}, labels((0, 2, "PER")), labels((0, 1, "X")))
        ),
        1,
        [(0, 2, "PER")],
    ),
    (
        "unlabelled",
        rows({"tokens": ["a1"], "ner_tags": None}, {"tokens": ["a1"], "ner_tags": ["B-X"]}),
        1,
        [(0, 2, "X")],
    ),
    (
        "unlabelled",
        rows({"tokens": ["a1"], "ner_tags": [-100]}, {"tokens": ["a1"], "ner_tags": ["X"]}),
        1,
        [(0, 2, "X")],
    ),
    ("not-accepted", rows({"text": "王芳", "spans": [], "answer": "ignore"}, GOOD), 1, [(0, 2, "PER")]),
    (
        "no-label",
        rows(
            task(
                "王芳",
                {"result": [{"type": "labels", "value": {"start": 0, "end": 1}}, *labels((0, 2, "P"))["result"]]},
            )
        ),  # type: ignore[misc]
        1,
        [(0, 2, "P")],
    ),
    ("inner-mark", "王 B-PER\n\n\ufeff芳 B-PER\n".encode(), 3, [(0, 1, "PER")]),
    ("further-tags", "a1 B-PER O\nb1 O B-LOC\n", 1, [(0, 2, "PER")]),
    ("position-digit", "王0\tB-PER\n芳1\tI-PER\n在0\tO\n", 1, [(0, 2, "PER")]),
    ("inclusive-end", rows({"text": "王芳在", "label": [[0, 1, "PER", "王芳"]]}), 1, [(0, 2, "PER")]),
    ("no-outside", "王 B-PER\n芳 I-PER\n" * 3, 1, [(0, 2, "PER"), (2, 4, "PER"), (4, 6, "PER")]),
    ("unlabelled", json.dumps([task("王芳"), task("王芳", labels((0, 2, "PER")))], indent=1), 2, [(0, 2, "PER")]),
    ("empty-sentence", rows(spans(" "), GOOD), 1, [(0, 2, "PER")]),
]

# rule, the file, the line it is in, what is said of it
FATAL = [
    ("number-tokens", "1 B-PER\n2 I-PER\n3 O\n", 1, "3 of 3 tokens are numbers"),
    ("many-types", "a1 qa\nb1 qb\nc1 qc\nd1 qd\ne1 qe\nf1 O\n", 1, "5 types in 5 entities, 6 tokens: qa"),
    ("text-as-type", rows({"text": "王芳在京", "label": [[0, 2, "王芳"], [3, 4, "京"]]}), 1, "2 of 2 entities have"),
    ("columns", "王 B-PER\n芳\n", 2, "one column, '芳'"),
    ("columns", "王 x B-PER\n芳 x I-PER\n在 O\n", 3, "2 columns where the file has 3"),
    ("columns", "王\tB-PER\n\tO\n", 2, "no token"),
    ("tag", "王 B-PER\n芳 PER\n", 2, "'PER' is not a tag of IOB2"),
    ("tag", "王 B-\n芳 B-PER\n", 1, "'B-' is not a tag"),
    ("malformed", rows({"text": "王芳"}), 1, "required field `entities`"),
    ("malformed", rows(GOOD) + '\n{"text": \n', 2, "not JSON"),
    ("malformed", rows(spans("王芳", (0, 2, " "))), 1, "has the type ' '"),
    ("malformed", rows(spans("a b", words=[[0, 1], [0, 3]])), 1, "words are"),
    ("outside", rows(GOOD, spans("王芳", (0, 3, "PER"))), 2, "entity 0..3 is outside the text of 2 characters"),
    ("outside", rows(spans("王芳", (-1, 1, "PER"))), 1, "entity -1..1 is outside"),
    (
        "surface",
        rows({"text": "王芳在", "label": {"name": {"王芳": [[1, 2]]}}}),
        1,
        "entity 1..3 is '芳在', not '王芳'",
    ),
    ("cut-word", rows(spans("New York", (0, 2, "LOC"), words=[[0, 3], [4, 8]])), 1, "entity 0..2 cuts a word"),
]
ELSEWHERE = {"lengths", "discontinuous"}  # tests/eval/test_dataset.py, tests/eval/test_cases.py


def corpus_file(tmp_path: Path, content: str | bytes) -> str:
    path = tmp_path / "corpus.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return str(path)


def test_every_rule_has_an_example() -> None:
    assert {rule for rule, *_ in REPAIRED} == {name for name, rule in RULES.items() if rule.repair} - ELSEWHERE
    assert {rule for rule, *_ in FATAL} == {name for name, rule in RULES.items() if not rule.repair} - ELSEWHERE


@pytest.mark.parametrize(("rule", "content", "line", "entities"), REPAIRED)
def test_a_defect_is_repaired_by_its_rule(
    tmp_path: Path, rule: str, content: str | bytes, line: int, entities: list[object]
) -> None:
    corpus = read_corpus(corpus_file(tmp_path, content))
    assert [(defect.rule, defect.line) for defect in corpus.defects][:1] == [(rule, line)]
    assert set(counts(corpus.defects)) == {rule}
    assert corpus.sentences[-1].entities == entities


@pytest.mark.parametrize(("rule", "content", "line", "entities"), REPAIRED)
def test_strict_refuses_what_would_be_repaired(
    tmp_path: Path, rule: str, content: str | bytes, line: int, entities: list[object]
) -> None:
    with pytest.raises(CorpusError, match=rf"corpus\.txt:{line}: .*") as caught:
        read_corpus(CorpusSource(name=corpus_file(tmp_path, content), strict=True))
    assert "--strict" in caught.value.remedy


@pytest.mark.parametrize(("rule", "content", "line", "said"), FATAL)
def test_a_fatal_defect_is_named_with_file_line_and_a_way_out(
    tmp_path: Path, rule: str, content: str | bytes, line: int, said: str
) -> None:
    with pytest.raises(CorpusError) as caught:
        read_corpus(corpus_file(tmp_path, content))
    assert f"corpus.txt:{line}: " in caught.value.message
    assert said in caught.value.message
    assert caught.value.remedy == RULES[rule].advice


def test_all_defects_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    content = "王 B-PER\n" + "芳\n" * 7 + "x PER\n" + "在 I-LOC\n"
    with pytest.raises(CorpusError) as caught:
        read_corpus(corpus_file(tmp_path, content))
    lines = caught.value.message.splitlines()
    assert [line.split(":")[1] for line in lines[:5]] == ["2", "3", "4", "5", "6"]
    assert lines[5:] == ["8 defects: 7 columns, 1 tag"]
    with pytest.raises(CorpusError, match="9 defects: 7 columns, 1 tag, 1 stray-inside"):
        read_corpus(CorpusSource(name=corpus_file(tmp_path, content), strict=True))


def test_an_element_of_an_array_is_named_by_the_line_it_begins_in(tmp_path: Path) -> None:
    content = json.dumps([task("王芳", labels((0, 2, "PER"))), task("王芳", labels((0, 9, "PER")))], indent=2)
    line = 1 + content[: content.index('"end": 9')].count("\n")
    with pytest.raises(CorpusError) as caught:
        read_corpus(corpus_file(tmp_path, content))
    named = int(caught.value.message.split(":")[1])
    assert content.splitlines()[named - 1] == "  {"
    assert named < line < named + 20


@pytest.mark.parametrize("content", ["", "\n\n \n", "-DOCSTART- -X- O O\n\n"])
def test_a_file_without_sentences_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(CorpusError, match="no sentences"):
        read_corpus(corpus_file(tmp_path, content))


def test_the_table_of_the_docs_is_the_list_of_rules() -> None:
    page = (ROOT / "docs" / "reference" / "corpus-defects.md").read_text(encoding="utf-8")
    for rule in RULES.values():
        assert f"| `{rule.name}` | {rule.wrong} | {rule.repair or '**fatal**'} |" in page
    assert page.count("\n| `") >= len(RULES)
