from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slimner import zoo
from slimner.variants import Predictor, open_predictor
from slimner.variants.predictor import CHUNK_TOKENS, windows
from slimner.variants.reading import LONG_CHARACTERS, units_of
from tokenizers import Tokenizer, models, pre_tokenizers

AWKWARD = [
    "",
    " ",
    "\n\t",
    "\u3000北京\u3000",
    "ＡＢＣ１２３",
    "👍🏽👨‍👩‍👧‍👦🇨🇳",
    "e\u0301\u0301\u0301",
    "\x00\x01\x7f",
    "㎡㍿ﷺ",
    "\ud83d",
    "a\udc00b",
    "[CLS][SEP][PAD]",
    "龘靐齉",
    "한국어 한국",
    "مرحبا بالعالم",
    "\u202eabc\u202c",
    "\ufeff北京",
]

texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=80),
    st.text(st.sampled_from("北京上海王芳大学市　 \n👍ＡＢab12，。é\u0301\ud800"), max_size=200),
    st.sampled_from(AWKWARD),
)


@pytest.fixture(scope="module", params=["onnx-int8", "fp32"])
def predictor(request: pytest.FixtureRequest, artifacts: dict[str, Path]) -> Predictor:
    return open_predictor(artifacts[request.param])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts)
def test_every_entity_is_the_text_at_its_offsets(predictor: Predictor, text: str) -> None:
    last = 0
    for entity in predictor(text):
        assert entity.text == text[entity.start : entity.end]
        assert entity.text == entity.text.strip() != ""
        assert entity.start >= last
        assert entity.type in predictor.labels.types
        assert 0 < entity.score <= 1
        last = entity.end


def test_the_random_model_finds_something_so_that_the_property_means_something(predictor: Predictor) -> None:
    assert sum(len(predictor(text)) for text in zoo.workload().read_text(encoding="utf-8").splitlines()[:20]) > 20


@pytest.mark.parametrize("text", ["", " ", "\n\u3000\t"])
def test_nothing_is_found_in_nothing(predictor: Predictor, text: str) -> None:
    assert predictor(text) == []
    assert predictor.tag(text).tags == ()


def test_an_answer_does_not_depend_on_what_was_asked_before(predictor: Predictor) -> None:
    lines = zoo.workload().read_text(encoding="utf-8").splitlines()[:12]
    alone = [predictor(line) for line in lines]
    again = [predictor(line) for line in reversed(lines)]
    assert alone == again[::-1]


def test_texts_asked_together_are_answered_as_each_alone(predictor: Predictor) -> None:
    lines = [*AWKWARD, *zoo.workload().read_text(encoding="utf-8").splitlines()]
    assert sum(len(predictor.encode(line).ids) for line in lines) > CHUNK_TOKENS  # so they are several chunks
    steps: list[str] = []
    assert predictor.many(lines, steps.append) == [predictor(line) for line in lines]
    assert steps.count("tokenize") == len(lines)
    assert steps[-1] == "decode"


def test_an_exception_of_whoever_follows_the_steps_ends_the_work(predictor: Predictor) -> None:
    steps: list[str] = []

    def follow(step: str) -> None:
        steps.append(step)
        if steps.count("infer") == 2:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        predictor.many(["王芳在广州。", "李明在上海说。", "新华社记者在北京大学说。"], follow)
    assert steps == ["tokenize"] * 3 + ["infer"] * 2


def test_a_text_longer_than_the_window_is_tagged_to_its_last_character(predictor: Predictor) -> None:
    text = "".join(zoo.workload().read_text(encoding="utf-8").split())[:1500]
    tagging = predictor.tag(text)
    covered = {i for start, end in tagging.offsets for i in range(start, end)}
    assert covered == {i for i, c in enumerate(text) if not c.isspace()}
    assert len(tagging.tags) == len(tagging.offsets)


