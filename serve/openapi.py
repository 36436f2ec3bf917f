"""The OpenAPI document of the server."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import msgspec

from .problems import PROBLEM_JSON, Body
from .schemas import MOST_CHARACTERS, MOST_TEXTS, Answer, Answers, Question

REASONS = {
    400: "The body is not JSON in UTF-8, or not of this form.",
    401: "The server wants a token and got no valid one.",
    405: "The route does not know the method; the header Allow names those it does.",
    408: "The request did not arrive in time.",
    411: "A body without Content-Length.",
    413: "The body is too large.",
    422: "Too many texts, or too long a one.",
    431: "The header is too large.",
    503: "Too many requests wait, or the model is not ready; Retry-After says when to try again.",
    504: "Not answered within the deadline.",
}

# Said here, not taken from docstrings, which a server does without (`python -OO`).
SCHEMAS = {
    "Question": "`text` or `texts`; `offsets` count code points, or UTF-16 units as JavaScript does.",
    "Answer": "The answer to `text`, and the milliseconds it took.",
    "Answers": "The answer to `texts`, in their order, and the milliseconds all of it took.",
    "Entities": "Entities of one text, in order.",
    "Entity": "A name: `text[start:end]`, its type, and the mean probability of its tags.",
    "Body": "`title` names the kind of error, `detail` this case, `remedy` what to do.",
}


def document() -> bytes:
    """The document as JSON."""
    (question, answer, answers, body), components = msgspec.json.schema_components(
        (Question, Answer, Answers, Body), ref_template="#/components/schemas/{name}"
    )
    for name, description in SCHEMAS.items():
        components[name]["description"] = description
    _describe_question(components["Question"])

    def problems(*statuses: int) -> dict[str, Any]:
        return {
            str(status): {"description": REASONS[status], "content": {PROBLEM_JSON: {"schema": body}}}
            for status in sorted((*statuses, 405, 408, 431))
        }

    def get(summary: str, *statuses: int, kind: str = "application/json", secured: bool = False) -> dict[str, Any]:
        schema = {"type": "string"} if kind == "text/plain" else {"type": "object"}
        found: dict[str, Any] = {
            "summary": summary,
            "responses": {"200": {"description": "OK", "content": {kind: {"schema": schema}}}} | problems(*statuses),
        }
        return {"get": found | ({"security": [{"token": []}, {}]} if secured else {})}

    ner: dict[str, Any] = {
        "summary": "Entities of one text or of several",
        "security": [{"token": []}, {}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": question}}},
        "responses": {
            "200": {
                "description": "Entities in order, `text[start:end]` each, not overlapping",
                "content": {"application/json": {"schema": {"anyOf": [answer, answers]}}},
            }
        }
        | problems(400, 401, 411, 413, 422, 503, 504),
    }
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "slimner",
                "version": importlib.metadata.version("slimner"),
                "description": "Named entities of texts.",
            },
            "paths": {
                "/v1/ner": {"post": ner},
                "/v1/info": get("What is served, with its measured figures", 401, secured=True),
                "/healthz": get("Whether the process answers"),
                "/readyz": get("Whether the model has answered its golden texts rightly", 503),
                "/metrics": get("Figures for Prometheus, over all workers", 401, kind="text/plain", secured=True),
                "/openapi.json": get("This document"),
            },
            "components": {
                "schemas": components,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _describe_question(schema: dict[str, Any]) -> None:
    """Say what the type does not: limits, and that one of the two fields is needed."""
    properties = schema["properties"]
    properties["text"]["maxLength"] = properties["texts"]["items"]["maxLength"] = MOST_CHARACTERS
    properties["texts"]["maxItems"] = MOST_TEXTS
    schema["oneOf"] = [{"required": ["text"]}, {"required": ["texts"]}]
