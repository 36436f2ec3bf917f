"""What Prometheus is told while workers come and go."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict
from slimner.serve import metrics


def counted(directory: Path, process: int, texts: float) -> None:
    """What a worker leaves in the directory that all share."""
    file = MmapedDict(str(directory / f"counter_{process}.db"))  # type: ignore[no-untyped-call]
    file.write_value(json.dumps(["slimner_texts", "slimner_texts_total", {}, "Texts answered."]), texts, 0.0)  # type: ignore[no-untyped-call]
    file.close()  # type: ignore[no-untyped-call]


def test_a_worker_that_is_just_making_its_file_hinders_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(metrics.DIRECTORY, str(tmp_path))
    counted(tmp_path, 1, 3)
    counted(tmp_path, 2, 4)
    (tmp_path / "counter_3.db").touch()  # opened, and not yet given its size
    assert "slimner_texts_total 7.0" in metrics.exposition().decode().splitlines()


def test_a_worker_may_go_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(metrics.DIRECTORY, str(tmp_path))
    counted(tmp_path, 1, 3)
    os.symlink(tmp_path / "gone", tmp_path / "gauge_livesum_2.db")  # listed, and not there when it is looked at
    assert "slimner_texts_total 3.0" in metrics.exposition().decode().splitlines()
    monkeypatch.setattr(metrics, "_size", lambda file: 1)  # or only when it is opened
    assert "slimner_texts_total 3.0" in metrics.exposition().decode().splitlines()
