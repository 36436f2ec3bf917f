"""Whether each dependency has wheels for every Python and platform that is declared.

    python studies/wheels.py [--extra lab] [--python 3.13] [--platform macosx_14_0_arm64]

Asks pip for the requirements of pyproject.toml, without their dependencies, and only for wheels (`pip install --dry-run
--only-binary=:all: --no-deps`), together and, where that fails, one by one. Exit code 1 if one lacks a wheel.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLATFORMS = {
    "Linux x86-64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "Linux aarch64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    "macOS arm64": ("macosx_14_0_arm64", "macosx_12_0_arm64", "macosx_11_0_arm64"),
}
# Distributed as source only, without anything to compile: pip builds a wheel of it anywhere.
PURE = {"seqeval"}


def requirements(extras: tuple[str, ...]) -> list[str]:
    """The requirements of the project and of those extras, each once; an extra that names another brings that one's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = dict.fromkeys(project["dependencies"])
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            own = re.fullmatch(rf"{project['name']}\[(.+)\]", requirement)
            found |= dict.fromkeys(requirements(tuple(own[1].split(","))) if own else [requirement])
    return list(found)


def pythons() -> list[str]:
    """The versions that the classifiers declare."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [name.rpartition(" ")[2] for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)]


def have_wheels(wanted: list[str], python: str, platforms: tuple[str, ...]) -> bool:
    """Whether pip finds a wheel of each requirement."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--no-deps", "--only-binary=:all:"]
        command += ["--target", directory, "--python-version", python, "--implementation", "cp"]
        for platform in platforms:
            command += ["--platform", platform]
        return subprocess.run([*command, *wanted], capture_output=True, check=False).returncode == 0


def main() -> None:
    """Ask, and print a row for each Python and platform."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extra", action="append", default=[], help="besides the runtime; again for more")
    parser.add_argument("--python", action="append", choices=pythons(), default=[])
    parser.add_argument("--platform", action="append", choices=tuple(PLATFORMS), default=[])
    given = parser.parse_args()
    wanted = [one for one in requirements(tuple(given.extra)) if re.split(r"[<>=!~\[]", one)[0] not in PURE]
    complete = True
    for python in given.python or pythons():
        for name, platforms in PLATFORMS.items():
            if given.platform and name not in given.platform:
                continue
            lacking: list[str] = []
            if not have_wheels(wanted, python, platforms):
                lacking = [one for one in wanted if not have_wheels([one], python, platforms)]
                complete = False
            without = f"; not {', '.join(lacking)}" if lacking else ""
            print(f"Python {python}, {name}: {len(wanted) - len(lacking)} of {len(wanted)}{without}", flush=True)
    raise SystemExit(0 if complete else 1)


if __name__ == "__main__":
    main()
