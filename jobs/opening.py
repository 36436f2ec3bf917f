"""Opening an artifact or a bundle as a predictor."""

from __future__ import annotations

from pathlib import Path

from ..serve.bundle import BUNDLE, open_served
from ..variants import Predictor
from ..variants import open_predictor as open_artifact


def open_predictor(path: str | Path, *, threads: int | None = None) -> Predictor:
    """The predictor of an artifact or of a bundle, whose every hash is checked first.

    `threads` is the number of threads of one inference; by default 1, or what a bundle was benchmarked with. A
    predictor may be called from several threads at once: it keeps no state between texts. It does not survive a fork
    if it has more than one thread. Raises ArtifactError that says what the path is when it is neither.
    """
    directory = Path(path)
    if (directory / BUNDLE).is_file():
        served = open_served(directory)
        assert served.bundle is not None
        return open_artifact(served.model, threads=threads or served.bundle.session.threads)
    return open_artifact(directory, threads=threads or 1)
