"""Fixtures shared by the tests: a tiny real checkpoint, its artifacts, and a way to run the command line for real."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from filelock import FileLock
from slimner.core.store import directory_in_place

# how long an example takes depends on what else the machine does
hypothesis.settings.register_profile("slimner", deadline=None)
hypothesis.settings.load_profile("slimner")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started in the background of a script: children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What a CI system and pytest-xdist set, and commands read: width of lines, colour, the commit.
for name in list(os.environ):
    if name in ("CI", "COLUMNS", "NO_COLOR") or name.startswith(("CI_", "GITHUB_")):
        del os.environ[name]

os.environ.setdefault("SLIMNER_MEASURE_TOGETHER", "1")  # tests beside each other, and beside other runs of pytest

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]

Slimner = Callable[..., "subprocess.CompletedProcess[str]"]


def make_checkpoint(
    directory: Path, *, window: int = 64, seed: int = 0, decoding: str = "constrained", labels: Sequence[str] = LABELS
) -> Path:
    """A ConvBERT of two small layers with random weights and the embedded tokenizer."""
    import torch
    from slimner import zoo
    from transformers import ConvBertConfig, ConvBertForTokenClassification

    vocabulary = json.loads((zoo.checkpoint() / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    torch.manual_seed(seed)
    config = ConvBertConfig(
        vocab_size=len(vocabulary),
        embedding_size=32,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=window,
        initializer_range=0.4,
        id2label=dict(enumerate(labels)),
        label2id={name: i for i, name in enumerate(labels)},
        pad_token_id=0,
        ner_decoding=decoding,
    )
    ConvBertForTokenClassification(config).save_pretrained(directory)
    shutil.copy(zoo.checkpoint() / "tokenizer.json", directory)
    return directory


class Shared:
    """What is made once for all tests, by whichever worker of pytest-xdist needs it first; the others wait for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"

    def directory(self, name: str, make: Callable[[Path], object]) -> Path:
        """A directory that `make` fills."""
        target = self.root / name
        with FileLock(self.root / f"{name}.lock"):
            if not target.exists():
                with directory_in_place(target) as directory:
                    make(directory)
        return target

    def artifact(self, checkpoint: str | Path, variant: str) -> Path:
        """A variant of a checkpoint, built into the cache that all tests share."""
        from slimner.variants import VARIANTS, resolve_checkpoint
        from slimner.variants.building import build

        with FileLock(self.root / f"{Path(checkpoint).name}-{variant}.lock"):
            return build(resolve_checkpoint(str(checkpoint)), VARIANTS.get(variant), cache=self.cache, timeout_s=300)[
                0
            ].path


class Artifacts(dict[str, Path]):
    """The variants of a checkpoint, each built when a test first asks for it."""

    def __init__(self, shared: Shared, checkpoint: Path) -> None:
        super().__init__()
        self.shared, self.checkpoint = shared, checkpoint

    def __missing__(self, variant: str) -> Path:
        self[variant] = self.shared.artifact(self.checkpoint, variant)
        return self[variant]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The directory of this run of pytest, the same in every worker."""
    own = tmp_path_factory.getbasetemp()
    return Shared(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(scope="session")
def tiny_checkpoint(shared: Shared) -> Path:
    """A checkpoint that builds in seconds; its answers mean nothing, but are real."""
    return shared.directory("tiny", make_checkpoint)


@pytest.fixture(scope="session")
def cache(shared: Shared) -> Path:
    """One artifact cache for all tests."""
    return shared.cache


@pytest.fixture(scope="session")
def artifacts(shared: Shared, tiny_checkpoint: Path) -> dict[str, Path]:
    """The built-in variants of the tiny checkpoint, by name."""
    return Artifacts(shared, tiny_checkpoint)


@pytest.fixture(scope="session")
def embedded_int8(shared: Shared) -> Path:
    """The embedded checkpoint as onnx-int8."""
    return shared.artifact("news-zh", "onnx-int8")


@pytest.fixture
def slimner(tmp_path: Path, cache: Path) -> Slimner:
    """Run `slimner` in a process of its own, in an empty directory."""

    def run(
        *arguments: str | Path, environment: dict[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=tmp_path,
            env={**os.environ, "SLIMNER_CACHE": str(cache), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


def command(*arguments: str | Path) -> Sequence[str]:
    """The command line of `slimner` in this environment."""
    return [sys.executable, "-c", "from slimner.cli.main import main; main()", *map(str, arguments)]


def decided(report: Path) -> int:
    """The exit code that the decision in a run's report asks for."""
    return 0 if json.loads((report / "decision.json").read_text(encoding="utf-8"))["winner"] else 1


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve sentences of the embedded corpus."""
    from slimner import zoo

    path = tmp_path_factory.mktemp("corpus") / "small.jsonl"
    path.write_text("\n".join(zoo.corpus().read_text(encoding="utf-8").splitlines()[:12]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small_workload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten short texts."""
    path = tmp_path_factory.mktemp("workload") / "small.txt"
    path.write_text("\n".join(f"第{i}次会议今天在上海举行。" for i in range(10)) + "\n", encoding="utf-8")
    return path


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium; without it the tests that need it are skipped."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here; apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; nox -s browser installs it")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield launched
        launched.close()
