"""A checkpoint does not choose the code that computes its attention."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from slimner.core.errors import CheckpointError
from slimner.variants import resolve_checkpoint


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_a_kernel_named_in_the_configuration_is_refused_by_name(
    tiny_checkpoint: Path, tmp_path: Path, key: str
) -> None:
    copy = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, key: "somebody/kernel"}))
    with pytest.raises(CheckpointError, match="somebody/kernel"):
        resolve_checkpoint(str(copy))
    (copy / "config.json").write_text(json.dumps({**config, key: "eager"}))
    resolve_checkpoint(str(copy))
