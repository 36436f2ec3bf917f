"""`slimner load`: how a server, or a predictor in this process, behaves under load."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from ..bench.load import Load, check_url, expected_answers, run_closed, run_open, search_peak
from ..core.errors import EXIT_FAILED, EXIT_PASS, UserError
from ..core.load_records import LoadRecord, LoadReport
from ..core.locks import measuring_alone
from ..core.machine import describe
from ..jobs.defaults import workload_for
from ..jobs.inputs import artifact_in, require
from ..reports.load import load_notes, sections
from . import options, printing
from .progress import Steps


@click.command(short_help="Put load on a server or an artifact: closed loop, open loop, peak rate.")
@click.argument("target")
@options.workload
@click.option(
    "--clients", type=click.IntRange(1, 500), default=5, show_default=True, help="Clients of the closed loop."
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    metavar="PER_S",
    help="Open loop instead: send this many requests a second, without waiting for answers.",
)
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="Gaps of the open loop: random, as from many users, or even.",
)
@click.option(
    "--until-p95",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    metavar="MS",
    help="Search for the highest rate whose p95 stays within this many ms, and hold it for 30 s.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    default=10.0,
    show_default=True,
    help="Length of a loop.",
)
@click.option(
    "--requests", type=click.IntRange(1, 1_000_000), default=100_000, show_default=True, help="Most requests of a loop."
)
@click.option(
    "--artifact",
    type=click.Path(path_type=Path),
    default=None,
    help="Artifact whose answers count as right. [default for a URL: the first answer to each text]",
)
@click.option(
    "--body",
    default='{"text": {text}}',
    show_default=True,
    metavar="JSON",
    help="Body of a request; {text} becomes the text as a JSON string.",
)
@click.option(
    "--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header for every request; may be given again."
)
@options.seed
@options.timeout
@options.output
def load(
    target: str,
    workload: str | None,
    clients: int,
    rate: float | None,
    arrivals: str,
    until_p95: float | None,
    seconds: float,
    requests: int,
    artifact: Path | None,
    body: str,
    headers: tuple[str, ...],
    seed: int,
    timeout: float,
    as_json: bool,
) -> int:
    """Put load on TARGET: the URL of a server, or an artifact, whose predictor is called from one thread for each core.

    The default is a closed loop of five clients. Every answer is compared. Errors, wrong answers and a generator that
    could not keep up end with exit code 4.

    \b
    slimner load http://127.0.0.1:7860/v1/ner --artifact my-artifact
    slimner load http://127.0.0.1:7860/v1/ner --workload texts.txt --until-p95 120
    slimner load my-artifact --rate 20
    """
    if rate is not None and until_p95 is not None:
        raise UserError("--rate and --until-p95 exclude each other", "give one of them")
    fields = tuple(_header(header) for header in headers)
    if "{text}" not in body:
        raise UserError(f"--body '{body}' has no {{text}}", 'write it where the text belongs, as in {"text": {text}}')
    require("httptools", "psutil", extra="load")
    remote = target.startswith(("http://", "https://"))
    judge = artifact
    if remote:
        check_url(target)
    else:
        judge = artifact or Path(target)
    expected = None
    models = []
    if judge is not None:
        opened = artifact_in(judge)
        judge, models = opened.path, [opened.manifest.checkpoint]
    workload = workload_for(workload, *models, progress=Steps()).source
    if judge is not None:
        with printing.err_console().status("asking the offline predictor"):
            expected = expected_answers(judge, workload, timeout_s=timeout)
    plan = Load(
        target=target if remote or artifact is not None else str(judge),
        workload=workload,
        body=body,
        headers=fields,
        expected=expected,
        threads=len(os.sched_getaffinity(0)),
        most=requests,
        seed=seed,
        timeout_s=timeout,
    )
    runs: list[LoadRecord] = []
    peak: LoadRecord | None = None
    with measuring_alone(printing.remark), printing.err_console().status("loading") as status:

        def tell(run: LoadRecord) -> None:
            p95 = run.latency_ms(95)
            shown = f"p95 {p95:.1f} ms" if p95 is not None else "too few for a p95"
            printing.err_console().print(
                f"{run.rate_per_s:.1f} per s: {shown}{', ' + run.invalid[0] if run.invalid else ''}", markup=False
            )

        if rate is not None:
            status.update(f"{rate:g} requests a second for {seconds:g} s")
            runs.append(run_open(plan, rate=rate, seconds=seconds, poisson=arrivals == "poisson"))
        else:
            status.update(f"{clients} clients for {seconds:g} s")
            runs.append(run_closed(plan, clients=clients, seconds=seconds))
        if until_p95 is not None and runs[0].answered:
            status.update(f"searching the rate that keeps p95 within {until_p95:g} ms")
            searched, peak = search_peak(plan, until_p95, first=max(0.5, runs[0].per_s / 2), on_run=tell)
            runs += searched
    report = LoadReport(
        target=target,
        machine=describe(),
        checked="the offline predictor's" if expected is not None else "the first answer to each text",
        runs=tuple(runs),
        limit_p95_ms=until_p95,
        peak=peak,
    )
    report = msgspec.structs.replace(report, notes=tuple(load_notes(report)))
    if as_json:
        printing.print_json(report)
    else:
        printing.print_sections(sections(report), report.notes)
    counted = [runs[0], *([peak] if peak else [])]
    lost = until_p95 is not None and peak is None
    failed = lost or any(run.failed or run.invalid or not run.answered for run in counted)
    return EXIT_FAILED if failed else EXIT_PASS


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not (text.isprintable() and text.isascii()):
        raise UserError(f"--header '{text}' is not a header", "write NAME:VALUE")
    return name.strip(), value.strip()
