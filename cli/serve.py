"""`slimner serve`: a bundle over HTTP."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .. import zoo
from ..core.memory import without_thread_caches
from ..serve.bundle import glance
from ..serve.doors import check_token, local
from ..serve.settings import AUTO, MOST_WORKERS, from_environment, plan, python_options
from . import options, printing

APPLICATION = "slimner.serve.app:create_app()"
CONFIGURATION = "python:slimner.serve.gunicorn_conf"


class AutoOr(click.IntRange):
    """A number, or `auto`."""

    name = "auto|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value == AUTO else super().convert(value, param, ctx)


@click.command(short_help="Serve a bundle over HTTP, with a REST API and a web page.")
@click.argument("bundle", required=False, envvar="SLIMNER_BUNDLE", type=click.Path(path_type=Path))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    envvar="SLIMNER_HOST",
    help="Address to listen on; with 0.0.0.0, for every network, set a token too.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    envvar="SLIMNER_PORT_NUMBER",
    help="Port.",
)
@click.option(
    "--workers",
    type=AutoOr(1, MOST_WORKERS),
    default=AUTO,
    show_default=True,
    envvar="SLIMNER_WORKERS",
    help="Worker processes; auto takes one for each core, as many as fit in memory.",
)
@click.option(
    "--threads",
    type=AutoOr(1),
    default=AUTO,
    show_default=True,
    envvar="SLIMNER_THREADS",
    help="Inference threads in each worker; auto takes the number that was benchmarked.",
)
@click.option(
    "--limit-memory",
    type=options.SIZE,
    default=None,
    envvar="SLIMNER_LIMIT_MEMORY",
    metavar="SIZE",
    help="Memory to plan workers for (512MB, 2Gi), instead of that of the machine or its cgroup.",
)
@click.option(
    "--queue",
    type=click.IntRange(0, 1000),
    default=16,
    show_default=True,
    envvar="SLIMNER_QUEUE",
    help="Requests that may wait in each worker, with eight times as many texts; more are refused with 503.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    envvar="SLIMNER_DEADLINE",
    metavar="SECONDS",
    help="Longest time for a request, including waiting; then the answer is 504.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    envvar="SLIMNER_TOKEN_FILE",
    help="File with a token that requests must send (Authorization: Bearer ...); or set SLIMNER_TOKEN.",
)
@click.option(
    "--access-log",
    is_flag=True,
    envvar="SLIMNER_ACCESS_LOG",
    help="Write a line of JSON for each request to standard output, with its id and without its text.",
)
@click.option(
    "--allow-host",
    multiple=True,
    envvar="SLIMNER_ALLOW_HOST",
    metavar="NAME",
    help="Host name to accept, besides addresses and names without a dot: ner.example.org, or "
    ".example.org for all names below it. May be given several times.",
)
@click.option(
    "--allow-origin",
    multiple=True,
    envvar="SLIMNER_ALLOW_ORIGIN",
    metavar="ORIGIN",
    help="Site whose pages may use the server from a browser (CORS): https://example.org. May be given several times.",
)
@click.option(
    "--proxy",
    multiple=True,
    envvar="SLIMNER_PROXY",
    metavar="ADDRESS",
    help="Address or network of a proxy whose X-Forwarded-For, -Proto, -Host and -Prefix are trusted. May be given "
    "several times.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error, and log each step.")
def serve(bundle: Path | None, debug: bool, **given: Any) -> None:
    """Serve BUNDLE (made by `slimner bundle`; an artifact works too), or the embedded Chinese model, over HTTP.

    Every option can be set by its environment variable, SLIMNER_ and its name in capitals (SLIMNER_PORT_NUMBER for the
    port, since Kubernetes sets SLIMNER_PORT itself). Ctrl-C or SIGTERM end it when the requests under way are answered.

    \b
    slimner serve
    slimner serve my-bundle --workers 2 --limit-memory 512MB
    curl -H 'Content-Type: application/json' -d '{"text": "法国总统马克龙"}' http://127.0.0.1:7860/v1/ner
    """
    environment = {**os.environ, **as_environment({"bundle": bundle or zoo.bundle(), **given})}
    if debug:
        environment["SLIMNER_LOG_LEVEL"] = "debug"
    environment = without_thread_caches(environment)
    settings = from_environment(environment)
    manifest, benchmarked = glance(settings.bundle)  # hashed by the server, in the copy that it opens
    planned = plan(settings, manifest.size_bytes, benchmarked)
    console = printing.err_console()
    console.print(
        f"{manifest.variant} of {manifest.checkpoint.name} at http://{settings.bind} · "
        f"{planned.workers} worker{'s' if planned.workers > 1 else ''}, "
        f"{planned.threads} thread{'s' if planned.threads > 1 else ''} each",
        markup=False,
        soft_wrap=True,
    )
    printing.warn_of_other_instructions(manifest)
    short = check_token(settings.token, settings.host)
    for note in (*planned.notes, *([short] if short else [])):
        console.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
    if not settings.token and not local(settings.host):
        console.print(
            "note: anyone who reaches this address can use the server; set a token (--token-file)",
            style="yellow",
            markup=False,
        )
    sys.stderr.flush()
    _hide_token(environment)
    command = [
        sys.executable,
        "-P",
        *python_options(manifest.variant),
        "-m",
        "gunicorn",
        "-c",
        CONFIGURATION,
        APPLICATION,
    ]
    os.execve(sys.executable, command, environment)  # the memory of the command line goes with it


def as_environment(given: Mapping[str, Any]) -> dict[str, str]:
    """The arguments of the command as the variables that `serve.settings` reads, those without a value left out."""
    found: dict[str, str] = {}
    for parameter in serve.params:
        value = given.get(str(parameter.name))
        if not isinstance(parameter.envvar, str) or value is None or value is False:
            continue
        if value is True:
            text = "1"
        elif isinstance(value, tuple):
            text = " ".join(value)
        else:
            text = f"{value}B" if parameter.type is options.SIZE else str(value)
        found[parameter.envvar] = text
    return found


def _hide_token(environment: dict[str, str]) -> None:
    """Move a token from the environment into a file without a name, because others may read a process's environment."""
    if token := environment.pop("SLIMNER_TOKEN", ""):
        file = os.memfd_create("token", 0)
        os.write(file, token.encode())
        environment.setdefault("SLIMNER_TOKEN_FILE", f"/dev/fd/{file}")
