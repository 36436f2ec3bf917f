from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slimner.core.errors import CorpusError
from slimner.eval import read_corpus
from slimner.eval.corpora import _from_spans
from slimner.variants.labels import spans


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode("utf-8"))
    return str(path)


def test_columns_of_characters_become_a_text_without_spaces(tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path / "a.bio", "王 B-PER\n芳 I-PER\n在 O\n京 B-LOC\n\n好 O\n"))
    assert [s.text for s in corpus.sentences] == ["王芳在京", "好"]
    assert corpus.sentences[0].tags == ("B-PER", "I-PER", "O", "B-LOC")
    assert corpus.facts.entities == 2
    assert corpus.types == ("LOC", "PER")


def test_columns_of_words_are_set_apart_by_spaces(tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path / "a.conll", "Emma NNP x B-PER\nWatson NNP x I-PER\nsmiled VBD x O\n"))
    sentence = corpus.sentences[0]
    assert sentence.text == "Emma Watson smiled"
    assert [sentence.text[a:b] for a, b in sentence.tokens] == ["Emma", "Watson", "smiled"]


@pytest.mark.parametrize(
    "text", ["王\tB-PER\r\n芳\tI-PER\r\n", "\ufeff王 B-PER\n芳 I-PER", "王  B-PER\n芳 I-PER\n\n\n\n"]
)
def test_line_endings_marks_and_blank_lines_do_not_matter(tmp_path: Path, text: str) -> None:
    assert [s.tags for s in read_corpus(write(tmp_path / "a.bio", text)).sentences] == [("B-PER", "I-PER")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("王 B-PER\n芳\n", r"a\.bio:2: one column"),
        ("王 PER\n", r"a\.bio:1: 'PER' is not an IOB2 tag"),
        ("王 B-\n", r"a\.bio:1: 'B-' is not an IOB2 tag"),
        ("王 O\n\n芳 I-PER\n", r"a\.bio:3: I-PER follows the start of a sentence"),
        ("王 B-LOC\n芳 I-PER\n", r"a\.bio:2: I-PER follows B-LOC.*starts with B-PER"),
        ("", "no sentences"),
        ("\n\n \n", "no sentences"),
        ('{"text": "王芳"}\n', r"a\.bio:1: .*entities"),
        ('{"text": "王芳", "entities": []}\n{"text": \n', r"a\.bio:2: "),
        (
            '{"text": "王芳", "entities": [{"start": 0, "end": 3, "type": "PER"}]}',
            r"a\.bio:1: entity 0\.\.3 is outside",
        ),
        ('{"text": "王 芳", "entities": [{"start": 0, "end": 2, "type": "PER"}]}', r"a\.bio:1: .*white space"),
        (
            '{"text": "王芳在","entities": [{"start": 0, "end": 2, "type": "A"}, {"start": 1, "end": 3, "type": "B"}]}',
            r"a\.bio:1: entities overlap at 1",
        ),
    ],
)
def test_every_defect_is_named_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_corpus(write(tmp_path / "a.bio", text))


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bio"
    path.write_bytes("王 B-PER\n".encode("gb18030"))
    with pytest.raises(CorpusError, match="not UTF-8 at byte 0"):
        read_corpus(str(path))


def test_types_the_model_lacks_are_named(tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path / "a.bio", "王 B-name\n城 B-PER\n"))
    with pytest.raises(CorpusError, match=r"gold has name, .*knows PER, LOC"):
        corpus.require_types(["PER", "LOC"])


@given(
    text=st.text(st.sampled_from("ab 京\u3000👍é"), min_size=1, max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=8),
)
def test_spans_survive_the_way_to_tags_and_back(text: str, cuts: list[int]) -> None:
    edges = sorted({c for c in cuts if c <= len(text)})
    gold = [
        (a, b, "XYZ"[i % 3])
        for i, (a, b) in enumerate(zip(edges[::2], edges[1::2], strict=False))
        if not text[a].isspace() and not text[b - 1].isspace()
    ]
    sentence = _from_spans(Path("x"), 1, text, gold)
    back = [(sentence.tokens[a][0], sentence.tokens[b - 1][1], kind) for a, b, kind in spans(sentence.tags)]
    assert back == gold


def test_json_lines_and_columns_of_the_same_sentence_are_the_same(tmp_path: Path) -> None:
    row = {
        "text": "王芳在京",
        "entities": [{"start": 3, "end": 4, "type": "LOC"}, {"start": 0, "end": 2, "type": "PER"}],
    }
    one = read_corpus(write(tmp_path / "a.jsonl", json.dumps(row)))
    two = read_corpus(write(tmp_path / "a.bio", "王 B-PER\n芳 I-PER\n在 O\n京 B-LOC\n"))
    assert one.sentences == two.sentences


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["Владимир", "в", "Москве"], "Владимир в Москве"),
        (["서울에서", "만난"], "서울에서 만난"),
        (["I", "'m", "getting", "a", "garbage"], "I 'm getting a garbage"),
        (["Steve", "Jobs", "说", "话"], "Steve Jobs说话"),
    ],
)
def test_words_are_joined_as_their_script_is_written(tmp_path: Path, tokens: list[str], text: str) -> None:
    path = write(tmp_path / "a.conll", "".join(f"{token} O\n" for token in tokens))
    assert [s.text for s in read_corpus(path).sentences] == [text]


def test_a_tab_separates_columns_so_that_a_token_may_hold_a_space(tmp_path: Path) -> None:
    sentence = read_corpus(write(tmp_path / "a.tsv", "New York\tB-LOC\nwins\tO\n")).sentences[0]
    assert [sentence.text[a:b] for a, b in sentence.tokens] == ["New York", "wins"]
