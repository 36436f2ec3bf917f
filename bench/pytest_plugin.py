"""The pytest plugin: `--slimner-artifact DIR` and the fixture `slimner_predictor`, one parameter an artifact.

pytest imports this module in every run wherever slimner is installed, so it imports nothing but pytest and the standard
library; what opens an artifact is imported when an artifact was given.
"""

from __future__ import annotations

import itertools
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ..variants import Manifest, Predictor

OPTION = "--slimner-artifact"
FIXTURE = "slimner_predictor"

ARTIFACTS = pytest.StashKey[dict[str, Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("slimner").addoption(
        OPTION,
        action="append",
        metavar="DIR",
        help=f"Artifact made by slimner build for the fixture {FIXTURE}; give it again for another one.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Check every artifact before anything is collected; a usage error names the one that is none or was changed."""
    given: list[str] = config.getoption(OPTION) or []
    config.stash[ARTIFACTS] = _identified(given, config.invocation_params.dir) if given else {}
    _refuse_stray_words(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses the fixture once for each artifact; the parameter is the id, which has no path in it."""
    artifacts = metafunc.config.stash[ARTIFACTS]
    if FIXTURE in metafunc.fixturenames and artifacts:
        metafunc.parametrize(FIXTURE, list(artifacts), ids=list(artifacts), indirect=True, scope="session")


@pytest.fixture(scope="session")
def slimner_predictor(request: pytest.FixtureRequest) -> Predictor:
    """A predictor opened from each artifact given with --slimner-artifact: text in, entities out, one thread."""
    artifacts = request.config.stash[ARTIFACTS]
    if not artifacts:
        pytest.fail(f"{FIXTURE} has no artifact to open; give {OPTION} DIR, made by slimner build", pytrace=False)
    if not hasattr(request, "param"):
        pytest.fail(f"{FIXTURE} has no artifact chosen; make it an argument of the test or of a fixture", pytrace=False)
    from ..core.errors import SlimnerError
    from ..variants import open_predictor

    directory = artifacts[request.param]
    try:
        return open_predictor(directory)
    except SlimnerError as error:
        pytest.fail(f"{OPTION} {directory}: {error}", pytrace=False)


def _identified(given: list[str], base: Path) -> dict[str, Path]:
    """Directories by id: the variant's name, or the artifact's where a variant was given more than once."""
    found = {name: _verified(base / name, name) for name in given}
    variants = Counter(manifest.variant for manifest in found.values())
    artifacts: dict[str, Path] = {}
    for name, manifest in found.items():
        identity = manifest.variant if variants[manifest.variant] == 1 else manifest.name
        if identity in artifacts:
            raise pytest.UsageError(f"{OPTION} {name}: {artifacts[identity]} is the same artifact, {manifest.name}")
        artifacts[identity] = base / name
    return artifacts


def _verified(directory: Path, name: str) -> Manifest:
    from ..core.errors import SlimnerError
    from ..variants import verify

    try:
        return verify(directory).manifest
    except SlimnerError as error:
        raise pytest.UsageError(f"{OPTION} {name}: {error}") from None
    except OSError as error:
        raise pytest.UsageError(f"{OPTION} {name}: {error.filename or directory}: {error.strerror}") from None


def _refuse_stray_words(config: pytest.Config) -> None:
    """Refuse `--slimner-artifact DIR` in two words where that may have changed the root of the tests.

    Before plugins are loaded pytest takes the second word for the path of a test, and so may choose another root and
    configuration. The ids of tests begin at the root: a comparison with a saved baseline would find nothing, and pass.
    """
    base = config.invocation_params.dir
    words = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *config.invocation_params.args]
    for option, name in itertools.pairwise(words):
        inside = Path(os.path.abspath(base / name)).is_relative_to(base) and base.is_relative_to(config.rootpath)
        if option == OPTION and not inside:
            raise pytest.UsageError(
                f"{OPTION} {name}: write {OPTION}={name}; without the equals sign, pytest takes the directory for a "
                "test when it chooses its root"
            )
