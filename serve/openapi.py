"""The OpenAPI document of the server."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ..variants import Entity
from .bundle import Measured
from .info import Info, Instructions, Limits, Model, Scores
from .problems import PROBLEM_JSON, Body
from .schemas import MOST_CHARACTERS, MOST_TEXTS, Answer, Answers, Entities, Question

REASONS = {
    400: "The body is not JSON in UTF-8, or not of this form.",
    401: "The server wants a token and got no valid one.",
    403: "A page of another site asks, whose origin is not allowed.",
    405: "The route does not know the method; the header Allow names those it does.",
    408: "The request did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not JSON by its type, or compressed.",
    421: "The server is not known by the name in Host.",
    422: "Too many texts, or too long a one.",
    431: "The header is too large.",
    503: "Too many requests wait, or the model is not ready; Retry-After says when to try again.",
    504: "Not answered within the deadline.",
}


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True):
    """The model answers as when it was bundled."""

    status: Literal["ready"]


# Every record of a request or an answer, and those inside them. Said here, not taken from docstrings, which a server
# does without (`python -OO`).
SCHEMAS: Mapping[type, str] = {
    Question: "`text` or `texts`; `offsets` count code points, or UTF-16 units as JavaScript does.",
    Answer: "The answer to `text`, and the milliseconds it took.",
    Answers: "The answer to `texts`, in their order, and the milliseconds all of it took.",
    Entities: "Entities of one text, in order.",
    Entity: "A name: `text[start:end]`, its type, and the mean probability of its tags.",
    Body: "`title` names the kind of error, `detail` this case, `remedy` what to do; logs have the `request_id`.",
    Info: "What is served; figures that were not measured are null.",
    Model: "The checkpoint that was made leaner, and the types of its entities.",
    Instructions: "Instruction sets that the artifact was built for, and that this machine has.",
    Scores: "F1 on a corpus as a share, with its interval.",
    Measured: "What one process cost on one text at a time, on the machine that measured it.",
    Limits: "The most that is taken.",
    Health: "The process answers.",
    Readiness: "The model answers as when it was bundled.",
}

TEXT = "法国总统马克龙将于下周访问上海。"
FOUND = [
    {"start": 0, "end": 2, "type": "LOC", "text": "法国", "score": 0.9832},
    {"start": 4, "end": 7, "type": "PER", "text": "马克龙", "score": 0.9871},
    {"start": 13, "end": 15, "type": "LOC", "text": "上海", "score": 0.9793},
]
QUESTIONS = {
    "one": {"summary": "One text", "value": {"text": TEXT}},
    "several": {"summary": "Several texts", "value": {"texts": [TEXT, "今天没有新闻。"]}},
    "utf16": {"summary": "Offsets as JavaScript counts", "value": {"text": TEXT, "offsets": "utf16"}},
}
ANSWERS = {
    "one": {"summary": "To one text", "value": {"entities": FOUND, "ms": 6.412}},
    "several": {
        "summary": "To several texts",
        "value": {"results": [{"entities": FOUND}, {"entities": []}], "ms": 11.873},
    },
}


def document() -> bytes:
    """The document as JSON."""
    schemas, components = msgspec.json.schema_components(SCHEMAS, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(SCHEMAS, schemas, strict=True))
    for kind, description in SCHEMAS.items():
        components[kind.__name__]["description"] = description
    _describe_question(components["Question"])

    def problems(*statuses: int) -> dict[str, Any]:
        return {
            str(status): {"description": REASONS[status], "content": {PROBLEM_JSON: {"schema": schema_of[Body]}}}
            for status in sorted((*statuses, 403, 405, 408, 421, 431))
        }

    def get(
        name: str,
        summary: str,
        schema: dict[str, Any],
        *statuses: int,
        kind: str = "application/json",
        tag: str = "operation",
        secured: bool = False,
    ) -> dict[str, Any]:
        found: dict[str, Any] = {
            "operationId": name,
            "tags": [tag],
            "summary": summary,
            "responses": {"200": {"description": "OK", "content": {kind: {"schema": schema}}}} | problems(*statuses),
        }
        return {"get": found | ({"security": [{"token": []}, {}]} if secured else {})}

    ner: dict[str, Any] = {
        "operationId": "findEntities",
        "tags": ["entities"],
        "summary": "Entities of one text or of several",
        "security": [{"token": []}, {}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema_of[Question], "examples": QUESTIONS}},
        },
        "responses": {
            "200": {
                "description": "Entities in order, `text[start:end]` each, not overlapping",
                "content": {
                    "application/json": {
                        "schema": {"anyOf": [schema_of[Answer], schema_of[Answers]]},
                        "examples": ANSWERS,
                    }
                },
            }
        }
        | problems(400, 401, 413, 415, 422, 503, 504),
    }
    text, anything = {"type": "string"}, {"type": "object"}
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "slimner",
                "version": importlib.metadata.version("slimner"),
                "description": "Named entities of texts. Every answer has a request id in the header `X-Request-ID`.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": {
                "/v1/ner": {"post": ner},
                "/v1/info": get(
                    "getInfo",
                    "What is served, with its measured figures",
                    schema_of[Info],
                    401,
                    tag="entities",
                    secured=True,
                ),
                "/healthz": get("getHealth", "Whether the process answers", schema_of[Health]),
                "/readyz": get(
                    "getReadiness", "Whether the model has answered its golden texts rightly", schema_of[Readiness], 503
                ),
                "/metrics": get(
                    "getMetrics", "Figures for Prometheus, over all workers", text, 401, kind="text/plain", secured=True
                ),
                "/openapi.json": get("getDocument", "This document", anything),
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
