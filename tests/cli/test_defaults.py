"""What an artifact is scored and measured on where nobody says: never texts in another model's language."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from slimner import jobs, zoo
from slimner.bench import read_workload
from slimner.core.errors import UserError
from slimner.eval import CorpusSource, read_corpus
from slimner.jobs.bundling import golden_texts
from slimner.jobs.defaults import corpus_for, is_embedded, remember, workload_for, workload_of_run
from slimner.jobs.progress import Silent
from slimner.jobs.unknown import tell_unknown
from slimner.variants import VARIANTS, Artifact, resolve_checkpoint
from slimner.variants.building import build, facts
from tokenizers import Tokenizer, models, pre_tokenizers

from ..conftest import Slimner


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIMNER_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def artifact(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An artifact that is not of the embedded model."""
    cache = tmp_path_factory.mktemp("tiny")
    return build(resolve_checkpoint(str(tiny_checkpoint)), VARIANTS.get("fp32"), cache=cache, timeout_s=300)[0]


def test_the_embedded_model_has_its_own_corpus_and_workload() -> None:
    embedded = facts(resolve_checkpoint("news-zh"))
    assert is_embedded(embedded)
    assert not is_embedded(msgspec.structs.replace(embedded, sha256="0" * 64))
    assert corpus_for(None, embedded).source.name == "news-zh"
    assert corpus_for(CorpusSource(name="", sample=9), embedded).source.sample == 9
    assert workload_for(None, embedded).name == "news-zh"


def test_another_model_is_asked_for_texts_and_takes_those_of_its_last_run(
    artifact: Artifact, small_corpus: Path, small_workload: Path, tmp_path: Path
) -> None:
    other = artifact.manifest.checkpoint
    corpus, texts = (Path(shutil.copy(path, tmp_path)) for path in (small_corpus, small_workload))
    with pytest.raises(UserError, match=r"no --corpus to score tiny on.*--corpus FILE"):
        corpus_for(None, other)
    with pytest.raises(UserError, match=r"no --workload to measure tiny on.*--workload FILE"):
        workload_for(None, other)
    remember(other, read_corpus(CorpusSource(name=str(corpus), sample=5)), read_workload(str(texts)))
    assert corpus_for(None, other).source == CorpusSource(name=str(corpus), sample=5)
    assert corpus_for(CorpusSource(name="", sample=4), other).source == CorpusSource(name=str(corpus), sample=4)
    assert workload_for(None, other).source == str(texts)
    with texts.open("a", encoding="utf-8") as file:
        file.write("one more\n")
    with pytest.raises(UserError, match="no earlier run of it whose texts still exist"):
        workload_for(None, other)
    corpus.unlink()
    with pytest.raises(UserError, match="no earlier run of it whose corpus still exists"):
        corpus_for(None, other)


def test_a_model_and_the_embedded_one_are_not_compared_on_the_embedded_texts(artifact: Artifact) -> None:
    with pytest.raises(UserError, match="no --workload"):
        workload_for(None, facts(resolve_checkpoint("news-zh")), artifact.manifest.checkpoint)


def test_random_weights_are_measured_on_the_embedded_texts(artifact: Artifact) -> None:
    from msgspec.structs import replace

    synthetic = replace(artifact.manifest.checkpoint, name="synthetic:bert-base")
    assert workload_for(None, synthetic).name == "news-zh"
    with pytest.raises(UserError, match="no --corpus"):
        corpus_for(None, synthetic)


