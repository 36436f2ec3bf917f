"""Files as strangers bring them (tests/eval/cases): each is read as what it is, or refused with cause and next step."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from slimner.core.errors import CorpusError
from slimner.eval import CorpusSource, read_corpus

CASES = Path(__file__).parent / "cases"
LI, LEI, SHANGHAI = ("李雷", "PER"), ("Li Lei", "PER"), ("Shanghai", "LOC")
HOSPITAL = ("华山医院", "ORG")

# file, entities by sentence, rules of its defects
READ: list[tuple[str, list[list[tuple[str, str]]], list[str]]] = [
    ("suffix.bio", [[LEI, SHANGHAI]], []),
    ("under.bio", [[LEI, SHANGHAI]], []),
    ("under_type.bio", [[("Li Lei", "PERSON_NAME"), ("Shanghai", "LOC_CITY")]], []),
    ("germeval.tsv", [[LEI, ("Schanghai", "LOC")], []], ["further-tags"]),
    ("germeval_nocomment.tsv", [[LEI, ("Schanghai", "LOC")], []], ["further-tags"]),
    ("comment_two.bio", [[LI, ("上海", "LOC")], []], []),
    ("multiconer.conll", [[("li lei", "PER"), ("shanghai", "LOC")], []], []),
    ("hash_token.bio", [[LI], []], []),
    ("brat.txt", [[LI, ("上海", "LOC")]], []),
    ("brat.ann", [[LI, ("上海", "LOC")]], []),
    ("spacy.json", [[LEI, SHANGHAI]], []),
    ("spacy_dict.jsonl", [[LEI, SHANGHAI]], []),
    ("spacy_label.jsonl", [[LEI]], []),
    ("spans_label.jsonl", [[LEI]], []),
    ("prodigy.jsonl", [[LEI]], ["not-accepted"]),
    ("doccano_data.jsonl", [[LI, ("上海", "LOC"), HOSPITAL], []], []),
    ("doccano_4.jsonl", [[LI, ("上海", "LOC")]], []),
    ("doccano_rel.jsonl", [[LI, ("上海", "LOC")]], []),
    ("ls_json_min.json", [[LI, ("上海", "LOC")]], []),
    ("ls_unlabeled_region.json", [[LI]], ["no-label"]),
    ("ls_hypertext.json", [[LI]], []),
    ("hf_tokens.jsonl", [[LEI]], []),
    ("gb18030.txt", [[LI]], ["not-utf8"]),
    ("utf16bom.txt", [[LI], []], []),
    ("weibo.conll", [[("李雷", "PER.NAM"), ("上海", "GPE.NAM")], []], ["position-digit"]),
    ("cluener_str.json", [[("李雷", "name"), ("上海", "address")]], []),
    ("crlf_offsets.jsonl", [[LI]], []),
    ("crlf_tab.bio", [[LI], []], []),
    ("emoji_zwj.jsonl", [[LI, ("上海", "LOC")]], []),
    ("float_offsets.jsonl", [[LI]], []),
    ("iob_pos.conll", [[LEI, SHANGHAI, ("Wuhan", "LOC")]], []),
    ("jsonl_bom.jsonl", [[LI]], []),
    ("nan.jsonl", [[LI]], []),
    ("nbsp.bio", [[LI]], []),
    ("nested_hyphen.bio", [[("Li Lei", "PER-NOM"), ("Shanghai", "GPE-NAM")]], []),
    ("rtl.jsonl", [[("محمد", "PER"), ("القاهرة", "LOC")]], []),
    ("trailing.bio", [[LEI]], []),
]

# file, what its message says, what its remedy says
REFUSED = [
    ("brat_only_T.ann", r"brat_only_T\.txt, is missing", "beside it"),
    ("doccano_old.json", r"labels are numbers \(6, 7\)", "--map 6=PER --map 7=LOC"),
    ("big5.txt", "it may be big5", "--encoding big5"),
    ("eucjp.txt", "it may be euc-jp", "--encoding euc-jp"),
    ("x_tag.bio", "'X' is not a tag of IOB2", "a prefix and a type"),
    ("blank_only_tag.bio", "no token", "a line is a token"),
    ("cluener_test.json", "required field `entities`", "entities"),
    ("empty.bio", "no sentences", "labelled sentences"),
]


def found(source: CorpusSource) -> list[list[tuple[str, str]]]:
    return [[(s.text[a:b], kind) for a, b, kind in s.entities] for s in read_corpus(source).sentences]


def test_every_case_has_its_outcome() -> None:
    assert {name for name, *_ in [*READ, *REFUSED]} == {path.name for path in CASES.iterdir()}


@pytest.mark.parametrize(("name", "entities", "rules"), READ, ids=[name for name, *_ in READ])
def test_a_file_is_read_as_what_it_is(name: str, entities: list[list[tuple[str, str]]], rules: list[str]) -> None:
    source = CorpusSource(name=str(CASES / name))
    assert found(source) == entities
    assert [defect.rule for defect in read_corpus(source).defects] == rules


@pytest.mark.parametrize(("name", "message", "remedy"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_a_file_is_refused_with_its_cause_and_a_next_step(name: str, message: str, remedy: str) -> None:
    with pytest.raises(CorpusError, match=message) as caught:
        read_corpus(str(CASES / name))
    assert remedy in caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "entities"),
    [("big5.txt", [("李雷", "PER"), ("臺灣", "LOC")]), ("eucjp.txt", [("田中", "PER"), ("東京", "LOC")])],
)
def test_an_encoding_that_is_named_is_used(name: str, entities: list[tuple[str, str]]) -> None:
    encoding = {"big5.txt": "big5", "eucjp.txt": "euc-jp"}[name]
    assert found(CorpusSource(name=str(CASES / name), encoding=encoding)) == [entities]
    with pytest.raises(CorpusError, match="not ascii from here on"):
        read_corpus(CorpusSource(name=str(CASES / name), encoding="ascii"))


def test_numbers_with_a_name_each_are_types() -> None:
    source = CorpusSource(name=str(CASES / "doccano_old.json"), map={"7": "PER", "6": "LOC"})
    assert found(source) == [[LI, ("上海", "LOC")]]


def test_a_directory_of_brat_is_all_its_documents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copy(CASES / "brat.txt", tmp_path / f"{name}.txt")
        shutil.copy(CASES / "brat.ann", tmp_path / f"{name}.ann")
    assert found(CorpusSource(name=str(tmp_path))) == [[LI, ("上海", "LOC")]] * 2


def test_pieces_with_text_between_them_are_left_out_and_a_line_break_in_a_name_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Li\nLei and Mei Li\nrest\n", encoding="utf-8")
    ann = "T1\tPER 0 2;3 6\tLi Lei\nT2\tPER 3 6;15 17\tLei Li\nA1\tNegation T1\n#1\tNote T1\tx\n"
    (tmp_path / "a.ann").write_text(ann, encoding="utf-8")
    corpus = read_corpus(str(tmp_path / "a.ann"))
    assert [s.text for s in corpus.sentences] == ["Li\nLei and Mei Li", "rest"]
    assert [s.entities for s in corpus.sentences] == [[(0, 6, "PER")], []]
    assert [(defect.rule, defect.line) for defect in corpus.defects] == [("discontinuous", 2)]
