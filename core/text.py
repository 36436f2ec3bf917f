"""Text that came from outside, made harmless for the medium it is printed to.

A label, a file name or a sentence may hold what a terminal or a log takes for a command: escape sequences, line breaks,
characters that reorder what is read. Each is shown as Python writes it (`\\x1b`, `\\n`, `\\u202e`).
"""

from __future__ import annotations

import re

# C0 and C1 with DEL; marks, embeddings, overrides and isolates of direction; separators of lines and paragraphs; other
# invisible formatting (the joiners of Persian, Hindi and emoji stay); lone surrogates; non-characters of XML; tags
_COMMANDS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e007f]"
)


def line(value: str) -> str:
    """The text as one line for a terminal or a log: nothing in it ends the line or moves the cursor."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)


def encodable(value: str) -> str:
    """The text as valid UTF-8: bytes that Python keeps as lone surrogates are written `\\udc80`."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
