"""Write the pages of docs/reference from the code; a test compares what is committed with what the code gives."""

from __future__ import annotations

import inspect
import json
import re
import tomllib
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import msgspec
from slimner.cli.commands import cli
from slimner.cli.main import COMMANDS
from slimner.core import errors
from slimner.core.explain_records import Explanation
from slimner.core.gate_records import Calibration, GateRecord
from slimner.core.history_records import HISTORY_SCHEMA, HistoryEntry
from slimner.core.ledger_records import ImportLedger, Ledger
from slimner.core.load_records import LoadReport
from slimner.core.metrics import METRICS, WRITTEN, Metric
from slimner.core.plan_records import DeploymentPlan
from slimner.core.records import BenchReport, EvaluationRecord, Results
from slimner.core.store import RESULTS_SCHEMA
from slimner.core.units import SIZES
from slimner.core.verdicts import Comparison
from slimner.eval import Differences
from slimner.eval.inspection import Inspection
from slimner.jobs.predicting import Predicted
from slimner.jobs.trimming import Trimmed
from slimner.reports import Decision, Policy
from slimner.reports.calibration import SCHEMA as CALIBRATION_SCHEMA
from slimner.reports.content import Report
from slimner.reports.fleet import Sweep
from slimner.reports.tables import csv_columns
from slimner.reports.tuning import Tuned
from slimner.reports.verdicts import margin_text
from slimner.serve.bundle import BUNDLE_SCHEMA, Bundle, Golden
from slimner.variants import VARIANTS, Manifest
from slimner.variants.artifacts import MANIFEST_SCHEMA

HERE = Path(__file__).parent
REFERENCE = HERE / "reference"
NOTICE = "<!-- written by docs/generate.py; change the code, then run it again -->\n\n"

GUIDES = {
    "baseline": "gate",
    "build": "variants",
    "corpus": "corpora",
    "diff": "compare",
    "pick": "policy",
    "verify": "bundle",
}
"""Guide pages of the commands whose page has another name."""

BY_HAND = ("corpus-defects.md", "corpus-formats.md", "tag-schemes.md")
"""Pages of docs/reference that are written by hand, and left as they are."""

OUTCOMES = {
    errors.EXIT_PASS: "done: no regression, and a variant fits the policy",
    errors.EXIT_REGRESSION: "a regression, or no variant fits the policy; never anything else",
    errors.EXIT_USER: "the request is wrong: an unknown name or option, a missing, malformed or damaged file",
    errors.EXIT_INCONCLUSIVE: "the comparison is inconclusive: the budget was spent, or the machine was too busy",
    errors.EXIT_FAILED: "a build or a measurement failed, a file could not be written, or something unforeseen",
    130: "interrupted (Ctrl-C, SIGTERM or a closed terminal)",
}

# What is set by environment only; options of `slimner serve` with a variable of their own are read from the command.
VARIABLES = {
    "SLIMNER_CACHE": "the cache: artifacts, journals of interrupted runs, calibrations [default: .slimner]",
    "SLIMNER_DEBUG": "any value: `--debug` for every command",
    "SLIMNER_LOG_LEVEL": "log level of the server: debug, info, warning, error [default: info]",
    "SLIMNER_PORTABLE": "any value: `onnx-int8` is built with weights of seven bits, which no processor saturates; for "
    "an artifact that is deployed on other processors than this one",
    "SLIMNER_PRELOAD": "0: each worker of the server loads its own model, instead of sharing one [default: 1]",
    "SLIMNER_MEASURE_TOGETHER": "any value: a measurement does not wait while another slimner process measures",
    "SLIMNER_TOKEN": "the token itself, in place of `--token-file`",
    "NO_COLOR": "any value: no colour on the terminal",
    "GITHUB_OUTPUT": "file that `slimner gate --github` adds its outcome and exit code to; GitHub sets it",
    "MLFLOW_TRACKING_URI": "store for `slimner export --format mlflow` without `--out`",
    "GITHUB_STEP_SUMMARY": "file that `slimner gate --github` adds its summary to; GitHub sets it",
}

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


def pages() -> dict[str, str]:
    """Every generated page by its path below docs/reference."""
    written = {f"commands/{name}.md": command_page(name) for name in COMMANDS}
    written["commands/index.md"] = commands_index()
    written |= {
        "policy.md": policy_page(),
        "metrics.md": metrics_page(),
        "variants.md": variants_page(),
        "exit-codes.md": exit_codes_page(),
        "records.md": records_page(),
        "environment.md": environment_page(),
    }
    return {name: NOTICE + text.rstrip() + "\n" for name, text in sorted(written.items())}


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


