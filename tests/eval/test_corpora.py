"""What becomes of a corpus after it is read: text, tokens, types, sample, identity."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slimner import zoo
from slimner.core.errors import CorpusError, UnknownNameError
from slimner.eval import CorpusSource, read_corpus
from slimner.eval.corpora import Corpus, write
from slimner.eval.corpora.selection import renamed
from slimner.eval.inspection import inspect
from slimner.variants.labels import spans


def file(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def read(name: str, **source: object) -> Corpus:
    return read_corpus(CorpusSource(name=name, **source))  # type: ignore[arg-type]


def test_columns_of_characters_become_a_text_without_spaces(tmp_path: Path) -> None:
    corpus = read_corpus(file(tmp_path / "a.bio", "王 B-PER\n芳 I-PER\n在 O\n京 B-LOC\n\n好 O\n"))
    assert [s.text for s in corpus.sentences] == ["王芳在京", "好"]
    assert corpus.sentences[0].tags == ("B-PER", "I-PER", "O", "B-LOC")
    assert not corpus.sentences[0].words
    assert corpus.facts.entities == 2
    assert corpus.types == ("LOC", "PER")


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
    sentence = read_corpus(file(tmp_path / "a.conll", "".join(f"{token} O\n" for token in tokens))).sentences[0]
    assert sentence.text == text
    assert sentence.words
    assert [sentence.text[a:b] for a, b in sentence.tokens] == tokens


def test_a_tab_separates_columns_so_that_a_word_may_hold_a_space(tmp_path: Path) -> None:
    sentence = read_corpus(file(tmp_path / "a.tsv", "New York\tB-LOC\nwins\tO\n")).sentences[0]
    assert [sentence.text[a:b] for a, b in sentence.tokens] == ["New York", "wins"]


def test_a_piece_of_several_characters_among_single_ones_is_its_characters(tmp_path: Path) -> None:
    pieces = ["NBA", *"今天在上海市举行比赛"]
    sentence = read_corpus(file(tmp_path / "a.bio", "".join(f"{p} {'B-ORG' if p == 'NBA' else 'O'}\n" for p in pieces)))
    assert sentence.sentences[0].tags[:4] == ("B-ORG", "I-ORG", "I-ORG", "O")


def test_types_the_model_lacks_are_named_with_the_options_that_help(tmp_path: Path) -> None:
    name = file(tmp_path / "a.bio", "王 B-name\n城 B-PER\n")
    with pytest.raises(CorpusError, match=r"gold has name, .*knows PER, LOC.*--map name=PER, --drop name"):
        read(name).require_types(["PER", "LOC"])
    read(name, map={"name": "PER"}).require_types(["PER", "LOC"])
    read(name, drop=("name",)).require_types(["PER", "LOC"])
    read(name, map={"PER": "name"}).require_types(["PER"])  # the model's PER is renamed too


def test_a_type_to_rename_or_drop_that_nobody_has_is_named(tmp_path: Path) -> None:
    name = file(tmp_path / "a.bio", "王 B-name\n")
    for source in ({"map": {"nmae": "PER"}}, {"drop": ("nmae",)}):
        with pytest.raises(UnknownNameError, match="unknown type 'nmae'; did you mean 'name'"):
            read(name, **source).require_types(["name"])
    read(name, drop=("game",)).require_types(["name", "game"])


def test_renaming_and_dropping_change_gold_and_answers_alike(tmp_path: Path) -> None:
    text = "微 B-company\n软 I-company\n联 B-organization\n盟 I-organization\n棋 B-game\n"
    corpus = read(file(tmp_path / "a.bio", text), map={"company": "ORG", "organization": "ORG"}, drop=("game",))
    assert corpus.sentences[0].tags == ("B-ORG", "I-ORG", "B-ORG", "I-ORG", "O")
    assert corpus.names(["B-company", "I-company", "B-game", "I-game", "B-ORG"]) == [
        "B-ORG",
        "I-ORG",
        "O",
        "O",
        "B-ORG",
    ]


tag = st.sampled_from(["O", *(f"{prefix}-{kind}" for kind in "abcd" for prefix in "BI")])


@given(st.lists(tag, max_size=12))
def test_entities_under_new_names_are_the_entities_there_were(tags: list[str]) -> None:
    """However many strays a tag-by-tag model puts behind an entity, renaming never makes the entity longer."""
    names = {"a": "X", "b": "X"}
    expected = [(start, end, names.get(kind, kind)) for start, end, kind in spans(tags) if kind != "d"]
    assert spans(renamed(tags, names, ("d",))) == expected


def test_identity_is_of_what_is_scored_and_not_of_the_files_form(tmp_path: Path) -> None:
    columns = file(tmp_path / "a.bio", "王 S-PER\n在 O\n京 B-LOC\n城 E-LOC\n\n江 B-name\n")
    again = file(tmp_path / "b.jsonl", write(read(columns).sentences))
    assert read(again).sha256 == read(columns).sha256
    variations = [
        {},
        {"map": {"PER": "LOC"}},
        {"map": {"PER": "name"}},
        {"map": {"LOC": "X"}},
        {"drop": ("name",)},
        {"drop": ("game",)},  # answers of that type would not count
        {"sample": 1},
    ]
    assert len({read(columns, **options).sha256 for options in variations}) == len(variations)


def test_the_name_in_records_says_what_was_made_of_a_file(tmp_path: Path) -> None:
    name = file(tmp_path / "a.bio", "王 B-name\n京 B-x\n\n城 O\n")
    corpus = read(name, map={"name": "PER"}, drop=("x",), sample=1, seed=3)
    assert corpus.facts.name == "a.bio, name=PER, without x, sample 1 seed 3"
    assert read_corpus("news-zh").facts.name == "news-zh"


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 700), st.integers(0, 5))
def test_a_sample_has_the_size_asked_for_and_keeps_order(size: int, seed: int) -> None:
    whole = read_corpus("news-zh")
    part = read("news-zh", sample=size, seed=seed)
    assert len(part.sentences) == min(size, len(whole.sentences))
    place = {sentence.text: i for i, sentence in enumerate(whole.sentences)}
    places = [place[sentence.text] for sentence in part.sentences]
    assert places == sorted(set(places))
    assert part.sha256 == read("news-zh", sample=size, seed=seed).sha256


def test_a_sample_keeps_the_mix_of_types_and_no_rare_type_is_lost(tmp_path: Path) -> None:
    kinds = ["A"] * 600 + ["B"] * 300 + ["C"] * 3 + [""] * 97
    name = file(tmp_path / "a.bio", "".join(f"王 {f'B-{kind}' if kind else 'O'}\n\n" for kind in kinds))
    for seed in range(5):
        part = read(name, sample=100, seed=seed)
        mix = collections.Counter(kind for sentence in part.sentences for *_, kind in sentence.entities)
        assert (mix["A"], mix["B"], mix["C"]) == (60, 30, 1) or (mix["C"] == 1 and abs(mix["A"] - 60) <= 1)
        assert len(part.sentences) == 100


def test_an_inspection_counts_what_is_there(tmp_path: Path) -> None:
    first = "王 B-PER\n芳 I-PER\n在 O\n京 B-LOC\n\n京 B-LOC\n\n好 O\n\n"
    one = read(file(tmp_path / "a.bio", first + "京 B-PER\n\n京 B-LOC\n"))
    facts = inspect(one, read(file(tmp_path / "b.bio", "京 B-LOC\n\n沪 B-LOC\n")))
    assert (facts.sentences, facts.without_entities, facts.entities) == (5, 1, 5)
    assert (facts.duplicates, facts.contradictions) == (2, 1)
    loc, per = facts.types
    assert (loc.type, loc.mentions, loc.distinct, loc.sentences, loc.known) == ("LOC", 3, 1, 3, 3)
    assert (per.type, per.mentions, per.distinct, per.length_characters.longest, per.known) == ("PER", 2, 2, 2, 0)
    assert facts.against is not None
    assert (facts.against.shared_sentences, facts.against.known_mentions) == (3, 3)
    assert (facts.length_characters.shortest, facts.length_characters.longest) == (1, 4)
    assert facts.length_words is None


def test_the_embedded_corpus_has_no_defects_and_is_its_own_normal_form(tmp_path: Path) -> None:
    corpus = read_corpus("news-zh")
    assert corpus.defects == ()
    assert corpus.format == "jsonl"
    again = read_corpus(file(tmp_path / "again.jsonl", write(corpus.sentences)))
    assert again.sha256 == corpus.sha256
    assert len(corpus.sentences) == len(zoo.corpus().read_text(encoding="utf-8").splitlines())
