"""The records that are written or printed: a page of their fields, and a JSON Schema of each."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Iterator

import msgspec
from slimner.core.explain_records import Explanation
from slimner.core.gate_records import Calibration, GateRecord
from slimner.core.history_records import HISTORY_SCHEMA, HistoryEntry
from slimner.core.ledger_records import ImportLedger, Ledger
from slimner.core.load_records import LoadReport
from slimner.core.plan_records import DeploymentPlan
from slimner.core.records import BenchReport, EvaluationRecord, Results
from slimner.core.store import RESULTS_SCHEMA
from slimner.core.verdicts import Comparison
from slimner.eval import Differences
from slimner.eval.inspection import Inspection
from slimner.jobs.predicting import Predicted
from slimner.jobs.trimming import Trimmed
from slimner.reports import Decision, Policy
from slimner.reports.calibration import SCHEMA as CALIBRATION_SCHEMA
from slimner.reports.content import Report
from slimner.reports.fleet import Sweep
from slimner.reports.tuning import Tuned
from slimner.serve.bundle import BUNDLE_SCHEMA, Bundle, Golden
from slimner.variants import Manifest
from slimner.variants.artifacts import MANIFEST_SCHEMA

from .markdown import table

# By name: the record, where it stands, and the version of its schema: the number in the file where there is one. It is
# raised when a field goes or changes its meaning; a new field that may be absent leaves it.
ROOTS: dict[str, tuple[object, str, int]] = {
    "results": (Results, "`results.json`, a baseline, and `slimner run --json`", RESULTS_SCHEMA),
    "decision": (Decision, "`decision.json`, and `slimner pick --json`", 1),
    "scores": (EvaluationRecord, "`slimner eval --json`", 1),
    "bench": (BenchReport, "`slimner bench --json`", 1),
    "sweep": (Sweep, "`sweep.json`, and `slimner sweep --json`", 1),
    "plan": (DeploymentPlan, "`slimner plan --json`", 1),
    "explanation": (Explanation, "`slimner explain --json`", 1),
    "trimmed": (Trimmed, "`slimner trim --json`", 1),
    "tuned": (Tuned, "`slimner tune --json`", 1),
    "ledger": (Ledger, "`slimner ledger ARTIFACT --json`", 1),
    "dependencies": (ImportLedger, "`dependencies.json`", 1),
    "load": (LoadReport, "`slimner load --json`", 1),
    "predicted": (Predicted, "`slimner predict --json`, and what `slimner.predict_file` returns", 1),
    "comparison": (tuple[Comparison, ...], "`slimner compare --json`, and part of what `slimner gate` writes", 1),
    "gate": (GateRecord, "`slimner gate --json` and `--out`", 1),
    "calibration": (
        Calibration,
        "`slimner calibrate --json`, and the files below `calibration/` in the cache",
        CALIBRATION_SCHEMA,
    ),
    "differences": (
        Differences | tuple[Differences, ...],
        "`slimner diff --json`; `differences.json` holds a list, one for each variant",
        1,
    ),
    "history": (
        HistoryEntry | tuple[HistoryEntry, ...],
        "a file below `runs/` of a history, and `slimner history add --json`; `show --json` prints a list",
        HISTORY_SCHEMA,
    ),
    "report": (Report, "`report.json` of `slimner report --format json`", 1),
    "inspection": (Inspection, "`slimner corpus FILE --json`", 1),
    "manifest": (Manifest, "`manifest.json` of an artifact, and `slimner build --json`", MANIFEST_SCHEMA),
    "bundle": (Bundle, "`bundle.json` of a bundle", BUNDLE_SCHEMA),
    "golden": (tuple[Golden, ...], "`golden.json` of a bundle", BUNDLE_SCHEMA),
    "policy": (Policy, "the policy inside a decision", 1),
}


def schemas() -> dict[str, str]:
    """The JSON Schema of every record that is written, by its path below docs/reference."""
    return {schema_file(name): json.dumps(schema_of(name), indent=1, ensure_ascii=False) + "\n" for name in ROOTS}


def schema_file(name: str) -> str:
    """Where the schema of a record stands."""
    return f"schema/{name}-{ROOTS[name][2]}.json"


def schema_of(name: str) -> dict[str, typing.Any]:
    """The JSON Schema of a record, draft 2020-12."""
    kind, place, version = ROOTS[name]
    written: dict[str, typing.Any] = msgspec.json.schema(kind)
    for record in structs_in(kind):
        fields = written["$defs"][record.__name__]["properties"]
        if "schema" in fields:
            fields["schema"] = {"const": version}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:slimner:{name}:{version}",
        "$comment": f"slimner: {place.replace('`', '')}",
        **written,
    }


def structs_in(annotation: object) -> Iterator[type[msgspec.Struct]]:
    """The record types that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from structs_in(argument)


def records_page() -> str:
    """Every field of every record that is written or printed."""
    parts = [
        "# Records: results and what `--json` prints",
        f"`results.json` has schema {RESULTS_SCHEMA}; files of schema 3 and later stay readable. Units "
        "are in the names: `_ms`, `_s`, `_bytes`, `_pp`. `| None` marks a figure that may be absent.",
        "The [JSON Schema](https://json-schema.org) of each record, draft 2020-12, has its version in its name: the "
        "number in the file where there is one. It is raised when a field is removed or changes its meaning, but not "
        "for a new optional field. `check-jsonschema --schemafile docs/reference/schema/results-"
        f"{RESULTS_SCHEMA}.json results.json` checks a file.",
        table(
            ("where it stands", "record", "schema"),
            [
                (place, link(next(structs_in(kind))), f"[{name}-{version}]({schema_file(name)})")
                for name, (kind, place, version) in ROOTS.items()
            ],
        ),
    ]
    seen: set[type] = set()
    queue: list[type] = [found for kind, _, _ in ROOTS.values() for found in structs_in(kind)]
    while queue:
        kind = queue.pop(0)
        if kind in seen:
            continue
        seen.add(kind)
        hints = typing.get_type_hints(kind)
        fields = msgspec.structs.fields(kind)
        lines = [(f"`{field.encode_name}`", type_text(hints[field.name])) for field in fields]
        parts += [f"## {kind.__name__}", inspect.cleandoc(kind.__doc__ or ""), table(("field", "type"), lines)]
        queue[:0] = [found for field in fields for found in structs_in(hints[field.name]) if found not in seen]
    return "\n\n".join(parts)


def link(kind: type) -> str:
    """A link to the section of a record."""
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def type_text(annotation: typing.Any) -> str:
    """A type as one writes it, with links to records."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return link(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        return "None" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))
    if origin is typing.Literal:
        return " or ".join(f'"{argument}"' for argument in arguments)
    if not isinstance(origin, type) or origin.__name__ in ("Union", "UnionType"):
        return " | ".join(type_text(argument) for argument in arguments)
    if origin is dict or origin.__name__ == "Mapping":
        return f"{type_text(arguments[1])} by {type_text(arguments[0])}"
    return "list of " + " and ".join(type_text(argument) for argument in arguments if argument is not ...)
