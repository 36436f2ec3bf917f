"""A real server in Gunicorn and a real browser."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from slimner import zoo
from slimner.bench.server import gunicorn, serving

TOKEN = "correct-horse"

Ask = Callable[[str], list[dict[str, Any]]]


@contextlib.contextmanager
def start(**environment: str) -> Iterator[str]:
    """Our server over the embedded bundle; yields the address of its page."""
    command, settings = gunicorn(zoo.bundle(), workers=1, preload=True, threads=1)
    settings |= {"SLIMNER_DEADLINE": "120", **environment}  # however slow the machine
    with serving(command, settings, workers=1, path="/", timeout_s=60) as service:
        yield service.url


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A server that anybody may ask."""
    with start() as url:
        yield url


@pytest.fixture(scope="session")
def guarded_server() -> Iterator[str]:
    """A server that asks for a token."""
    with start(SLIMNER_TOKEN=TOKEN) as url:
        yield url


@pytest.fixture(scope="session")
def ask(server: str) -> Ask:
    """Entities of a text in UTF-16 units, asked without a browser in code points and converted here."""

    def entities(text: str) -> list[dict[str, Any]]:
        request = urllib.request.Request(
            f"{server}v1/ner", json.dumps({"text": text}).encode(), headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())["entities"]
        for entity in found:
            for key in ("start", "end"):
                entity[key] = len(text[: entity[key]].encode("utf-16-le")) // 2
        return found

    return entities


@pytest.fixture
def visit(browser: Any, server: str) -> Iterator[Callable[..., Any]]:
    """Open the page in a browser window of its own; what it must never do is checked when the test ends."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def opened(url: str = server, *, width: int = 1280, height: int = 860, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", lambda sent: sent.url.startswith(url) or wrong.append(f"asked elsewhere: {sent.url}"))
        page.on("console", lambda said: "Content Security Policy" in said.text and wrong.append(said.text))
        page.goto(url)
        page.wait_for_selector("#served b")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
