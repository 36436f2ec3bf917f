"""`slimner predict` in processes of its own: what is killed goes on, and ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import slimner as library
from slimner.eval import CorpusSource, read_corpus

from ..conftest import Slimner, command

LINES = 1500
BAD = (b"\xff\xfe broken", b"", b"Emma Watson visits Paris.")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of many lengths, of which each hundredth is not UTF-8."""
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    drawn = random.Random(1)
    with path.open("wb") as file:
        for i in range(LINES):
            line = f"第{i}次会议今天在上海举行，李雷和韩梅梅出席。" * drawn.randint(1, 4)
            file.write((BAD[i // 50 % 3] if i % 50 == 49 else line.encode()) + b"\n")
    return path


@pytest.fixture(scope="module")
def undisturbed(texts: Path, artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("undisturbed") / "found.jsonl"
    library.predict_file(artifacts["onnx-int8"], texts, out)
    return out


def rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@contextlib.contextmanager
def started(*arguments: str | Path, stdin: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        command("predict", *arguments), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[bytes], part: Path, size: int) -> bool:
    """Sleep until the part has so many bytes; False if the process ended before."""
    while process.poll() is None:
        if part.exists() and part.stat().st_size >= size:
            return True
        time.sleep(0.01)
    return False


def same(out: Path, undisturbed: Path) -> bool:
    left = sorted(path.name for path in out.parent.iterdir())
    assert left == [out.name, f"{out.name}.errors"], "parts are left"
    return all(
        out.with_name(out.name + end).read_bytes() == undisturbed.with_name(undisturbed.name + end).read_bytes()
        for end in ("", ".errors")
    )


def test_one_result_for_each_text_in_order_as_the_predictor_answers(
    texts: Path, undisturbed: Path, artifacts: dict[str, Path]
) -> None:
    given = texts.read_bytes().split(b"\n")[:-1]
    found, aside = rows(undisturbed), rows(undisturbed.with_name("found.jsonl.errors"))
    assert sorted(row["line"] for row in (*found, *aside)) == list(range(1, LINES + 1))
    assert [row["line"] for row in found] == sorted(row["line"] for row in found)
    assert all(row["text"].encode() == given[row["line"] - 1] for row in found)
    assert {row["problem"] for row in aside} == {"not UTF-8 at byte 0 of the line"}
    assert {row["raw"] for row in aside} == {"\\xff\\xfe broken"}
    predictor = library.open_predictor(artifacts["onnx-int8"])
    for row in found[:100]:
        assert row["entities"] == [
            {"start": e.start, "end": e.end, "type": e.type, "text": e.text, "score": e.score}
            for e in predictor(row["text"])
        ]
    assert sum(len(row["entities"]) for row in found) > LINES


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again_it_ends_with_the_same_bytes(
    seed: int, texts: Path, undisturbed: Path, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "found.jsonl"
    part, whole = tmp_path / "found.jsonl.part", undisturbed.stat().st_size
    kills = sorted(random.Random(seed).uniform(0, 0.95) * whole for _ in range(2))
    for size in kills:
        with started(artifacts["onnx-int8"], texts, "--out", out) as process:
            if wait_for(process, part, int(size)):
                process.kill()
    (tmp_path / ".found.jsonl.part.json.k1lled00").write_text("{", encoding="utf-8")  # killed while writing its state
    if seed == 1:  # a part that a power cut left longer than what its state vouches for
        with part.open("ab") as file:
            file.write(b'{"line": 1, "te')
    with started(artifacts["onnx-int8"], texts, "--out", out) as process:
        assert process.wait(120) == 0
    assert same(out, undisturbed)


def test_after_ctrl_c_the_same_command_goes_on(
    texts: Path, undisturbed: Path, artifacts: dict[str, Path], tmp_path: Path, slimner: Slimner
) -> None:
    out = tmp_path / "out" / "found.jsonl"
    with started(artifacts["onnx-int8"], texts, "--out", out) as process:
        assert wait_for(process, out.with_name("found.jsonl.part"), undisturbed.stat().st_size // 3)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"goes on where it stopped" in stderr
    assert not out.exists()
    done = slimner("predict", artifacts["onnx-int8"], texts, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert "continues after" in done.stderr
    record = json.loads(done.stdout)
    assert 0 < record["resumed"] < record["texts"]
    assert record["texts"] + record["set_aside"] == LINES
    assert same(out, undisturbed)


def test_workers_that_are_killed_lose_nothing_and_double_nothing(
    texts: Path, undisturbed: Path, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "found.jsonl"
    drawn, killed = random.Random(4), 0
    with started(artifacts["onnx-int8"], texts, "--out", out, "--workers", "3") as process:
        for share in (0.1, 0.3, 0.6):
            if wait_for(process, tmp_path / "found.jsonl.part", int(undisturbed.stat().st_size * share)):
                host = psutil.Process(process.pid).children()[0]
                drawn.choice(host.children()).kill()
                killed += 1
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr.decode()
    assert killed >= 2
    assert same(out, undisturbed)


def test_nothing_runs_on_when_it_is_killed(texts: Path, artifacts: dict[str, Path], tmp_path: Path) -> None:
    with started(artifacts["onnx-int8"], texts, "--out", tmp_path / "found.jsonl") as process:
        assert wait_for(process, tmp_path / "found.jsonl.part", 1)
        others = psutil.Process(process.pid).children(recursive=True)
        assert len(others) > 1
        process.kill()
        _, alive = psutil.wait_procs(others, timeout=30)
    assert not alive


def test_standard_input_goes_on_too_and_another_one_is_refused(
    texts: Path, undisturbed: Path, artifacts: dict[str, Path], tmp_path: Path, slimner: Slimner
) -> None:
    out = tmp_path / "out" / "found.jsonl"
    state = out.with_name("found.jsonl.part.json")
    lines = iter(texts.read_bytes().splitlines(keepends=True)[:-1])
    with started(artifacts["onnx-int8"], "--out", out, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        while not (state.exists() and json.loads(state.read_bytes())["bytes"]):  # slowly, so that there is more to come
            process.stdin.write(next(lines))
            process.stdin.flush()
            time.sleep(0.005)
        process.kill()
    other = tmp_path / "other.txt"
    other.write_bytes(b"x" + texts.read_bytes())
    with other.open("rb") as file, started(artifacts["onnx-int8"], "--out", out, stdin=file.fileno()) as process:
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 2
        assert b"standard input has changed" in stderr
    with texts.open("rb") as file, started(artifacts["onnx-int8"], "--out", out, stdin=file.fileno()) as process:
        assert process.wait(60) == 0
    assert same(out, undisturbed)


def test_a_second_start_in_the_same_place_says_who_holds_it(
    texts: Path, artifacts: dict[str, Path], tmp_path: Path, slimner: Slimner
) -> None:
    out = tmp_path / "found.jsonl"
    with started(artifacts["onnx-int8"], texts, "--out", out) as process:
        assert wait_for(process, tmp_path / "found.jsonl.part", 1)
        second = slimner("predict", artifacts["onnx-int8"], texts, "--out", out)
        assert process.poll() is None
    assert second.returncode == 2
    assert f"process {process.pid}" in second.stderr


def test_results_come_while_standard_input_is_still_open(artifacts: dict[str, Path]) -> None:
    with started(artifacts["onnx-int8"], "--workers", "1", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (1, 2):
            process.stdin.write("李雷今天在上海。\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["line"] == number
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_reader_that_has_enough_ends_it(texts: Path, artifacts: dict[str, Path]) -> None:
    with started(artifacts["onnx-int8"], texts) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["line"] == 1
        process.stdout.close()
        assert process.wait(60) == 0


def test_strict_ends_at_the_first_line_that_cannot_be_read(
    texts: Path, artifacts: dict[str, Path], tmp_path: Path, slimner: Slimner
) -> None:
    refused = slimner("predict", artifacts["onnx-int8"], texts, "--out", tmp_path / "found.jsonl", "--strict")
    assert refused.returncode == 2
    assert f"{texts}, line 50: not UTF-8" in refused.stderr
    assert not (tmp_path / "found.jsonl").exists()


def test_a_file_of_another_form_is_refused_and_not_set_aside_whole(
    artifacts: dict[str, Path], tmp_path: Path, slimner: Slimner
) -> None:
    (tmp_path / "texts.jsonl").write_text("plain\ntext\n", encoding="utf-8")
    refused = slimner("predict", artifacts["onnx-int8"], "texts.jsonl", "--out", "found.jsonl")
    assert refused.returncode == 2
    assert "not one of 2 lines could be read as a text" in refused.stderr
    assert "--format" in refused.stderr


def test_every_form_holds_the_same_results(artifacts: dict[str, Path], tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    given = ["李雷今天在上海。", "", " \t", 'Emma "W", said', "京\n津", "😀 韩梅梅 ㎡", "第3次会议在上海举行。"]
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in given), encoding="utf-8"
    )
    found: dict[str, list[tuple[int, str, Any]]] = {}
    for form in ("jsonl", "csv", "parquet"):
        out = tmp_path / f"found.{form}"
        library.predict_file(artifacts["onnx-int8"], tmp_path / "texts.jsonl", out)
        if form == "jsonl":
            table = rows(out)
        elif form == "csv":
            with out.open(encoding="utf-8", newline="") as file:
                table = [{**row, "entities": json.loads(row["entities"])} for row in csv.DictReader(file)]
        else:
            table = parquet.read_table(out).to_pylist()
        found[form] = [(int(row["line"]), row["text"], row["entities"]) for row in table]
    assert found["jsonl"] == found["csv"] == found["parquet"]
    assert [text for _, text, _ in found["jsonl"]] == given


def test_results_as_conll_are_a_corpus_with_the_same_entities(
    artifacts: dict[str, Path], texts: Path, tmp_path: Path
) -> None:
    given = [text for text in texts.read_text(encoding="utf-8", errors="ignore").splitlines()[:40] if text.strip()]
    (tmp_path / "texts.txt").write_text("\n".join(given), encoding="utf-8")
    library.predict_file(artifacts["onnx-int8"], tmp_path / "texts.txt", tmp_path / "found.conll")
    predictor = library.open_predictor(artifacts["onnx-int8"])
    sentences = read_corpus(CorpusSource(name=str(tmp_path / "found.conll"))).sentences
    assert len(sentences) == len(given)
    for sentence, text in zip(sentences, given, strict=True):
        named = [(sentence.text[start:end], kind) for start, end, kind in sentence.entities]
        assert named == [(entity.text, entity.type) for entity in predictor(text)]


def test_from_python_each_text_yields_its_entities_in_order(artifacts: dict[str, Path]) -> None:
    given = [f"第{i}次会议今天在上海举行。" for i in range(300)] + ["half of a pair: \ud800 上海"]
    predictor = library.open_predictor(artifacts["onnx-int8"])
    found = list(library.predict(artifacts["onnx-int8"], iter(given), workers=2))
    assert found == [predictor(text.replace("\ud800", "\ufffd")) for text in given]


def test_an_endless_input_is_read_a_little_ahead_only(artifacts: dict[str, Path]) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "李雷今天在上海。"

    answers = library.predict(artifacts["onnx-int8"], endless(), workers=1)
    assert next(answers) == next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert taken < 1000


def test_a_model_with_a_runtime_of_its_own_answers_too(artifacts: dict[str, Path]) -> None:
    texts = ["李雷今天在上海。", "韩梅梅在北京。"]
    predictor = library.open_predictor(artifacts["fp32"])
    assert list(library.predict(artifacts["fp32"], texts, workers=2)) == [predictor(text) for text in texts]


def test_files_that_are_not_different_are_refused(artifacts: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    with pytest.raises(library.UserError, match="different files"):
        library.predict_file(artifacts["onnx-int8"], tmp_path / "texts.jsonl", tmp_path / "texts.jsonl")
    assert os.listdir(tmp_path) == ["texts.jsonl"]
