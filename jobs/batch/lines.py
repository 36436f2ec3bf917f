"""Lines of a file or a pipe, one at a time, in memory that the length of the input does not change."""

from __future__ import annotations

import collections
import hashlib
import os
import select
import stat
from typing import NamedTuple

# A longer line is not a text: most likely the file is not of the form that it is taken for.
MOST_LINE_BYTES = 8 << 20
BLOCK_BYTES = 1 << 18
SHOWN_BYTES = 1000

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line with its end, the offset behind it, and how long it was if only its beginning was kept, else 0."""

    content: bytes
    end: int
    cut_bytes: int = 0

    @property
    def bare(self) -> bytes:
        """The line without its end."""
        return self.content.removesuffix(b"\n").removesuffix(b"\r")


class Lines:
    """Lines of a descriptor that stands at `offset`. `digest` is a running hash of those that were handed out."""

    def __init__(self, descriptor: int, offset: int = 0) -> None:
        self._descriptor = descriptor
        self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._complete: collections.deque[tuple[bytes, int]] = collections.deque()  # what was kept, and whole length
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._ended = False
        self.offset = offset
        self.digest = hashlib.sha256()

    def ready(self) -> bool:
        """Whether the next line is available without waiting for the writer."""
        while not self._complete and not self._ended:
            if not self._regular and not select.select([self._descriptor], [], [], 0)[0]:
                return False
            self._fill()
        return True

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> Line:
        while not self._complete:
            if self._ended:
                raise StopIteration
            self._fill()
        kept, length = self._complete.popleft()
        self.digest.update(b"%d:" % length + kept)
        content = kept.removeprefix(BYTE_ORDER_MARK) if self.offset == 0 else kept
        self.offset += length
        return Line(content, self.offset, length if length > len(kept) else 0)

    def skip(self, offset: int) -> str:
        """Pass over the lines before an offset, or as many as there are; the hash of them."""
        while self.offset < offset and next(self, None):
            pass
        return self.digest.hexdigest()

    def _fill(self) -> None:
        block = os.read(self._descriptor, BLOCK_BYTES)
        first, *others = block.split(b"\n")
        if others:
            self._keep(first + b"\n")
            self._complete_rest()
            last = others.pop()
            self._complete.extend((line + b"\n", len(line) + 1) for line in others)
            self._keep(last)
        else:
            self._keep(first)
        if not block:
            self._ended = True
            if self._rest_bytes:
                self._complete_rest()

    def _keep(self, piece: bytes) -> None:
        self._rest_bytes += len(piece)
        if self._rest_bytes <= MOST_LINE_BYTES:
            self._rest.append(piece)
        else:
            self._rest = [b"".join(self._rest)[:SHOWN_BYTES]]

    def _complete_rest(self) -> None:
        self._complete.append((b"".join(self._rest), self._rest_bytes))
        self._rest, self._rest_bytes = [], 0
