from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from slimner.bench.dependencies import hooked, import_ledger, requirements_program
from slimner.core.errors import ChildError, UserError
from slimner.core.ledger_records import Dependency, ImportLedger

HEAVY = "block = bytearray(b'x') * 30_000_000\ndef use():\n    return len(block)\n"


@pytest.fixture
def site(tmp_path: Path) -> dict[str, str]:
    """A package that allocates 30 MB when imported, one that needs it, and one of no size."""
    for name, text in (
        ("heavy", HEAVY),
        ("needs_heavy", "import heavy\nown = bytearray(b'y') * 5_000_000\ndef use():\n    return 1\n"),
        ("light", "def use():\n    return 1\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
        info = tmp_path / f"{name.replace('_', '-')}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.5\n")
        (info / "RECORD").write_text(f"{name}/__init__.py,,\n")
    (tmp_path / "heavy" / "data.bin").write_bytes(b"z" * 2_000_000)
    with (tmp_path / "heavy-1.5.dist-info" / "RECORD").open("a") as file:
        file.write("heavy/data.bin,,\n")
    return {"PYTHONPATH": str(tmp_path)}


def look(program: str, site: dict[str, str], timeout_s: float = 60) -> ImportLedger:
    return import_ledger([sys.executable, "-c", textwrap.dedent(program)], timeout_s=timeout_s, environment=site)


def named(ledger: ImportLedger, name: str) -> Dependency:
    return next(d for d in ledger.dependencies if d.name == name)


def test_an_import_that_allocates_is_found_and_blamed(site: dict[str, str]) -> None:
    ledger = look("import light, needs_heavy\nneeds_heavy.use()", site)
    assert ledger.dependencies[0].name == "heavy"
    heavy, needing = named(ledger, "heavy"), named(ledger, "needs-heavy")
    assert heavy.version == "1.5"
    assert heavy.added_bytes == pytest.approx(30_000_000, rel=0.05)
    assert needing.added_bytes == pytest.approx(5_000_000, rel=0.2)  # what it imports is not counted as its own
    assert needing.alone_bytes == pytest.approx(35_000_000, rel=0.1)  # alone it brings the other one along
    assert heavy.disk_bytes == 2_000_000 + len(HEAVY)
    assert named(ledger, "light").added_bytes < 500_000


def test_what_is_never_called_is_told_from_what_is(site: dict[str, str]) -> None:
    ledger = look("import light, needs_heavy\nneeds_heavy.use()", site)
    assert named(ledger, "needs-heavy").used is True
    assert named(ledger, "heavy").used is False
    nothing = look("import light, heavy", site)
    assert {d.used for d in nothing.dependencies} == {None}


def test_interpreter_imports_and_work_add_up_to_the_end(site: dict[str, str]) -> None:
    ledger = look("import heavy\nwork = bytearray(b'w') * 20_000_000\nheavy.use()", site)
    assert ledger.rest_bytes == pytest.approx(20_000_000, abs=3_000_000)
    total = ledger.interpreter_bytes + sum(d.added_bytes for d in ledger.dependencies) + ledger.rest_bytes
    assert total == ledger.final_bytes


def test_a_late_import_inside_a_function_is_found(site: dict[str, str]) -> None:
    ledger = look("def work():\n    import heavy\n    return heavy.use()\nwork()", site)
    assert named(ledger, "heavy").used is True


def test_a_service_that_does_not_end_is_looked_at_when_it_is_quiet(site: dict[str, str]) -> None:
    """The worker is forked before it imports, as Gunicorn's are without preload."""
    program = """
        import os, time
        import light
        if os.fork() == 0:
            import needs_heavy
            needs_heavy.use()
        time.sleep(100)
    """
    ledger = look(program, site)
    assert named(ledger, "heavy").added_bytes == pytest.approx(30_000_000, rel=0.05)
    assert named(ledger, "light").added_bytes >= 0
    assert ledger.final_bytes > 40_000_000


def test_a_sitecustomize_of_the_users_still_runs(site: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.from_site = 41\n")
    with hooked(site) as (environment, log):
        done = subprocess.run(
            [sys.executable, "-c", "import light; print(from_site + light.use())"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "42\n"
        assert "light" in log.read_text()


def test_a_command_that_fails_shows_what_it_wrote(site: dict[str, str]) -> None:
    with pytest.raises(ChildError) as caught:
        look("import light\nraise SystemExit('no configuration found')", site)
    assert "no configuration found" in caught.value.stderr_tail


@pytest.mark.parametrize("command", [["sleep", "0"], [sys.executable, "-I", "-c", "pass"], ["no-such-command"]])
def test_a_command_that_cannot_be_looked_at_is_refused(command: list[str]) -> None:
    with pytest.raises(UserError):
        import_ledger(command, timeout_s=30)


def test_a_requirements_list_becomes_imports_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("# ours\nmsgspec>=0.18  # records\nnot-installed-anywhere==1\n\nClick\n-r other.txt\n")
    command, skipped = requirements_program(path)
    assert command[3:] == ["msgspec", "click"]
    assert skipped == ["not-installed-anywhere==1", "-r other.txt"]
    assert subprocess.run(command, env=dict(os.environ), check=False).returncode == 0
    path.write_text("nothing-of-this\n")
    with pytest.raises(UserError, match="none of these is installed"):
        requirements_program(path)


def test_a_program_that_leaves_at_once_or_becomes_another_is_seen_to_its_end(site: dict[str, str]) -> None:
    leaving = look("import os, heavy\nheavy.use()\nos._exit(0)", site)
    assert leaving.final_bytes > 35_000_000
    assert leaving.rest_bytes > -1_000_000
    becoming = look("import os, sys, heavy\nos.execv(sys.executable, [sys.executable, '-c', 'import light'])", site)
    assert not any(d.name == "heavy" for d in becoming.dependencies)


def test_a_program_that_computes_for_long_between_imports_is_not_ended(site: dict[str, str]) -> None:
    ledger = look("import time, light\nend = time.time() + 7\nwhile time.time() < end: pass\nimport heavy", site)
    assert named(ledger, "heavy").added_bytes > 25_000_000


def test_what_a_library_does_at_exit_is_no_use_of_it(site: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "light" / "__init__.py").write_text("import atexit\ndef use():\n    return 1\natexit.register(use)\n")
    ledger = look("import light, heavy\nheavy.use()", site)
    assert named(ledger, "light").used is False
    assert named(ledger, "heavy").used is True


def test_methods_of_compiled_classes_that_hide_their_module_count_as_use() -> None:
    program = (
        "import tokenizers\nt = tokenizers.Tokenizer(tokenizers.models.WordLevel({'a': 0}, unk_token='a'))\n"
        "t.encode('a')\n"
        "from safetensors.numpy import save, load\nimport safetensors\nsafetensors.serialize({}, None)\n"
    )
    ledger = import_ledger([sys.executable, "-c", program], timeout_s=60)
    used = {d.name: d.used for d in ledger.dependencies}
    assert used["safetensors"] is True
    assert used["tokenizers"] is True
