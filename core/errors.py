"""Every error slimner raises on purpose.

SlimnerError
├── UserError            exit 2: something that the user gave is wrong
│   ├── UnknownNameError   a name that no plugin has
│   ├── CheckpointError    a checkpoint that cannot be read
│   ├── CorpusError        a labelled file that cannot be read or does not fit the model
│   ├── ArtifactError      an artifact that is missing, incomplete or changed
│   └── MissingDependencyError   this install lacks what the request needs
└── ChildError           exit 4: a build or a measurement failed

A message says what is wrong and where; `remedy` says what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_PASS = 0
EXIT_REGRESSION = 1
EXIT_USER = 2
EXIT_INCONCLUSIVE = 3
EXIT_FAILED = 4


class SlimnerError(Exception):
    """An error with a remedy and the exit code of a command that ends with it."""

    exit_code = EXIT_FAILED

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class UserError(SlimnerError):
    """The request cannot be carried out as given."""

    exit_code = EXIT_USER


class UnknownNameError(UserError):
    """A name that is not registered; the message suggests similar ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        remedy = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} '{name}'", remedy)


class CheckpointError(UserError):
    """A checkpoint directory that cannot be read as a token-classification model."""


class CorpusError(UserError):
    """A labelled file that cannot be read; the message carries file and line."""


class ArtifactError(UserError):
    """An artifact that is missing, incomplete or changed since it was built."""


class MissingDependencyError(UserError):
    """A distribution that this install lacks."""


class ChildError(SlimnerError):
    """A child process failed; `kind` is one of crashed, killed, timed-out, no-record, raised."""

    exit_code = EXIT_FAILED

    def __init__(self, message: str, kind: str, stderr_tail: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.kind = kind
        self.stderr_tail = stderr_tail
