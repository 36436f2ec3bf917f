"""The page's files as they are sent: hashed, compressed, cached, and nothing in them that the policy would refuse."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from slimner.serve import page

HASHED = re.compile(r'"(assets/[0-9a-f]{16}/[a-z]+\.(?:js|css|svg))"')


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    page.register(app)
    return app.test_client()


def test_the_page_names_hashed_files_that_are_there_and_kept_for_good(client: FlaskClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    named = HASHED.findall(answer.text)
    assert {Path(name).name for name in named} == {"icon.svg", "page.css", "page.js"}
    for name in named:
        file = client.get(f"/{name}")
        assert file.status_code == 200
        assert "immutable" in file.headers["Cache-Control"]
        assert "max-age=31536000" in file.headers["Cache-Control"]
        assert file.data == (page.STATIC / Path(name).name).read_bytes()


def test_every_script_is_found_where_the_others_import_it_from(client: FlaskClient) -> None:
    script = next(name for name in HASHED.findall(client.get("/").text) if name.endswith(".js"))
    for imported in re.findall(r'from "\./([a-z]+\.js)"', client.get(f"/{script}").text):
        answer = client.get(f"/{Path(script).parent}/{imported}")
        assert answer.status_code == 200
        assert answer.content_type.startswith("text/javascript")


def test_files_are_sent_compressed_to_whoever_takes_it(client: FlaskClient) -> None:
    for name in page.assets():
        plain = client.get(f"/{name}")
        packed = client.get(f"/{name}", headers={"Accept-Encoding": "br, gzip;q=0.8"})
        refused = client.get(f"/{name}", headers={"Accept-Encoding": "gzip;q=0"})
        assert "Content-Encoding" not in plain.headers
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain.data == refused.data
        assert int(packed.headers["Content-Length"]) == len(packed.data)
        assert {answer.headers["Vary"] for answer in (plain, packed)} == {"Accept-Encoding"}
        assert plain.headers["ETag"] != packed.headers["ETag"]


def test_what_a_client_has_is_not_sent_again(client: FlaskClient) -> None:
    for headers in ({}, {"Accept-Encoding": "gzip"}):
        tag = client.get("/", headers=headers).headers["ETag"]
        again = client.get("/", headers={**headers, "If-None-Match": tag})
        assert (again.status_code, again.data) == (304, b"")
        assert client.get("/", headers={**headers, "If-None-Match": '"other"'}).status_code == 200


def test_the_whole_page_is_small(client: FlaskClient) -> None:
    assert sum(len(asset.packed) for asset in page.assets().values()) < 20_000


def test_a_changed_file_changes_every_address(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = set(page.assets())
    for file in page.STATIC.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "page.css").write_bytes(b"body { color: red }")
    monkeypatch.setattr(page, "STATIC", tmp_path)
    assert before & set(page.assets()) == {""}


@pytest.mark.parametrize(
    "path", ["/assets/page.js", "/assets/0000000000000000/page.js", "/assets/../app.py", "/app.py"]
)
def test_nothing_else_is_served(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_page_only_reads(client: FlaskClient) -> None:
    assert client.post("/").status_code == 405
    assert client.head("/").status_code == 200


def test_the_files_have_nothing_inline_and_nothing_from_elsewhere() -> None:
    markup = (page.STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", markup)
    for file in page.STATIC.iterdir():
        content = file.read_text(encoding="utf-8")
        assert not re.search(r"(?:src|href|url\(|import|from)\W{1,3}(?:https?:)?//", content), file.name
        if file.suffix == ".js":
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", content
            )
