"""Environments for libraries that do not go with slimner's own, and questions to what runs in them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ENVIRONMENTS = {
    "optimum": (
        *("torch==2.13.0", "optimum-onnx[onnxruntime]>=0.1,<0.2", "transformers>=4.55,<4.58"),
        *("ctranslate2>=4.5", "flask>=3", "gunicorn>=23"),
    ),
    "openvino": (
        *("torch==2.13.0", "transformers>=5.5", "tokenizers", "openvino>=2025.0", "nncf>=2.14"),
        *("flask>=3", "gunicorn>=23"),
    ),
    "modelscope": (
        *("torch==2.13.0", "modelscope[framework]>=1.30", "transformers>=4.55,<4.58", "flask>=3", "gunicorn>=23"),
    ),
}
OTHERS = Path(__file__).with_name("others.py")


def python_of(environment: str, work: Path) -> Path:
    """The interpreter of an environment below a directory, made if it is not there."""
    python = work.absolute() / environment / "bin" / "python"
    if not (python.parent / "finished").exists():
        sys.stderr.write(f"environment {environment}\n")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(python.parents[1])], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *ENVIRONMENTS[environment]], check=True)
        (python.parent / "finished").touch()
    return python


def ask(python: Path, task: str, *arguments: object, texts: Sequence[str] = ()) -> Any:
    """What a task of others.py answers in an environment."""
    command = [str(python), str(OTHERS), task, *map(str, arguments)]
    done = subprocess.run(command, input=json.dumps(texts).encode(), stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)
