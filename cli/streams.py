"""Standard output and standard error whose failures do not change the exit code of a command."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import TextIO

from ..core import text


class _Tolerant(io.FileIO):
    """A descriptor whose reader may go away: text that cannot be written is dropped, and the command continues.

    rich and click both answer a closed pipe with exit code 1, which would read as a regression.
    """

    lost = False

    def write(self, data) -> int:  # type: ignore[no-untyped-def]  # the buffer type has no name before 3.12
        while not self.lost:
            try:
                written = super().write(data)
            except OSError as error:
                self.lost = True
                if error.errno != errno.EPIPE and self.fileno() == 1:
                    _note(f"note: standard output could not be written: {error.strerror}; the exit code is unchanged\n")
            else:
                if written is not None:
                    return written
                select.select([], [self], [])  # another process that shares the pipe made it non-blocking
        return len(data)


class Stream(io.TextIOWrapper):
    """A stream that passes on no workflow command except through `command`, whatever the source of the text."""

    def write(self, text_: str) -> int:
        """Write text, harmless for a CI system that reads it as a log."""
        return super().write(text.without_commands(text_))

    def command(self, line: str) -> None:
        """Write a line as it is."""
        super().write(line + "\n")


def verbatim(line: str) -> None:
    """Write a line to standard output that is JSON, or meant as a workflow command."""
    if isinstance(sys.stdout, Stream):
        sys.stdout.command(line)
    else:
        sys.stdout.write(line + "\n")


def _note(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, text.encode())


def protect() -> None:
    """Replace `sys.stdout` and `sys.stderr`, also where the shell had closed them (`>&-`).

    A closed descriptor becomes the null device, so that no file opened later gets its number and the output with it.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
    sys.stdout, sys.stderr = _open(1), _open(2)


def _open(descriptor: int) -> TextIO:
    raw = _Tolerant(descriptor, "w", closefd=False)
    given = sys.stdout if descriptor == 1 else sys.stderr
    return Stream(
        io.BufferedWriter(raw),
        encoding=given.encoding if given is not None else "utf-8",
        errors="backslashreplace",  # a terminal that knows ASCII only; a file name that is not UTF-8
        line_buffering=descriptor == 2 or raw.isatty(),
    )
