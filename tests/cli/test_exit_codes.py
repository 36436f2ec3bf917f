"""What a command ends with when something goes wrong that nobody foresaw, or when nobody reads what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from slimner.core.store import write_json

from ..conftest import command
from ..made import make

BASE = {"fp32": (390, 380, 100.0), "lean": (389, 69, 10.0)}

# `slimner variants` with another body: what a defect in a command looks like from outside.
BROKEN = """
import sys, types, click
module = sys.modules["slimner.cli.variants"] = types.ModuleType("slimner.cli.variants")
@click.command()
@click.option("--debug", is_flag=True)
def variants(debug):
    {body}
module.variants = variants
from slimner.cli.main import main
main()
"""


def python(program: str, *arguments: str, **others: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{}['load']", "KeyError: 'load'"),
        ("(lambda f: f(f))(lambda f: f(f))", "RecursionError: maximum recursion depth exceeded"),
        ("b'\\xff'.decode()", "UnicodeDecodeError: 'utf-8' codec"),
        ("'\\udc80'.encode()", "UnicodeEncodeError: 'utf-8' codec"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("assert False", "AssertionError"),
        ("raise EOFError", "EOFError"),
        ("raise type('PanicException', (BaseException,), {})('a library in Rust')", "PanicException: a library in"),
        ("sys.exit(1)", "RuntimeError: a library ended the process with exit code 1"),
        ("raise ValueError('two\\nlines \\x1b[2J')", r"ValueError: two\nlines \x1b[2J"),
    ],
)
def test_what_was_not_foreseen_is_one_line_with_exit_code_4(body: str, said: str) -> None:
    done = python(BROKEN.format(body=body), "variants")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"error {said}")
    assert "defect" in second
    assert "--debug" in second
    assert (done.returncode, done.stdout) == (4, "")


def test_debug_shows_the_traceback_of_what_was_not_foreseen() -> None:
    debugged = python(BROKEN.format(body="{}['load']"), "variants", "--debug")
    assert "Traceback (most recent call last):" in debugged.stderr
    assert debugged.stderr.splitlines()[-2] == "error KeyError: 'load'"
    assert debugged.returncode == 4


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("bytearray(1 << 60)", "error memory ran out"),
        ("open('/nowhere/at/all')", "error /nowhere/at/all: No such file or directory"),
        ("import os; r, w = os.pipe(); os.close(r); os.write(w, b'x')", "error Broken pipe"),
    ],
)
def test_what_the_machine_lacks_is_exit_code_4_with_what_to_do(body: str, said: str) -> None:
    done = python(BROKEN.format(body=body), "variants")
    first, second = done.stderr.splitlines()
    assert (first, done.returncode) == (said, 4)
    assert "defect" not in second


@pytest.mark.parametrize("library", ["click", "rich", "msgspec"])
def test_a_library_that_cannot_be_imported_is_exit_code_4(library: str) -> None:
    program = f"import sys; sys.modules['{library}'] = None; from slimner.cli.main import main; main()"
    done = python(program, "pick", "results.json")
    assert done.stderr.startswith("error ModuleNotFoundError: ")
    assert f"'{library}" in done.stderr or f"import of {library} halted" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 4


@pytest.mark.parametrize(
    "arguments", [("nothing",), ("pick",), ("pick", "--nothing"), ("run", "--threads", "x"), ("pick", "\udcff.json")]
)
def test_a_request_that_cannot_be_read_is_exit_code_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(command(*arguments), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "rror" in done.stderr


@pytest.fixture
def verdicts(tmp_path: Path) -> list[tuple[int, tuple[str, ...]]]:
    """Commands that print a good deal, by the exit code that they must end with."""
    write_json(tmp_path / "results.json", make(BASE))
    write_json(tmp_path / "worse.json", make({**BASE, "lean": (300, 69, 10.0)}))
    (tmp_path / "hard.toml").write_text('[constraints]\npss_max = "1MB"\n')
    gate = ("gate", "--baseline", "results.json", "--candidate")
    return [
        (0, ("pick", "results.json")),
        (1, ("pick", "results.json", "--policy", "hard.toml")),
        (1, ("pick", "results.json", "--policy", "hard.toml", "--json")),
        (0, (*gate, "results.json")),
        (1, (*gate, "worse.json")),
        (2, ("pick", "none.json")),
        (0, ("--help",)),
    ]


@pytest.mark.parametrize("end", ["closed pipe", "closed", "full"])
def test_a_reader_that_goes_away_does_not_change_the_exit_code(
    end: str, verdicts: list[tuple[int, tuple[str, ...]]], tmp_path: Path
) -> None:
    shell = {"closed pipe": "", "closed": ">&-", "full": ">/dev/full"}[end]
    for code, arguments in verdicts:
        read, write = os.pipe()
        os.close(read)  # the very first write fails
        done = subprocess.run(
            ["/bin/sh", "-c", f'"$@" {shell}', "sh", *command(*arguments)],
            cwd=tmp_path,
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(write)
        assert done.returncode == code, (arguments, done.stderr)
        assert "Traceback" not in done.stderr
        noted = "standard output could not be written: No space left on device" in done.stderr
        assert noted == (end == "full" and code != 2), (arguments, done.stderr)


def test_a_gate_whose_output_is_cut_after_its_first_line_still_fails(
    verdicts: list[tuple[int, tuple[str, ...]]], tmp_path: Path
) -> None:
    gate = next(arguments for code, arguments in verdicts if code == 1 and arguments[0] == "gate")
    script = '"$@" | head -1; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *command(*gate)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (1, 1, "")


def test_files_that_are_written_with_standard_output_closed_hold_no_printed_text(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", make(BASE))
    gate = ("gate", "--baseline", "results.json", "--candidate", "results.json", "--out", "gate.json")
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command(*gate)], cwd=tmp_path, check=False, capture_output=True
    )
    assert done.returncode == 0
    assert (tmp_path / "gate.json").read_text().endswith("}\n")


def test_a_terminal_that_knows_ascii_only_gets_all_of_it(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", make({"fp32": (390, 380, 100.0), "变体": (389, 69, 10.0)}))
    done = subprocess.run(
        command("pick", "results.json"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert r"not     \u53d8\u4f53: " in done.stdout
