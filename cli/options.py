"""Options that mean the same in every command."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ..core.errors import UserError
from ..core.outside import read_text
from ..core.records import Measuring
from ..core.units import SECONDS, SIZES, quantity
from ..eval import CorpusSource
from ..eval.corpora import FORMATS, UNSAID
from ..reports import Policy, read_policy
from ..variants import LoadOptions
from ..variants.exporting import EXPORTERS
from ..variants.exporting import exporter as find_exporter
from ..variants.schemes import SCHEMES
from ..variants.variant import DEFAULT_EXPORTER


class Quantity(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on, not before
    """A figure with its unit, converted to the base unit."""

    def __init__(self, name: str, units: Mapping[str, float], example: str, *, whole: bool = False) -> None:
        self.name = name
        self.whole = whole
        self.units = units
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return value
        try:
            found = quantity(str(value), self.units)
        except ValueError:
            found = 0.0
        if not found:
            self.fail(f"'{value}' is not a {self.name}; write it as {self.example}", param, ctx)
        return int(found) if self.whole else found


SIZE = Quantity("size", {name: factor for name, factor in SIZES.items() if name != "b"}, "512MB or 2Gi", whole=True)
DURATION = Quantity("time", SECONDS, "300s or 5min")

workload = click.option(
    "--workload",
    default=None,
    metavar="FILE",
    help="Texts to measure on, one a line, with the lengths you expect in use. [default: those of the last run of the "
    "same checkpoint; the embedded ones for the embedded model]",
)
_threads = click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Threads of each measured process, the same for every variant.",
)
_seed = click.option(
    "--seed", type=int, default=1, show_default=True, help="Seed of resampling, of a sample and of text order."
)
_timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=7 * 24 * 3600),
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time for one build, one evaluation or one measured process.",
)
repetitions = click.option(
    "--repetitions",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Timed processes for each variant, besides the one that is sampled for memory.",
)
_samples = click.option(
    "--samples",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Texts timed in each process; a percentile is printed when ten samples lie beyond it.",
)
_warmup = click.option(
    "--warmup",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Texts of a warm-up pass; passes are repeated until they get no faster.",
)
policy = click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE",
    help="What you demand, in TOML. [default: F1 may drop 0.5 pp, least memory]",
)
variant = click.option(
    "--variant",
    default=None,
    metavar="NAME",
    help="Variant to take from a results file, or to build from a checkpoint.",
)
exporter = click.option(
    "--exporter",
    default=DEFAULT_EXPORTER,
    show_default=True,
    metavar="NAME",
    callback=lambda context, parameter, value: find_exporter(value).name,
    help=f"What writes the graph of ONNX variants: {', '.join(EXPORTERS)}.",
)
budget = click.option(
    "--budget",
    type=DURATION,
    default="300s",
    show_default=True,
    metavar="TIME",
    help="Longest time for measuring pairs (90s, 5min); ends earlier once every metric has a verdict.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print the record as JSON and nothing else on stdout.")
_debug = click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
_pair_samples = click.option(
    "--samples",
    type=click.IntRange(67),
    default=100,
    show_default=True,
    help="Texts timed in each process of a pair; p95 needs at least 67.",
)


def debug(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--debug`, which `main` reads; it is not passed to the command."""
    return _debug(command)