def table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = (headings, [":--"] * len(headings), *lines)
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def command_page(name: str) -> str:
    """One command: how it is called, what it does, its options."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    parts = [f"# slimner {name}"]
    if isinstance(command, click.Group):
        parts += [prose(command), guide(name)]
        for sub in command.commands.values():
            parts += [f"## slimner {name} {sub.name}", *described(f"slimner {name} {sub.name}", sub)]
    else:
        parts += [*described(f"slimner {name}", command, name)]
    return "\n\n".join(part for part in parts if part)


def guide(name: str) -> str:
    """The link to the page of the guide that shows the command at work."""
    page = GUIDES.get(name, name)
    return f"At work: [{page}](../../guide/{page}.md). [Exit codes](../exit-codes.md)."


def described(call: str, command: click.Command, page: str = "") -> Iterator[str]:
    """Usage, help, and the options of a command; before the options the page of the guide."""
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    names = [argument.metavar or str(argument.name).upper() for argument in arguments]
    names = [text if one.required else f"[{text}]" for text, one in zip(names, arguments, strict=True)]
    names = [f"{text}..." if argument.nargs == -1 else text for text, argument in zip(names, arguments, strict=True)]
    yield "```\n" + " ".join((call, "[OPTIONS]", *names)) + "\n```"
    yield prose(command)
    if page:
        yield guide(page)
    shown = [parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden]
    if shown:
        yield table(("option", "default", "meaning"), map(option_row, shown))


def prose(command: click.Command) -> str:
    r"""The help text as Markdown: a paragraph that begins with \b is kept as it is."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        if paragraph.startswith("\b"):
            parts.append("```text\n" + paragraph.removeprefix("\b").strip("\n") + "\n```")
        else:
            parts.append(re.sub(r"(?<!`)\B(--[a-z][a-z0-9-]*)(?![^`]*`)", r"`\1`", " ".join(paragraph.split())))
    return "\n\n".join(parts)


def option_row(option: click.Option) -> tuple[str, str, str]:
    """An option's names and value, its default, and its help."""
    value = "" if option.is_flag else " " + value_of(option)
    names = ", ".join(f"`{name}{value}`" for name in (*option.opts, *option.secondary_opts))
    text = (option.help or "").strip()
    if option.required:
        return names, "required", text
    told = re.search(r"\s*\[default: ([^\]]*)\]", text)
    if told:
        return names, told[1], text.replace(told[0], "")
    default = option.to_info_dict()["default"]
    if option.is_flag:
        return names, "off" if not default else "on", text
    given = not option.multiple and isinstance(default, str | int | float | Path)
    return names, f"`{plain(default)}`" if given else "", text


def value_of(option: click.Option) -> str:
    """What stands for an option's value: its metavar, its choices, or its type."""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(str(choice) for choice in option.type.choices)
    if isinstance(option.type, click.types.IntParamType):
        return "N"
    if isinstance(option.type, click.types.FloatParamType):
        return "X"
    if isinstance(option.type, click.Path):
        return "PATH" if option.type.dir_okay else "FILE"
    return option.type.name.upper()


