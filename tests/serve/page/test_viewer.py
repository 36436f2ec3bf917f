"""`/docs`: the viewer as its makers gave it, in a real browser under the server's policy."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from slimner.serve import viewer


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__, static_folder=None)
    viewer.register(app)
    return app.test_client()


def test_the_files_are_those_that_the_readme_names_and_their_licence_lies_beside_them() -> None:
    listed = re.findall(r"^([0-9a-f]{64})  (\S+)$", (viewer.VIEWER / "README.md").read_text(encoding="utf-8"), re.M)
    assert {"swagger-ui-bundle.js", "swagger-ui.css", "LICENSE"} <= {name for _, name in listed}
    for digest, name in listed:
        assert hashlib.sha256((viewer.VIEWER / name).read_bytes()).hexdigest() == digest, name
    assert "Apache License" in (viewer.VIEWER / "LICENSE").read_text(encoding="utf-8")


def test_the_page_and_what_it_names_are_there(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert page.content_type == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="(docs/[^"]+)"', page.text)
    assert {name.removeprefix("docs/") for name in named} == set(viewer.FILES)
    for name in named:
        packed = client.get(f"/{name}", headers={"Accept-Encoding": "gzip"})
        assert (packed.status_code, packed.headers["Content-Encoding"]) == (200, "gzip")
        assert gzip.decompress(packed.data) == (viewer.VIEWER / name.removeprefix("docs/")).read_bytes()
        again = client.get(f"/{name}", headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
    for missing in ("docs/README.md", "docs/", "docs/../app.py", "docs/index.html"):
        assert client.get(f"/{missing}").status_code == 404


@pytest.mark.browser
def test_a_visitor_sees_the_routes_and_tries_one_and_no_other_host_is_asked(server: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1200, "height": 1400})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server}docs")
    page.wait_for_selector(".opblock-summary-path")
    routes = {path.replace("\u200b", "") for path in page.locator(".opblock-summary-path").all_inner_texts()}
    assert routes == {"/v1/ner", "/v1/info", "/healthz", "/readyz", "/metrics", "/openapi.json"}
    block = page.locator("#operations-entities-findEntities")
    block.locator(".opblock-summary-control").click()
    block.locator(".try-out__btn").click()
    assert "马克龙" in block.locator("textarea.body-param__text").input_value()
    block.locator("button.execute").click()
    block.locator(".live-responses-table .response-col_status").first.wait_for()
    answered = block.locator(".live-responses-table").inner_text()
    assert "200" in answered
    assert "马克龙" in answered
    assert [url for url in asked if not url.startswith((server, "data:"))] == []
    assert said == []
    page.close()


@pytest.mark.browser
def test_the_token_is_given_in_the_page(guarded_server: str, browser: Any) -> None:
    page = browser.new_page()
    assert page.goto(f"{guarded_server}docs").status == 200
    page.wait_for_selector(".authorize")
    assert page.locator("#operations-entities-getInfo").count() == 1
    page.close()


def test_ids_examples_and_types_are_in_the_document_and_fit_each_other() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from slimner.serve.openapi import document

    described = json.loads(document())
    operations = [method for path in described["paths"].values() for method in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids)) == 6
    ner = described["paths"]["/v1/ner"]["post"]
    for media in (
        ner["requestBody"]["content"]["application/json"],
        ner["responses"]["200"]["content"]["application/json"],
    ):
        assert len(media["examples"]) >= 2
        for example in media["examples"].values():
            jsonschema.validate(example["value"], {**media["schema"], "components": described["components"]})
    text = ner["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]["text"]
    for entity in ner["responses"]["200"]["content"]["application/json"]["examples"]["one"]["value"]["entities"]:
        assert text[entity["start"] : entity["end"]] == entity["text"]
