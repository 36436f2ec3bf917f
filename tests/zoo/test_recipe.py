"""The recipe of the embedded checkpoint: its faster forward pass, the data it makes, and resuming."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from slimner import zoo

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPES))


@pytest.mark.usefixtures("recipes")
def test_the_forward_pass_of_training_gives_the_logits_of_transformers() -> None:
    import torch
    from news_zh import encoder
    from transformers import ConvBertForTokenClassification

    model: Any = ConvBertForTokenClassification.from_pretrained(zoo.checkpoint()).eval()
    ids = torch.randint(5, model.config.vocab_size, (3, 23), generator=torch.Generator().manual_seed(1))
    ids[0, 11:] = 0
    with torch.inference_mode():
        expected = model(input_ids=ids, attention_mask=(ids != 0).long()).logits
        got = encoder.logits(model, ids)
    assert torch.allclose(got[ids != 0], expected[ids != 0], atol=1e-4)


@pytest.mark.usefixtures("recipes")
def test_every_template_makes_valid_tags_and_no_slot_is_left() -> None:
    from news_zh.made import Made, Names
    from news_zh.texts import LABELS, spans

    made = Made(Names())
    templates = made.templates
    rng = random.Random(1)
    kinds = set()
    for template in templates:
        made.templates = [template]
        characters, tags = made(rng)
        assert len(characters) == len(tags)
        assert not {"{", "}", " "} & set(characters), template
        assert set(tags) <= set(LABELS)
        for before, tag in zip(["O", *tags], tags, strict=False):
            assert not tag.startswith("I-") or before[2:] == tag[2:], template
        kinds |= {kind for *_, kind in spans(tags)}
    assert kinds == {"PER", "LOC", "ORG"}


@pytest.mark.usefixtures("recipes")
def test_the_lexicon_says_nothing_twice_in_one_list() -> None:
    from news_zh.made import words

    for name in ("people", "places", "organisations"):
        for key, known in words(name).items():
            assert len(set(known)) == len(known), (name, key, sorted({w for w in known if known.count(w) > 1}))


@pytest.mark.usefixtures("recipes")
def test_a_source_gives_every_sentence_once_before_any_twice() -> None:
    from news_zh.batches import Source

    source = Source(sentences=[([str(n)], ["O"]) for n in range(10)], share=4)
    taken = [sentence[0][0] for chunk in range(5) for sentence in source.take(chunk, "seed")]
    assert sorted(taken[:10]) == sorted(taken[10:]) == [str(n) for n in range(10)]
    assert source.take(2, "seed") == source.take(2, "seed")


@pytest.mark.usefixtures("recipes")
def test_names_two_guides_disagree_about_are_not_taught() -> None:
    from news_zh.batches import LABEL, without_conflicts

    sentence = (list("中国队在北京"), ["B-ORG", "I-ORG", "I-ORG", "O", "O", "O"])
    guess = ["B-LOC", "I-LOC", "O", "O", "B-LOC", "I-LOC"]
    [(_, tags)] = without_conflicts([sentence], [guess], 0.0, random.Random(1))
    assert tags == ["B-ORG", "I-ORG", "I-ORG", "O", "?", "?"]
    assert LABEL["?"] == -100
    assert without_conflicts([sentence], [guess], 1.0, random.Random(1)) == [sentence]
