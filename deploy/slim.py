"""Take from an installed environment what serving never uses: `python3 slim.py ENVIRONMENT`.

Whole distributions go if slimner reaches them only through a requirement that is not used when a model is served; of
those that stay, the parts listed in UNUSED go. Whoever calls this must show afterwards that what is left answers.
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

# Requirements that are declared, but used only to fetch models, which a server never does.
NOT_FOLLOWED = {("tokenizers", "huggingface-hub")}

# Below site-packages. The embedded checkpoint and corpus are what a bundle is made from, not what is served.
UNUSED = (
    "onnxruntime/backend",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/f2py",
    "numpy/**/tests",
    "numpy/random/lib",
    "slimner/zoo/news_zh/*",
    "**/*.pyi",
)


def main(environment: Path) -> None:
    """Remove it all, and say how much it was."""
    site = next(environment.glob("lib/python3*/site-packages"))
    before = _size(environment)
    installed = {_normal(each.name): each for each in distributions(path=[str(site)])}
    if "slimner" not in installed:
        raise SystemExit(f"{environment} has no slimner installed; nothing was removed")
    for name in sorted(set(installed) - _needed(installed, "slimner")):
        for file in installed[name].files or ():
            Path(str(file.locate())).unlink(missing_ok=True)
    for pattern in UNUSED:
        for path in list(site.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for directory in sorted((path for path in site.rglob("*") if path.is_dir()), reverse=True):
        if not any(directory.iterdir()):
            directory.rmdir()
    sys.stdout.write(
        f"{environment}: {before / 1e6:.0f} MB, of which {(before - _size(environment)) / 1e6:.0f} removed\n"
    )


def _needed(installed: dict[str, Distribution], root: str) -> set[str]:
    """What `root` requires here, by name, through any number of steps; extras aside."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in found or name not in installed:
            continue
        found.add(name)
        for requirement in installed[name].requires or ():
            other = _normal(re.split(r"[\s;\[<>=!~(]", requirement, maxsplit=1)[0])
            if "extra ==" not in requirement and (name, other) not in NOT_FOLLOWED:
                waiting.append(other)
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _size(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
