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

_MARKDOWN = re.compile(r"[\\`*_\[\]<>|&~]")
_ENTITIES = {"<": "&lt;", "|": "&#124;"}  # a backslash before a bar means another thing in a cell than elsewhere
_WORKFLOW = re.compile(r"^[ \t]*::|##\[", re.MULTILINE)

# How a formula begins in a spreadsheet; some take the full-width forms too.
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def line(value: str) -> str:
    """The text as one line for a terminal or a log, escaped so that it cannot end the line or move the cursor."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)


def lines(value: str) -> str:
    """The same for a text of several lines, keeping the line ends."""
    return "\n".join(map(line, value.split("\n")))


def workflow_data(value: str) -> str:
    """The message of a GitHub workflow command; a line end in it stays one."""
    return lines(value).replace("%", "%25").replace("\n", "%0A")


def workflow_property(value: str) -> str:
    """The value of a property of a GitHub workflow command."""
    return workflow_data(value).replace(":", "%3A").replace(",", "%2C")


def markdown(value: str) -> str:
    """The text as one line of Markdown that shows it as it is: no table ends, no link, no HTML begins in it."""
    return _MARKDOWN.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), line(value))


def cell(value: str) -> str:
    """The text as a CSV cell; an apostrophe is put before what a spreadsheet would calculate."""
    shown = line(value)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def fenced(value: str) -> str:
    """The text as a block of code in Markdown, whatever fences are in it."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", value)), 3)
    return f"{fence}text\n{lines(value)}\n{fence}"


def without_commands(value: str) -> str:
    """Lines for a CI log without what GitHub's runner takes for a workflow command at their begin (`::`) or in them."""
    return _WORKFLOW.sub(lambda found: found[0][:-1] + " " + found[0][-1], value)


def encodable(value: str) -> str:
    """The text as valid UTF-8: bytes that Python keeps as lone surrogates are written `\\udc80`."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