@pytest.mark.parametrize("command", ["eval", "bench", "ledger", "load", "calibrate", "bundle"])
def test_commands_ask_for_texts(artifact: Artifact, slimner: Slimner, tmp_path: Path, command: str) -> None:
    out = ("--out", tmp_path / "out") if command == "bundle" else ()
    done = slimner(command, artifact.path, *out, environment={"SLIMNER_CACHE": str(tmp_path / "cache")})
    assert done.returncode == 2, done.stderr
    assert f"no --{'corpus' if command == 'eval' else 'workload'} to" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_of_another_model_asks_before_anything_is_built(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no --corpus to score tiny on"):
        jobs.run(tiny_checkpoint, out=tmp_path / "report", variants=("fp32",))


def english(path: Path) -> Tokenizer:
    """A tokenizer that knows letters and words of Latin only."""
    words = {token: i for i, token in enumerate(("[UNK]", *"abcdefghijklmnopqrstuvwxyz", "the", "dog"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path))
    return tokenizer


def test_golden_texts_are_known_to_the_model_and_not_the_same_to_it(artifact: Artifact, tmp_path: Path) -> None:
    directory = tmp_path / "artifact"
    directory.mkdir()
    english(directory / "tokenizer.json")
    given = Artifact(path=directory, manifest=artifact.manifest)
    texts = tmp_path / "texts.txt"
    texts.write_text("the dog\nthe  dog\na b c\nthe dog ran\na dog\n王芳在广州\n", encoding="utf-8")
    chosen = golden_texts(read_workload(str(texts)), given)
    assert sorted(chosen) == ["a b c", "a dog", "the  dog"]
    with pytest.raises(UserError, match=r"texts of news-zh are mostly unknown to the tokenizer.*--workload FILE"):
        golden_texts(read_workload("news-zh"), given)


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_the_share_of_unknown_tokens_is_told_and_warned_of(tmp_path: Path) -> None:
    english(tmp_path / "tokenizer.json")
    (tmp_path / "texts.txt").write_text("the dog\na dog ran\n", encoding="utf-8")
    texts, corpus = read_workload(str(tmp_path / "texts.txt")), read_corpus("news-zh")
    told = Notes()
    tell_unknown(tmp_path / "tokenizer.json", None, texts, told)
    assert told.notes[0] == "unknown to the tokenizer: 20.0 % of workload texts.txt"
    assert told.notes[1].startswith("note: the model cannot read 20 % of the tokens of workload texts.txt (ran), more")
    told = Notes()
    tell_unknown(tmp_path / "tokenizer.json", corpus, None, told)
    assert told.notes[1].startswith("note: the model cannot read 100 % of the tokens of corpus news-zh (")
    told = Notes()
    tell_unknown(zoo.checkpoint() / "tokenizer.json", corpus, read_workload("news-zh"), told)
    assert len(told.notes) == 1
    assert " of corpus news-zh, " in told.notes[0]


def test_what_is_scored_and_measured_is_told_of(artifact: Artifact, small_corpus: Path, small_workload: Path) -> None:
    told = Notes()
    jobs.evaluate(artifact, corpus=small_corpus, progress=told)
    settings = jobs.running.Measuring(samples=4, warmup=1)
    jobs.bench(artifact, workload=small_workload, settings=settings, repetitions=1, progress=told)
    assert [note.rpartition(" of ")[2] for note in told.notes if note.startswith("unknown to the tokenizer: ")] == [
        f"corpus {small_corpus}",
        "workload small.txt",
    ]


def test_the_golden_texts_of_a_run_are_its_own(tiny_checkpoint: Path, small_corpus: Path, tmp_path: Path) -> None:
    found = jobs.run(
        tiny_checkpoint,
        corpus=small_corpus,
        variants=("fp32",),
        repetitions=1,
        settings=jobs.running.Measuring(samples=4, warmup=1),
        out=tmp_path / "report",
    )
    own = workload_of_run(found.results, tmp_path / "report")
    assert own is not None
    assert own.texts == tuple(" ".join(s.text.split("\n")) for s in read_corpus(str(small_corpus)).sentences)
    artifact = tmp_path / "cache" / "artifacts" / found.results.builds[0].artifact
    made = jobs.bundle(tmp_path / "report" if found.decision.winner else artifact, tmp_path / "bundle")
    golden = json.loads((tmp_path / "bundle" / "golden.json").read_text(encoding="utf-8"))
    assert made.artifact
    assert {one["text"] for one in golden} <= set(own.texts)
    assert not {one["text"] for one in golden} & set(zoo.workload().read_text(encoding="utf-8").splitlines())
