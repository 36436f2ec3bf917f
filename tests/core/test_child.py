from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from slimner.core import child
from slimner.core.errors import ChildError, CorpusError
from slimner.eval import CorpusSource, read_corpus

JOBS = {"PYTHONPATH": str(Path(__file__).parent)}
sys.path.append(JOBS["PYTHONPATH"])
import child_jobs  # noqa: E402  (a module by itself: a child imports it by this name)


def run(job: Callable[..., int], timeout_s: float = 60, **arguments: object) -> int:
    return child.call(job, **arguments).run(timeout_s=timeout_s, environment=JOBS)


def test_a_job_gets_its_arguments_and_returns_its_record() -> None:
    assert run(child_jobs.add, a=2, b=3) == 5


def test_an_environment_reaches_the_child_before_its_first_import() -> None:
    asking = child.call(child_jobs.environment, "OMP_NUM_THREADS")
    seen = asking.run(timeout_s=60, environment={**JOBS, "OMP_NUM_THREADS": "1"})
    assert seen == "1"


def test_an_exception_comes_back_with_its_type_and_traceback() -> None:
    with pytest.raises(ChildError, match="ValueError: no such thing") as caught:
        run(child_jobs.fail, message="no such thing")
    assert caught.value.kind == "raised"
    assert "Traceback" in caught.value.stderr_tail


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "crashed")])
def test_a_signal_is_named_and_the_last_words_are_kept(number: int, kind: str) -> None:
    with pytest.raises(ChildError, match=signal.Signals(number).name) as caught:
        run(child_jobs.kill_itself, number=int(number))
    assert caught.value.kind == kind
    assert "last words" in caught.value.stderr_tail


def test_a_child_killed_by_hand_is_a_failure_with_a_reason() -> None:
    with child.call(child_jobs.sleep_for_ever).started(JOBS) as started:
        threading.Timer(0.5, os.kill, (started.pid, signal.SIGKILL)).start()
        with pytest.raises(ChildError, match="memory ran out") as caught:
            started.result(60)
    assert caught.value.kind == "killed"


def test_a_child_that_writes_nothing_is_a_failure() -> None:
    with pytest.raises(ChildError, match="exit code 3") as caught:
        run(child_jobs.leave)
    assert caught.value.kind == "no-record"


def test_a_child_that_sleeps_for_ever_is_stopped_in_time() -> None:
    started = time.monotonic()
    with pytest.raises(ChildError, match="still running after 1") as caught:
        run(child_jobs.sleep_for_ever, timeout_s=1)
    assert caught.value.kind == "timed-out"
    assert time.monotonic() - started < 30


def test_a_child_out_of_memory_is_a_failure_with_that_reason() -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000))
import child_jobs
from slimner.core import child
from slimner.core.errors import ChildError
try:
    child.call(child_jobs.allocate, 4000).run(timeout_s=60)
except ChildError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **JOBS}, check=True
    )
    assert "MemoryError" in done.stdout


def test_the_parent_sleeps_while_a_child_works() -> None:
    before = time.process_time()
    with pytest.raises(ChildError):
        run(child_jobs.sleep_for_ever, timeout_s=2)
    assert time.process_time() - before < 0.2


def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"""
from pathlib import Path
import child_jobs
from slimner.core import child
started = child.call(child_jobs.sleep_for_ever).start()
Path({str(note)!r}).write_text(str(started.pid))
started.result(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **JOBS})
    deadline = time.monotonic() + 30
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    grandchild = int(note.read_text())
    time.sleep(1)
    parent.kill()
    parent.wait()
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{grandchild}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child outlived its parent")


def test_a_users_mistake_found_in_a_child_is_still_the_users_mistake() -> None:
    with pytest.raises(CorpusError, match="no corpus 'nowhere'; give a file"):
        child.call(read_corpus, CorpusSource(name="nowhere")).run(timeout_s=60)


def test_modules_in_the_working_directory_are_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "msgspec.py").write_text("raise RuntimeError('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    assert run(child_jobs.add, a=1, b=1) == 2


@pytest.mark.parametrize("timeout_s", [1e9, float("inf"), float("nan")])
def test_any_time_limit_is_a_time_limit(timeout_s: float) -> None:
    assert run(child_jobs.add, timeout_s=timeout_s, a=1, b=1) == 2


def test_waiting_works_where_the_kernel_gives_no_process_handle(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert run(child_jobs.add, a=1, b=1) == 2
    with pytest.raises(ChildError, match="still running"):
        run(child_jobs.sleep_for_ever, timeout_s=1)


def test_what_a_child_leaves_running_is_ended_with_it() -> None:
    left = run(child_jobs.leave_a_process_behind)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{left}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    pytest.fail("it is still running")


def test_paths_and_records_reach_the_child_as_what_they_are(tmp_path: Path) -> None:
    told = child.call(child_jobs.describe, tmp_path, child_jobs.Thing(where=tmp_path, sizes=(1, 2))).run(
        timeout_s=60, environment=JOBS
    )
    assert told == child_jobs.Thing(where=tmp_path / "Thing", sizes=(1, 2, 3))


def test_what_a_child_could_not_import_or_type_is_refused_before_it_starts() -> None:
    def nested() -> int:
        return 1

    with pytest.raises(TypeError, match="cannot be imported"):
        child.call(nested)
    with pytest.raises(TypeError, match="does not say what it returns"):
        child.call(child_jobs.untyped)
    with pytest.raises(TypeError, match="missing a required argument"):
        child.call(child_jobs.add, 1)  # type: ignore[call-arg]


def test_a_panic_of_a_library_in_rust_is_told_with_its_kind() -> None:
    with pytest.raises(ChildError, match="PanicException: not char boundary") as caught:
        child.call(child_jobs.panic).run(timeout_s=60, environment=JOBS)
    assert caught.value.kind == "raised"


def test_a_record_that_does_not_fit_is_a_failed_child() -> None:
    with pytest.raises(ChildError, match="cannot be read: Expected `int`, got `str`") as caught:
        child.call(child_jobs.words).run(timeout_s=60, environment=JOBS)
    assert caught.value.kind == "no-record"