def output(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` and `--debug`; the command gets `as_json`."""
    return _as_json(_debug(command))


def _measured_with(*decorators: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a measured process in one decorator; the command gets them as `settings`, a record."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def measured(*, threads: int, seed: int, timeout: float, samples: int = 0, warmup: int = 0, **rest: Any) -> Any:
            settings = Measuring(threads=threads, samples=samples, warmup=warmup, timeout_s=timeout, seed=seed)
            return command(settings=settings, **rest)

        for option in reversed(decorators):
            measured = option(measured)
        return measured

    return decorate


running = _measured_with(_threads, _timeout, _seed)
measuring = _measured_with(_threads, _samples, _warmup, _seed, _timeout)
pairing = _measured_with(_threads, _pair_samples, _warmup, _seed, _timeout)


seed, timeout = _seed, _timeout


def checkpoint(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument CHECKPOINT and the options on how to read it; the command gets `checkpoint` and `load`."""

    @functools.wraps(command)
    def wrapped(*, labels: str | None, scheme: str | None, allow_pickle: bool, **rest: Any) -> Any:
        load = LoadOptions(labels=_tags(labels) if labels else None, scheme=scheme, allow_pickle=allow_pickle)
        return command(load=load, **rest)

    for decorate in (
        click.option(
            "--allow-pickle",
            is_flag=True,
            help="Read a checkpoint whose weights are pickled (as weights only: no code in it is run).",
        ),
        click.option(
            "--scheme",
            type=click.Choice(SCHEMES),
            default=None,
            help="Scheme of the model's tags. [default: found from the tags; IOB2 where they could also be IOB1]",
        ),
        click.option(
            "--labels",
            default=None,
            metavar="O,B-PER,...|FILE",
            help="The model's tags in the order of its outputs, if the checkpoint does not name them (LABEL_0, ...).",
        ),
        click.argument("checkpoint", default="news-zh"),
    ):
        wrapped = decorate(wrapped)
    return wrapped


def _tags(value: str) -> tuple[str, ...]:
    if Path(value).is_file():
        return tuple(line.strip() for line in read_text(Path(value)).splitlines() if line.strip())
    if "," not in value:
        raise UserError(f"--labels: no file '{value}'", "give the tags with commas, or a file with one a line")
    return tuple(tag.strip() for tag in value.split(","))


_READING = (
    click.option(
        "--format",
        "corpus_format",
        type=click.Choice(FORMATS),
        default=None,
        help="Format of the corpus. [default: recognised from its content]",
    ),
    click.option(
        "--columns",
        "corpus_columns",
        default=None,
        metavar="token=N,tag=N",
        help="Columns of a column file, counted from 1. [default: found from their content]",
    ),
    click.option(
        "--encoding",
        "corpus_encoding",
        default=None,
        metavar="NAME",
        help="Encoding of the corpus (big5, euc-jp, cp1252, ...). [default: UTF-8, UTF-16, or Chinese in GB18030]",
    ),
    click.option(
        "--map",
        "corpus_map",
        multiple=True,
        metavar="OLD=NEW",
        help="Rename an entity type, in the corpus and in answers alike; may be given again.",
    ),
    click.option(
        "--drop",
        "corpus_drop",
        multiple=True,
        metavar="TYPE",
        help="Leave an entity type out, in the corpus and in answers alike; may be given again.",
    ),
    click.option(
        "--sample",
        "corpus_sample",
        type=click.IntRange(1),
        default=None,
        metavar="N",
        help="Take N sentences of the corpus, stratified by type, drawn with --seed. [default: all]",
    ),
    click.option(
        "--strict",
        "corpus_strict",
        is_flag=True,
        help="Refuse a corpus with defects, instead of repairing them by rule.",
    ),
)


def corpus_reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """How a corpus is read: the command gets its `corpus`, a name, as a CorpusSource, and `seed` separately."""

    @functools.wraps(command)
    def with_source(
        *,
        corpus: str,
        corpus_format: str | None,
        corpus_columns: str | None,
        corpus_encoding: str | None,
        corpus_map: tuple[str, ...],
        corpus_drop: tuple[str, ...],
        corpus_sample: int | None,
        corpus_strict: bool,
        seed: int,
        **others: Any,
    ) -> Any:
        source = CorpusSource(
            name=corpus,
            format=corpus_format,
            columns=_columns(corpus_columns) if corpus_columns else {},
            encoding=corpus_encoding,
            map=_renamings(corpus_map),
            drop=corpus_drop,
            sample=corpus_sample,
            seed=seed,
            strict=corpus_strict,
        )
        return command(corpus=source, seed=seed, **others)

    for option in reversed(_READING):
        with_source = option(with_source)
    return with_source


def corpus(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--corpus` and how it is read; the command gets a CorpusSource as `corpus`."""
    option = click.option(
        "--corpus",
        default=UNSAID,
        metavar="FILE",
        help="Labelled sentences: CoNLL columns, JSON with spans, a dataset; docs/reference/corpus-formats.md has all "
        "formats. [default: those of the last run of the same checkpoint; the embedded ones for the embedded model]",
    )
    return option(corpus_reading(command))


def _renamings(names: Sequence[str]) -> dict[str, str]:
    pairs = [name.partition("=") for name in names]
    for old, equals, new in pairs:
        if not (old and equals and new):
            raise click.BadParameter(f"'{old}{equals}{new}' is not OLD=NEW", param_hint="--map")
    return {old: new for old, _, new in pairs}


def _columns(value: str) -> dict[str, int]:
    found = re.findall(r"(token|tag)=([1-9]\d{0,3})(?:,|$)", value)
    if not found or ",".join("=".join(pair) for pair in found) != value or len(dict(found)) != len(found):
        raise click.BadParameter(f"'{value}' is not token=N,tag=N with columns counted from 1", param_hint="--columns")
    return {name: int(number) for name, number in found}


def policy_of(file: Path | None) -> Policy | None:
    """The policy of a file, None without one."""
    return read_policy(file) if file else None
