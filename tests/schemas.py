"""Whether what was written has the newest JSON Schema of docs/reference/schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

SCHEMAS = Path(__file__).parents[1] / "docs" / "reference" / "schema"


def closed(schema: Any) -> Any:
    """The schema with no room for a field that it does not name, but in settings, which a run's extend."""
    if isinstance(schema, list):
        return list(map(closed, schema))
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    named = isinstance(inner.get("properties"), dict) and inner.get("title") != "Measuring"
    return inner | {"additionalProperties": False} if named else inner


def check(name: str, written: str | bytes) -> None:
    """A file has all that its newest schema asks for, and nothing that it does not name."""
    newest = max(SCHEMAS.glob(f"{name}-*.json"), key=lambda path: int(path.stem.rpartition("-")[2]))
    schema = json.loads(newest.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    errors = list(jsonschema.Draft202012Validator(closed(schema)).iter_errors(json.loads(written)))
    assert not errors, f"{newest.name}: {errors[0].json_path} {errors[0].message}"
