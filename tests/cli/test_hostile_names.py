"""Names from outside are printed as text: no escape sequence, no new line, no markup, no workflow command."""

from __future__ import annotations

import io
import os
import pty
import subprocess
from pathlib import Path

from slimner.cli.screen import Screen
from slimner.core.records import Failure
from slimner.core.store import write_json

from ..conftest import Slimner, command
from ..made import make

EVIL = "\x1b]0;owned\x07\n::stop-commands::x\n[/red][link=http://a]\u202e:smile:"


def test_nothing_of_a_hostile_results_file_is_a_command(slimner: Slimner, tmp_path: Path) -> None:
    failure = Failure(variant=EVIL, step="build", kind="refused", reason=EVIL, stderr_tail=EVIL)
    write_json(tmp_path / "results.json", make({"fp32": (390, 380, 100.0)}, (failure,), broken=(EVIL,)))
    gate = ("gate", "--baseline", "results.json", "--candidate", "results.json", "--github", "--junit", "gate.xml")
    summary = tmp_path / "summary.md"
    shown = ""
    compare = ("compare", "results.json", "results.json")
    for arguments, code in ((("pick", "results.json"), 0), (gate, 4), (compare, 4)):
        done = slimner(*arguments, environment={"GITHUB_STEP_SUMMARY": str(summary)})
        assert done.returncode == code, done.stderr
        assert "defect" not in done.stderr
        shown += done.stdout + done.stderr
    shown += summary.read_text(encoding="utf-8") + (tmp_path / "gate.xml").read_text(encoding="utf-8")
    for command_ in ("\x1b", "\x07", "\u202e"):
        assert command_ not in shown
    assert not any(line.lstrip().startswith("::stop") for line in shown.splitlines())
    assert r"\x1b]0;owned\x07\n::stop-commands::x\n[/red][link=http://a]\u202e:smile:" in shown
    assert any(line.startswith("::error ") for line in shown.splitlines())


def test_a_terminal_gets_no_escape_sequence_but_those_of_colours(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", make({"fp32": (390, 380, 100.0), EVIL: (390, 69, 10.0)}))
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command("pick", "results.json"),
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "300"},
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    screen = b""
    while True:
        try:
            screen += os.read(master, 65536) or b""
        except OSError:
            break
    os.close(master)
    assert process.wait(timeout=60) == 0
    assert b"\x1b]" not in screen
    assert b"\x07" not in screen
    assert r"\x1b]0;owned\x07\n::stop-commands::x" in screen.decode()


def test_a_status_line_shows_what_it_is_given_as_text() -> None:
    shown = io.StringIO()
    screen = Screen(stderr=True, width=100)
    screen.file = shown
    status = screen.status("[red]begun")
    screen.print(status.renderable)
    status.update(f"looking at [b]{EVIL}")
    screen.print(status.renderable)
    assert "[red]begun" in shown.getvalue()
    assert "\x1b]0" not in shown.getvalue()
    assert "\x07" not in shown.getvalue()
    assert r"looking at [b]\x1b]0;owned\x07\n::stop" in shown.getvalue()
