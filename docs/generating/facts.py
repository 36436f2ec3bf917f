"""Pages of metrics, policy keys, variants, exit codes and environment variables."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path

import click
from slimner.cli.commands import cli
from slimner.core import errors
from slimner.core.metrics import METRICS, WRITTEN, Metric
from slimner.core.units import SIZES
from slimner.reports import Policy
from slimner.reports.tables import csv_columns
from slimner.reports.verdicts import margin_text
from slimner.variants import VARIANTS

from .markdown import table

PROJECT = Path(__file__).parents[2] / "pyproject.toml"

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
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
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
