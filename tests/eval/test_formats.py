"""Every format written and read again is the same sentences, whatever characters are in them."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from slimner.core.errors import CorpusError
from slimner.eval.corpora import Corpus, CorpusSource, Defect, Sentence, read_corpus, write

from . import written

SCHEMES = ("IOB2", "IOB1", "IO", "BIOS", "BIOES", "BMES", "BILOU")
characters = st.lists(written.of_characters(), min_size=1, max_size=4)
words = st.lists(written.of_words(), min_size=1, max_size=4)


def read(text: str, encoding: str = "utf-8", name: str = "corpus", **source: object) -> Corpus:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / name
        path.write_bytes(text.encode(encoding))
        return read_corpus(CorpusSource(name=str(path), **source))  # type: ignore[arg-type]


def faults(corpus: Corpus) -> tuple[Defect, ...]:
    """Defects, but for that of sentences drawn without a token outside."""
    return tuple(defect for defect in corpus.defects if defect.rule != "no-outside")


@settings(deadline=None, max_examples=30)
@given(st.one_of(characters, words))
def test_our_json_lines(sentences: list[Sentence]) -> None:
    corpus = read(write(sentences))
    assert corpus.sentences == tuple(sentences)
    assert (corpus.format, faults(corpus)) == ("jsonl", ())


@settings(deadline=None, max_examples=70)
@given(st.one_of(characters, words), st.sampled_from(SCHEMES), st.booleans(), st.sampled_from(" \t"))
def test_columns_in_every_scheme(sentences: list[Sentence], scheme: str, four: bool, separator: str) -> None:
    assume(scheme != "IO" or not any(map(written.touching, sentences)))
    text = written.columns(sentences, scheme, four=four, separator=separator)
    assume(not four or separator == "\t" or sentences[0].words)  # a space as token among four spaces is none
    corpus = read(text)
    assert corpus.sentences == tuple(sentences)
    assert (corpus.format, faults(corpus)) == ("columns", ())


@settings(deadline=None, max_examples=30)
@given(characters)
def test_cluener(sentences: list[Sentence]) -> None:
    corpus = read(written.cluener(sentences))
    assert corpus.sentences == tuple(sentences)
    assert (corpus.format, faults(corpus)) == ("cluener", ())


@settings(deadline=None, max_examples=30)
@given(characters, st.sampled_from(["label", "labels", "entities"]))
def test_doccano(sentences: list[Sentence], key: str) -> None:
    corpus = read(written.doccano(sentences, key))
    assert corpus.sentences == tuple(sentences)
    if key != "entities" or any(sentence.entities for sentence in sentences):
        assert corpus.format == "doccano"
    assert faults(corpus) == ()


@settings(deadline=None, max_examples=30)
@given(characters, st.booleans())
def test_label_studio(sentences: list[Sentence], utf16: bool) -> None:
    assume(not utf16 or not any(map(written.fits_both_ways, sentences)))
    corpus = read(written.label_studio(sentences, utf16=utf16))
    assert corpus.sentences == tuple(sentences)
    assert corpus.format == "label-studio"
    assert {defect.rule for defect in faults(corpus)} <= ({"utf16-offsets"} if utf16 else set())


@settings(deadline=None, max_examples=30)
@given(characters, st.sampled_from(["pairs", "objects", "labels", "prodigy", "min"]))
def test_spacy_prodigy_and_the_small_export_of_label_studio(sentences: list[Sentence], form: str) -> None:
    corpus = read(written.json_spans(sentences, form))
    assert corpus.sentences == tuple(sentences)
    assert faults(corpus) == ()


@settings(deadline=None, max_examples=30)
@given(words, st.sampled_from(SCHEMES), st.sampled_from(["tokens", "words"]), st.sampled_from(["ner_tags", "labels"]))
def test_rows_of_tokens_and_tags(sentences: list[Sentence], scheme: str, token_key: str, tag_key: str) -> None:
    assume(scheme != "IO" or not any(map(written.touching, sentences)))
    corpus = read(written.tokens(sentences, scheme, token_key, tag_key))
    assert corpus.sentences == tuple(sentences)
    assert (corpus.format, faults(corpus)) == ("tokens", ())


@settings(deadline=None, max_examples=40)
@given(words, st.sampled_from(SCHEMES), st.booleans())
def test_conll_u(sentences: list[Sentence], scheme: str, feature: bool) -> None:
    assume(scheme != "IO" or not any(map(written.touching, sentences)))
    assume(any(sentence.entities for sentence in sentences))
    corpus = read(written.conll_u(sentences, scheme, feature=feature))
    assert corpus.sentences == tuple(sentences)
    assert (corpus.format, faults(corpus)) == ("columns", ())


@settings(deadline=None, max_examples=30)
@given(characters)
def test_brat(sentences: list[Sentence]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        for name, content in zip(("a.txt", "a.ann"), written.brat(sentences), strict=True):
            (Path(directory) / name).write_bytes(content.encode())
        corpus = read_corpus(str(Path(directory) / "a.txt"))
    assert corpus.sentences == tuple(sentences)
    assert (corpus.format, faults(corpus)) == ("brat", ())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_do_not_change_what_is_read(encoding: str, end: str) -> None:
    text = "上 B-LOC\n海 I-LOC\n的 O\n𠮷 B-PER\n\n， O\n在 O\n"
    there = read(text.replace("\n", end), encoding)
    assert there.sentences == read(text).sentences
    assert [defect.rule for defect in there.defects] == (["not-utf8"] if encoding == "gb18030" else [])
    assert [defect.line for defect in there.defects] == ([1] if encoding == "gb18030" else [])


def test_a_mark_inside_a_line_is_a_character_of_it() -> None:
    corpus = read("Dubbz\ufeff B-PER\n\n\ufeff O\nLei B-PER\n")
    assert [sentence.text for sentence in corpus.sentences] == ["Dubbz\ufeff", "\ufeff Lei"]
    assert corpus.defects == ()


def test_lines_end_only_where_files_break_them() -> None:
    corpus = read('{"text": "王\u2028芳", "entities": [{"start": 0, "end": 3, "type": "PER"}]}\r\n')
    assert corpus.sentences[0].entities == [(0, 3, "PER")]


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("a1 I-X\nb1 B-X\n", "IOB1"),
        ("a1 I-X\nb1 O\n", "IO"),
        ("a1 X\nb1 O\n", "IO"),
        ("a1 B-X\nb1 I-X\n", "IOB2"),
        ("a1 B-X\nb1 E-X\nc1 S-X\n", "BIOES"),
        ("a1 B-X\nb1 M-X\nc1 E-X\n", "BMES"),
        ("a1 B-X\nb1 L-X\nc1 U-X\n", "BILOU"),
        ("a1 B-X\nb1 I-X\nc1 S-X\n", "BIOS"),
        ("a1 B_X\nb1 I_X\n", "IOB2"),
        ("a1 X-B\nb1 X-I\n", "IOB2"),
        ("a1 X_B\nb1 O\n", "IOB2"),
        ("a1 B.X\nb1 I.X\nc1 O\n", "IOB2"),
        ("a1 b-X\nb1 i-X\nc1 o\n", "IOB2"),
        ("a1 B-X\nb1 O\nc1 B-X\nd1 I-X\ne1 E-X\n", "BIEO"),
        ("a1 B-X\nb1 O\nc1 B-X\nd1 M-X\ne1 E-X\n", "BMEO"),
        ("a1 B-X\nb1 M-X\nc1 E-X\nd1 W-X\n", "BMEW"),
        ("a1 I-X\nb1 E-X\nc1 E-X\n", "IOE2"),
    ],
)
def test_the_scheme_is_recognised(text: str, scheme: str) -> None:
    corpus = read(text)
    assert (corpus.scheme, corpus.types, corpus.defects) == (scheme, ("X",), ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Li PROPN\nLei PROPN\nworks VERB\n", "no column has tags"),
        ("B-PER Li\nI-PER Lei\nO works\n", "holds tags; name .*--columns token=2,tag=1"),
        ("PER Li\nPER Lei\nO works\n", "holds tags; name .*--columns token=2,tag=1"),
        ("NNP Li B-PER\nNNP Lei I-PER\nVBZ works O\n", "holds parts of speech; .*--columns token=2,tag=3"),
        ("1 B-PER Li\n2 I-PER Lei\n3 O works\n", "holds tags; .*--columns token=3,tag=2"),
        ("1 B-PER\n2 I-PER\n3 O\n", "3 of 3 tokens are numbers"),
        ("Li B-PER|B-ORG\nLei I-PER|I-ORG\nworks O\n", r"'B-PER\|B-ORG' is more than one tag"),
        ("Li B-PER|O\nLei I-PER\nworks O\n", r"'B-PER\|O' is more than one tag"),
        ("Sentence #,Word,Tag\nSentence: 1,Li,B-per\n,works,O\n", "set apart by commas; write it with tabs"),
        ("Li B\nLei I\nworks O\n", "a letter .* but no type; write a type"),
        ("Li;B-PER\nworks;O\n", "set apart by semicolons; write it with tabs"),
    ],
)
def test_columns_that_hold_something_else_are_refused(text: str, said: str) -> None:
    with pytest.raises(CorpusError, match=said):
        read(text)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("Li B-PER\nLei I-PER\nworks O\n", {"token": 1, "tag": 2}),
        ("B-PER\tLi\nI-PER\tLei\nO\tworks\n", {"token": 2, "tag": 1}),
        ("NNP Li B-PER x\nNNP Lei I-PER\nVBZ works O y z\n", {"token": 2, "tag": 3}),
        ("doc-1 Li NNP B-PER\ndoc-1 Lei NNP I-PER\ndoc-1 works VBZ O\n", {}),
        ("1\tLi\tB-PER\t-\tann\n2\tLei\tI-PER\t-\tann\n3\tworks\tO\t-\tann\n", {}),
        ("1-2 LiLei _ _\n1 Li _ B-PER\n2 Lei _ I-PER\n3 works _ _\n", {}),
        ("token\ttag\nLi\tB-PER\nLei\tI-PER\nworks\tO\n", {}),
        ("Li\tB-PER\t\t\nLei\tI-PER\nworks\tO\t\n", {}),
    ],
)
def test_columns_are_found_or_named(text: str, columns: dict[str, int]) -> None:
    corpus = read(text, columns=columns)
    assert [sentence.text for sentence in corpus.sentences] == ["Li Lei works"]
    assert corpus.sentences[0].entities == [(0, 6, "PER")]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("Müller B-PER\nKöln B-LOC\nin O\n", "cp1252"),
        ("김 B-PER\n철 I-PER\n수 I-PER\n는 O\n서 B-LOC\n울 I-LOC\n에 O\n", "euc-kr"),
        ("田 B-PER\n中 I-PER\nは O\n東 B-LOC\n京 I-LOC\nに O\n住 O\n", "shift-jis"),
    ],
)
def test_another_encoding_is_refused_with_its_name(content: str, encoding: str) -> None:
    with pytest.raises(CorpusError, match=f"give its encoding with --encoding {encoding}"):
        read(content, encoding)


@pytest.mark.parametrize(
    "content",
    [
        '{"text": "ab", "label": [[NaN, 2, "P"]]}',
        '{"text": "ab", "label": [[1e400, 2, "P"]]}',
        '{"text": "good", "label": "positive"}',
        '{"text": "good", "label": ["positive"]}',
        "plain\ntext\n",
        "PK\x03\x04\x00",
    ],
)
def test_what_is_not_labelled_text_is_refused(content: str) -> None:
    with pytest.raises(CorpusError):
        read(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (zlib.compress(b"ENT_IOB"), r"as spaCy's DocBin is; .*to_json"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 40\n", "Git LFS pointer.*; fetch it"),
    ],
)
def test_a_file_that_stands_for_another_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "train.spacy").write_bytes(content)
    with pytest.raises(CorpusError, match=said):
        read_corpus(str(tmp_path / "train.spacy"))


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "Li Lei", "entities": [{"offset": 0, "length": 6, "category": "PER"}]}',
        '{"sentence": "Li Lei", "labels": [["PER", 0, 6]]}',
        '{"text": "Li Lei", "label": [[0, 6, "Li Lei", "PER"]]}',
        '{"text": "Li Lei", "entities": {"start": [0], "end": [6], "label": ["PER"]}}',
        '{"classes": ["PER"], "annotations": [["Li Lei", {"entities": [[0, 6, "PER"]]}], null]}',
        '{\n "text": "Li Lei",\n "label": [[0, 6, "PER"]]\n}\n',
        '{"text": ["Li", "Lei"], "labels": ["B-PER", "I-PER"]}',
        '{"tokens": "Li Lei", "tags": "B-PER I-PER"}',
        '["Li Lei", {"entities": [[0, 6, "PER"]]}]\n["Li Lei", {"entities": [[0, 6, "PER"]]}]',
    ],
)
def test_spans_have_many_spellings(text: str) -> None:
    assert {tuple(s.entities) for s in read(text).sentences} == {((0, 6, "PER"),)}


def test_a_format_can_be_given_where_content_does_not_tell() -> None:
    text = '{"text": "王芳", "entities": []}\n'
    assert read(text).format == "jsonl"
    assert read(text, format="doccano").sentences == read(text).sentences


def test_a_column_file_may_begin_with_a_bracket() -> None:
    corpus = read("[ O\n{ O\n王 B-PER\n")
    assert corpus.sentences[0].text == "[{王"


def test_an_array_of_rows_is_read_like_lines() -> None:
    row = '{"text": "王芳", "entities": [{"start": 0, "end": 2, "type": "PER"}]}'
    assert read(f"[\n{row},\n{row}\n]").sentences == read(f"{row}\n{row}\n").sentences


def test_a_name_in_the_way_of_the_press_is_indexed_as_it_is_written() -> None:
    """Full-width, white space inside a name, traditional, a rare ideograph: positions are those of the given text."""
    text = "（ＡＢＣ　公司）１２月訪問臺 灣，𠮷田👍🏽說"
    gold = [(1, 7, "ORG"), (13, 16, "LOC"), (17, 19, "PER")]
    row = ", ".join(f'{{"start": {a}, "end": {b}, "type": "{kind}"}}' for a, b, kind in gold)
    sentence = read(f'{{"text": "{text}", "entities": [{row}]}}').sentences[0]
    assert [sentence.text[a:b] for a, b, _ in sentence.entities] == ["ＡＢＣ　公司", "臺 灣", "𠮷田"]
    assert sentence.text == text
