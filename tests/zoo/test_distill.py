"""The recipes for a corpus of one's own: training that stops and goes on, layers, and a student of a teacher."""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"
TEXTS = ("张三在北京", "李四去上海了", "王五到过南京和北京", "今天下雨")
BIO = """张 B-PER
三 I-PER
在 O
北 B-LOC
京 I-LOC

李 B-PER
四 I-PER
去 O
上 B-LOC
海 I-LOC
了 O

今 O
天 O
下 O
雨 O
"""


@pytest.fixture(autouse=True)
def recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(RECIPES))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A corpus and unlabelled text."""
    (tmp_path / "corpus.bio").write_text(BIO, encoding="utf-8")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    return tmp_path


def call(recipe: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """A recipe with these arguments, as from the command line."""
    import importlib

    monkeypatch.setattr(sys, "argv", [recipe, *map(str, arguments)])
    importlib.import_module(recipe).main()


def small_teacher(files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    corpus, out = files / "corpus.bio", files / "teacher"
    shape = ("--layers", 4, "--width", 64, "--epochs", 1, "--batch-tokens", 16)
    call(
        "finetune", monkeypatch, "characters", *shape, "--train", corpus, "--dev", corpus,
        "--out", out, "--work", files / "t",
    )  # fmt: skip
    return out


def tiny() -> Any:
    from transformers import BertConfig, BertForTokenClassification

    shape = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}
    return BertForTokenClassification(BertConfig(num_hidden_layers=5, num_labels=3, **shape)).eval()


def test_a_student_begins_with_layers_of_the_teacher_taken_evenly() -> None:
    import torch
    from layers import layers_of, with_layers

    teacher = tiny()
    ids = torch.arange(5, 15)[None]
    with torch.inference_mode():
        whole = with_layers(teacher, 5)(input_ids=ids).logits
        assert torch.equal(whole, teacher(input_ids=ids).logits)
    for layers, taken in ((3, (0, 2, 4)), (1, (0,)), (8, (0, 1, 1, 2, 2, 3, 3, 4))):
        student = with_layers(teacher, layers)
        student(input_ids=ids)
        assert student.config.num_hidden_layers == layers
        for mine, number in zip(layers_of(student), taken, strict=True):
            theirs = layers_of(teacher)[number].state_dict()
            assert all(torch.equal(value, theirs[name]) for name, value in mine.state_dict().items())
    assert teacher.config.num_hidden_layers == 5


def test_layers_that_begin_alike_are_trained_apart() -> None:
    from layers import layers_of, with_layers

    grown = with_layers(tiny(), 10)
    assert len({id(parameter) for layer in layers_of(grown) for parameter in layer.parameters()}) == 10 * 16


def test_the_teacher_answers_for_the_real_tokens_of_each_text_once() -> None:
    import torch
    from distill import Answers

    teacher = tiny()
    rows = [[5, 6, 7], [8, 9, 10, 11, 12]]
    inputs = torch.tensor([[5, 6, 7, 0, 0], rows[1]])
    mask = torch.tensor([[1, 1, 1, 0, 0], [1] * 5])
    answers = Answers(teacher, bfloat16=False)
    with torch.inference_mode():
        alone = torch.cat([teacher(input_ids=torch.tensor([row])).logits[0] for row in rows])
    assert torch.allclose(answers([0, 1], inputs, mask), alone, atol=2e-3)
    teacher.classifier.bias.data.add_(1.0)  # would change any answer it still had to give
    assert torch.allclose(answers([1, 0], inputs.flip(0), mask.flip(0)), torch.cat([alone[3:], alone[:3]]), atol=2e-3)


def test_a_student_like_its_teacher_has_nothing_to_learn_but_the_labels() -> None:
    import torch
    from distill import loss_of

    logits = torch.tensor([[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [9.0, 9.0, 9.0]]])
    mask, none = torch.tensor([[1, 1, 0]]), torch.tensor([[-100, -100, -100]])
    expected = logits[0, :2]
    assert loss_of(logits, expected, mask, none, 2.0, 0.5).item() == pytest.approx(0, abs=1e-6)
    assert loss_of(logits.flip(2), expected, mask, none, 2.0, 0.5).item() > 1
    right, wrong = torch.tensor([[0, 1, -100]]), torch.tensor([[2, 2, -100]])
    assert loss_of(logits, expected, mask, wrong, 2.0, 0.5) > loss_of(logits, expected, mask, right, 2.0, 0.5) > 0


def steps_of(work: Path, stop_after: int | None = None) -> tuple[list[list[int]], list[int], Any]:
    """The batches and ended epochs of a small run over three epochs of four steps, and its trainer."""
    import running
    import torch
    from news_zh.trainer import Trainer

    torch.manual_seed(1)
    trainer = Trainer("small", torch.nn.Linear(1, 1), work, 12, 0.1)
    seen: list[list[int]] = []
    ended: list[int] = []

    class Epochs(running.Epochs):
        def end(self, epoch: int) -> None:
            ended.append(epoch)

    epochs = Epochs([10] * 5, Namespace(seed=7, epochs=3, batch_tokens=10), lambda: 0.0)
    assert (epochs.per_epoch, epochs.steps) == (4, 12)
    for batch in running.steps(trainer, epochs):
        seen.append(batch)
        trainer.update(trainer.model(torch.tensor([[float(batch[0])]])).square().mean())
        if len(seen) == stop_after:
            signal.raise_signal(signal.SIGINT)
    return seen, ended, trainer


def test_a_run_that_is_stopped_goes_on_with_the_batch_it_had_come_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, ended, expected = steps_of(tmp_path / "a")
    assert len(whole) == 12
    assert ended == [1, 2, 3]
    with pytest.raises(SystemExit) as stop:
        steps_of(tmp_path / "b", stop_after=6)
    assert stop.value.code == 130
    assert "stopped at step 6 of 12" in capsys.readouterr().out
    rest, ended, got = steps_of(tmp_path / "b")
    assert rest == whole[6:]
    assert ended == [2, 3]
    assert torch.equal(got.average.weight, expected.average.weight)


def test_a_student_is_made_from_the_command_line(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from slimner.variants import resolve_checkpoint

    teacher, corpus, out = small_teacher(files, monkeypatch), files / "corpus.bio", files / "student"
    common = ("--train", corpus, "--dev", corpus, "--text", files / "texts.txt", "--batch-tokens", 16)
    places = ("--out", out, "--work", files / "work")
    call("distill", monkeypatch, teacher, "--layers", 2, *common, *places, "--epochs", 2)
    assert json.loads((out / "config.json").read_text())["num_hidden_layers"] == 2
    assert set(json.loads((out / "training.json").read_text())["dev_f1"]) == {"teacher", "student"}
    assert resolve_checkpoint(str(out)).path == out
    assert "3 labelled texts, 4 without labels" in capsys.readouterr().out

    refused: tuple[tuple[str, tuple[object, ...]], ...] = (
        (r"epochs was 2, now 3", (teacher, "--layers", 2, *common, *places, "--epochs", 3)),
        ("the teacher has 4", (teacher, "--layers", 6, *common, *places)),
        ("no config.json", (files, "--layers", 2, *common, *places)),
        ("none.txt: no such file", (teacher, "--layers", 2, *common, *places, "--text", files / "none.txt")),
    )
    for why, arguments in refused:
        with pytest.raises(SystemExit, match=why):
            call("distill", monkeypatch, *arguments)
    corpus.write_text(BIO.replace("LOC", "CITY"), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"does not know: CITY \(it knows LOC, PER\)"):
        call("distill", monkeypatch, teacher, "--layers", 2, *common, *places)


def test_every_command_of_the_guide_and_of_the_study_fits_the_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import runpy

    monkeypatch.syspath_prepend(str(RECIPES.parent / "studies"))
    study = runpy.run_path(str(RECIPES.parent / "studies" / "distillation.py"))
    told = [study["command"](name, "work", "msra") for name in study["COMMANDS"]]
    guide = (RECIPES.parent / "docs" / "guide" / "training.md").read_text(encoding="utf-8").replace("\\\n", " ")
    told += re.findall(r"^python recipes/.*$", guide, re.MULTILINE)
    assert len(told) >= 7
    for command in told:
        _, recipe, *arguments = shlex.split(command)
        importlib.import_module(Path(recipe).stem).options().parse_args(arguments)
