"""MkDocs hook: a link to a file of the repository that is not a page of the site becomes the file's name."""

from __future__ import annotations

import re
from typing import Any

LINK = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?:zoo|examples|recipes|studies|deploy|tests)/[^)#]+|[A-Z]+\.md)\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with such links replaced."""
    return LINK.sub(lambda link: link[1] if link[2] in link[1] else f"{link[1]} (`{link[2]}`)", markdown)