def test_the_middle_of_a_long_text_is_tagged_as_in_its_own_window(predictor: Predictor) -> None:
    """A token is taken from the window in which it is far from the edge: its logits are exactly that window's."""
    text = "".join(zoo.workload().read_text(encoding="utf-8").split())[:300]
    encoding = predictor.encode(text)
    ids = np.asarray(encoding.ids)
    full = predictor.logits(encoding)
    for start, end, keep_from, keep_to in windows(len(ids) - 2, predictor.body):
        window = np.concatenate((ids[:1], ids[1 + start : 1 + end], ids[-1:]))
        expected = predictor.model(window)[1 + keep_from - start : 1 + keep_to - start]
        assert np.array_equal(full[keep_from:keep_to], expected)


def test_a_long_text_is_encoded_as_a_short_one_is(predictor: Predictor) -> None:
    text = "㎡ﷺ e\u0301 北京 emma watson，" * (LONG_CHARACTERS // 10)
    ours, plain = predictor.encode(text), predictor.tokenizer.encode(text)
    for name in ("ids", "offsets", "word_ids", "tokens", "special_tokens_mask"):
        assert getattr(ours, name) == getattr(plain, name)


@given(tokens=st.integers(0, 3000), size=st.integers(2, 510))
def test_windows_keep_every_token_once_and_fit(tokens: int, size: int) -> None:
    kept: list[int] = []
    for start, end, keep_from, keep_to in windows(tokens, size):
        assert 0 <= start <= keep_from <= keep_to <= end <= tokens
        assert end - start <= size
        kept.extend(range(keep_from, keep_to))
    assert kept == list(range(tokens))


@given(tokens=st.integers(600, 3000))
def test_a_kept_token_has_context_on_both_sides_but_at_the_ends(tokens: int) -> None:
    for start, end, keep_from, keep_to in windows(tokens, 254):
        assert start == 0 or keep_from - start >= 31
        assert end == tokens or end - keep_to >= 31


def test_the_embedded_model_finds_obvious_names(embedded_int8: Path) -> None:
    predictor = open_predictor(embedded_int8)
    text = "新华社北京11月20日电 外交部发言人王芳说，法国总统马克龙将于下周访问上海，并在复旦大学发表演讲。"
    found = {(entity.text, entity.type) for entity in predictor(text)}
    assert {("新华社", "ORG"), ("北京", "LOC"), ("外交部", "ORG"), ("王芳", "PER")} <= found
    assert {("法国", "LOC"), ("马克龙", "PER"), ("上海", "LOC"), ("复旦大学", "ORG")} <= found


def test_white_space_inside_a_name_stays_in_it(embedded_int8: Path) -> None:
    predictor = open_predictor(embedded_int8)
    text = "法国总统马克龙昨天抵达上　海访问。"
    assert "上　海" in [entity.text for entity in predictor(text)]


def test_a_combining_mark_belongs_to_the_character_before_it(predictor: Predictor) -> None:
    text = "Rene\u0301去か\u3099北"
    assert (3, 5) in predictor.tag(text).offsets
    assert (6, 8) in predictor.tag(text).offsets


def test_a_tokenizer_that_splits_at_spaces_only_still_gives_units_inside_a_chinese_sentence() -> None:
    tokenizer = Tokenizer(
        models.Unigram(
            [("<unk>", 0.0), ("▁", -1.0), *((c, -2.0) for c in "王芳在北京工作。"), ("北京", -1.0)], unk_id=0
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    text = "王芳在北京工作。"
    assert set(tokenizer.encode(text).word_ids) == {0}
    _, offsets = units_of(tokenizer.encode(text), text)
    assert [text[a:b] for a, b in offsets] == ["王", "芳", "在", "北京", "工", "作", "。"]


def test_subwords_of_a_latin_word_are_one_unit() -> None:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "wat": 1, "##son": 2, "em": 3, "##ma": 4}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    units, offsets = units_of(tokenizer.encode("emma watson"), "emma watson")
    assert (units, offsets) == ([0, 2], [(0, 4), (5, 11)])
