#!/usr/bin/env python3
"""Keep one comment on a pull request: python comment.py FILE... (written by `slimner gate --comment`).

A comment that is there already is renewed whatever the files say; a new one is made only if one of them is significant.
GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_API_URL and GITHUB_EVENT_PATH come from the workflow. Needs nothing but Python.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

MARK = "<!-- slimner gate"
MOST_CHARACTERS = 65_000


def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """One request to GitHub's API."""
    request = urllib.request.Request(
        os.environ.get("GITHUB_API_URL", "https://api.github.com") + path,
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ['GITHUB_TOKEN']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def existing(repository: str, number: int) -> int | None:
    """The comment that was made before, by this program."""
    page = 1
    while found := ask("GET", f"/repos/{repository}/issues/{number}/comments?per_page=100&page={page}"):
        for comment in found:
            if comment["body"].startswith(MARK):
                return int(comment["id"])
        page += 1
    return None


def main() -> None:
    """Make the comment, renew it, or leave it."""
    texts = [Path(name).read_text(encoding="utf-8") for name in sys.argv[1:] if Path(name).is_file()]
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    number = event.get("pull_request", {}).get("number")
    if not texts or number is None:
        print("no comment: there is no gate, or no pull request")
        return
    repository = os.environ["GITHUB_REPOSITORY"]
    body = {"body": "\n".join(texts)[:MOST_CHARACTERS]}
    try:
        comment = existing(repository, number)
        if comment is not None:
            ask("PATCH", f"/repos/{repository}/issues/comments/{comment}", body)
            print("comment renewed")
        elif any(", significant -->" in text.partition("\n")[0] for text in texts):
            ask("POST", f"/repos/{repository}/issues/{number}/comments", body)
            print("comment made")
        else:
            print("no comment: nothing is significant")
    except (urllib.error.URLError, OSError) as error:  # a fork's token may not write; the verdict is in the log
        print(f"::warning title=slimner gate::the comment could not be written: {error}")


if __name__ == "__main__":
    main()
