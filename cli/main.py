"""`slimner`: runs a command and ends with its exit code.

Only the standard library is imported outside `main`, so that a library that cannot be imported has an exit code too.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
from types import FrameType

from ..core import text
from ..core.errors import EXIT_FAILED, EXIT_PASS, EXIT_USER, ChildError, SlimnerError, UserError
from . import streams

COMMANDS = {
    "run": "slimner.cli.run:run",
    "trim": "slimner.cli.trim:trim",
    "sweep": "slimner.cli.sweep:sweep",
    "build": "slimner.cli.build:build",
    "eval": "slimner.cli.eval:evaluate",
    "bench": "slimner.cli.bench:bench",
    "explain": "slimner.cli.explain:explain",
    "tune": "slimner.cli.tune:tune",
    "ledger": "slimner.cli.ledger:ledger",
    "load": "slimner.cli.load:load",
    "compare": "slimner.cli.compare:compare",
    "diff": "slimner.cli.diff:diff",
    "pick": "slimner.cli.pick:pick",
    "report": "slimner.cli.report:report",
    "plan": "slimner.cli.plan:plan",
    "gate": "slimner.cli.gate:gate",
    "baseline": "slimner.cli.baseline:baseline",
    "calibrate": "slimner.cli.calibrate:calibrate",
    "bundle": "slimner.cli.bundle:bundle",
    "verify": "slimner.cli.verify:verify",
    "serve": "slimner.cli.serve:serve",
    "predict": "slimner.cli.predict:predict",
    "export": "slimner.cli.export:export",
    "history": "slimner.cli.history:history",
    "corpus": "slimner.cli.corpus:corpus",
    "variants": "slimner.cli.variants:variants",
}

# Commands that keep what they have measured and can continue after an interruption.
RESUMES = ("run", "sweep", "compare", "gate", "calibrate", "predict", "tune")

DEFECT = "this is a defect of slimner or of a library; --debug shows the traceback, which a report of it needs"


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code; an unforeseen error is one line and exit code 4, never 1."""
    streams.protect()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        signal.signal(signal.SIGHUP, _terminate)
        signal.signal(signal.SIGTERM, _terminate)  # ends children and removes temporary files, as Ctrl-C does
        code = _run(arguments)
    except KeyboardInterrupt:
        resumes = " The same command goes on where it stopped." if arguments and arguments[0] in RESUMES else ""
        _say(f"interrupted; nothing half-written is left.{resumes}")
        code = 130
    except BaseException as error:  # a panic in a Rust library is a BaseException too
        code = _explain(error, debug="--debug" in arguments or bool(os.environ.get("SLIMNER_DEBUG")))
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    import click

    from .commands import cli

    for argument in arguments:
        if argument != text.encodable(argument):  # no record could hold the name
            raise UserError(f"'{text.encodable(argument)}' is not valid UTF-8", "rename the file")
    if "_SLIMNER_COMPLETE" in os.environ:  # a shell asks for completions
        cli.main(args=arguments, prog_name="slimner")
    try:
        # not cli.main: it answers a broken pipe with exit code 1, and a file that ends early like Ctrl-C
        with cli.make_context("slimner", list(arguments)) as context:
            code = cli.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        for line in shown.getvalue().splitlines():
            _say(line)
        return EXIT_USER
    except SystemExit as ended:
        if not ended.code:
            return EXIT_PASS
        raise RuntimeError(f"a library ended the process with exit code {ended.code}") from ended
    return code if isinstance(code, int) else EXIT_PASS


def _explain(error: BaseException, *, debug: bool) -> int:
    """Say on standard error what went wrong and what to do; the exit code of it."""
    if debug:
        for shown in "".join(traceback.format_exception(error)).splitlines():
            _say(shown)
    if isinstance(error, SlimnerError):
        if isinstance(error, ChildError) and error.stderr_tail:
            for shown in error.stderr_tail.splitlines()[0 if debug else -1 :]:
                _say(shown)
        _say(error.message, error.remedy, error=True)
        return error.exit_code
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}{error.strerror}", "free space or fix the permissions, then start again", error=True)
    elif isinstance(error, MemoryError):
        _say("memory ran out", "give it more memory, or less at a time", error=True)
    else:
        _say(f"{type(error).__name__}: {error}".removesuffix(": "), DEFECT, error=True)
    return EXIT_FAILED


def _say(message: str, remedy: str = "", *, error: bool = False) -> None:
    """A line on standard error, and a second one with the remedy; without rich, which may be what is broken."""
    word = "\x1b[1;31merror\x1b[0m " if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else "error "
    sys.stderr.write((word if error else "") + text.line(message) + "\n")
    if remedy:
        sys.stderr.write(f"      {text.line(remedy)}\n")