def plain(value: object) -> str:
    """A default as one types it: 900, not 900.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def commands_index() -> str:
    """All commands with what they are for."""
    lines = []
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        lines.append((f"[`slimner {name}`]({name}.md)", command.get_short_help_str(120)))
    return (
        "# Commands\n\n"
        + table(("command", "what it does"), lines)
        + "\n\nEvery command has `--help`. `slimner --version` prints the version."
    )


def _units(metric: Metric) -> str:
    units = WRITTEN[metric.unit]
    return "a size: `300MB`, `512Mi`" if units is SIZES else ", ".join(f"`{unit}`" for unit in units)


def metrics_page() -> str:
    """The table of metrics, core/metrics.py."""
    lines = [
        (
            f"`{metric.name}`",
            metric.unit,
            "higher" if metric.higher_is_better else "lower",
            metric.meaning,
            "by the policy" if metric.kind == "f1" else margin_text(metric, metric.margin),
            "yes" if metric.gated else "only if the policy gives its margin",
            ", ".join(f"`{alias}`" for alias in metric.aliases),
        )
        for metric in METRICS.values()
    ]
    columns = ", ".join(f"`{name}`" for name in csv_columns() if not name.endswith(("_low", "_high")))
    return (
        "# Metrics\n\nOne name each, in tables, JSON, JUnit, policies and messages. The margin is the change for "
        "the worse that a gate allows unless the policy gives another.\n\n"
        + table(("metric", "unit", "better", "meaning", "margin", "gated", "also read in a policy as"), lines)
        + "\n\n## Columns of table.csv\n\nTheir names stay; a new figure comes before `samples`. In order: "
        + f"{columns}. Each figure is followed by the ends of its 95 % interval, under its name with `_low` and "
        "`_high`. UTF-8, comma-separated, full digits, empty where there is no figure; `winner` is `yes` or `no`, "
        "`failed` says why. Text that a spreadsheet would calculate begins with an apostrophe."
    )


def policy_page() -> str:
    """Every key of a policy."""
    lines = [
        ("`f1_max_drop`", "`pp`", "most that F1 may drop; the interval of the change against the baseline decides")
    ]
    for metric in METRICS.values():
        word = "least" if metric.higher_is_better else "most"
        lines.append((f"`{metric.limit}`", _units(metric), f"{word} {metric.title}: {metric.meaning}"))
    goals = ", ".join(f"`{metric.name}`" for metric in METRICS.values() if metric.objective)
    default = Policy()
    return "\n\n".join(
        (
            "# Policy keys",
            "A policy is a TOML file; [the guide](../guide/policy.md) shows one. Figures are text with their unit. "
            "A key that is not listed here is refused.",
            "## [constraints]",
            table(("key", "units", "meaning"), lines),
            "## objective, [weights], tie, [margins]",
            table(
                ("key", "value", "meaning"),
                [
                    ("`objective`", goals, f"what the winner is best in; by default `{next(iter(default.objective))}`"),
                    (
                        "`[weights]`",
                        "metric = number above 0",
                        "a geometric mean, in place of `objective`",
                    ),
                    ("`tie`", "a share, as `2%`", f"within it the simpler variant wins; by default {default.tie:.0%}"),
                    (
                        "`[margins]`",
                        'metric = a share, as `3%` (`growth`: a size), or `"auto"`',
                        "how much worse a candidate may be in a gate; `auto` takes the margin of the "
                        "[metric](metrics.md)",
                    ),
                ],
            ),
            f"Metrics of `objective`, `[weights]` and `[margins]`: {goals}.",
        )
    )


def variants_page() -> str:
    """The built-in variants."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = []
    for name in project["entry-points"]["slimner.variants"]:
        variant = VARIANTS.get(name)
        needs = dict.fromkeys(need.partition(".")[0] for need in (*variant.run_needs, *variant.build_needs))
        runs = dict.fromkeys(need.partition(".")[0] for need in variant.run_needs)
        lines.append(
            (
                f"`{name}`",
                variant.backend,
                variant.precision,
                ", ".join(needs),
                ", ".join(runs),
                str(variant.complexity),
                variant.summary,
            )
        )
    headings = ("variant", "back end", "precision", "needs to build", "needs to run", "complexity", "what it is")
    return (
        "# Variants\n\nBuilt-in variants; `slimner variants` also lists those of installed plugins "
        "([how to write one](../guide/plugin.md)). Between variants that tie, the lower complexity wins.\n\n"
        + table(headings, lines)
    )


def exit_codes_page() -> str:
    """The exit codes and the tree of errors."""
    lines = [(str(code), meaning) for code, meaning in OUTCOMES.items()]
    tree = inspect.cleandoc(errors.__doc__ or "").split("\n\n", 1)[1].split("\n\nA message")[0]
    return (
        "# Exit codes\n\n"
        + table(("code", "meaning"), lines)
        + "\n\nThe codes are the same for every command. Problems with the output do not "
        "change them: a closed pipe (`slimner pick ... | head -1`) or a full disk leaves the "
        "verdict as it is.\n\n## Errors of the library\n\n```text\n" + tree + "\n```"
    )


def environment_page() -> str:
    """Every environment variable."""
    serve = cli.get_command(click.Context(cli), "serve")
    assert serve is not None
    variables = dict(VARIABLES)
    for parameter in serve.params:
        if isinstance(parameter.envvar, str):
            name = f"`{parameter.opts[0]}`" if isinstance(parameter, click.Option) else "the argument `BUNDLE`"
            variables[parameter.envvar] = f"{name} of [`slimner serve`](commands/serve.md)"
    lines = [(f"`{name}`", meaning) for name, meaning in sorted(variables.items())]
    return "# Environment variables\n\n" + table(("variable", "meaning"), lines)


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


def main() -> None:
    """Write every page and schema, and remove what is left of other pages; schemas of older versions stay."""
    written = pages() | schemas()  # before anything is removed: what cannot be generated leaves the old pages
    for path in REFERENCE.rglob("*.md"):
        if str(path.relative_to(REFERENCE)) not in BY_HAND:
            path.unlink()
    for name, text in written.items():
        path = REFERENCE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
