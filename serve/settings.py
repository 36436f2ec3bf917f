"""The server's settings from its environment, and the number of workers that follows."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from .. import zoo
from ..core.errors import UserError
from ..core.machine import describe
from ..core.outside import read_text
from ..core.records import Machine
from ..core.units import parse_size
from ..variants import VARIANTS
from . import doors

AUTO = "auto"
OFF = ("0", "no", "false", "off")
MOST_WORKERS = 64

# What the processes cost, summed (PSS), beside the model's files; docs/evidence/serving.md has the measured figures.
BASE_BYTES = 70_000_000
WORKER_BYTES = 14_000_000
WORKER_SHARE = 0.5
"""Buffers of inference while the longest window goes through, as a share of the model: they grow with its width."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The environment of a server, `SLIMNER_` and the name in capitals; None where the server decides.

    The port is SLIMNER_PORT_NUMBER: a cluster with a Service named slimner sets SLIMNER_PORT=tcp://10.0.0.1:80.
    """

    bundle: Path
    host: str = "127.0.0.1"
    port: int = 7860
    workers: int | None = None
    threads: int | None = None
    limit_memory: int | None = None
    preload: bool = True
    queue: int = 16
    deadline: float = 60.0
    token: str = ""
    access_log: bool = False
    allow_host: tuple[str, ...] = ()
    allow_origin: tuple[str, ...] = ()
    proxy: tuple[doors.Network, ...] = ()

    @property
    def bind(self) -> str:
        """Host and port as Gunicorn takes them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings; UserError names a variable with a wrong value."""

    def read(name: str) -> str:
        return environ.get(f"SLIMNER_{name}", "").strip()

    def number(name: str, default: int | None, low: int, high: int) -> int | None:
        text = read(name)
        if not text or text == AUTO:
            return default
        if not text.isdecimal() or not low <= int(text) <= high:
            raise UserError(
                f"SLIMNER_{name}: '{text}' is not a number from {low} to {high}", f"set it to {default or AUTO}"
            )
        return int(text)

    def several(name: str, parse: Callable[[str], tuple[Any, ...]]) -> tuple[Any, ...]:
        try:
            return parse(read(name))
        except ValueError as error:
            raise UserError(f"SLIMNER_{name}: {error}", "see slimner serve --help") from None

    default = Settings(bundle=zoo.bundle())
    if read("PORT").isdecimal():  # what a cluster sets is an address
        raise UserError("SLIMNER_PORT is not read", f"set SLIMNER_PORT_NUMBER={read('PORT')}, or use --port")
    try:
        limit = parse_size(read("LIMIT_MEMORY")) if read("LIMIT_MEMORY") else None
    except ValueError as error:
        raise UserError(f"SLIMNER_LIMIT_MEMORY: {error}") from None
    try:
        deadline = float(read("DEADLINE") or default.deadline)
    except ValueError:
        deadline = math.nan
    if not 0 < deadline < math.inf:
        raise UserError(
            f"SLIMNER_DEADLINE: '{read('DEADLINE')}' is not a number of seconds", f"set it to {default.deadline:g}"
        )
    host, token = read("HOST") or default.host, _token(environ)
    doors.check_token(token, host)
    return Settings(
        bundle=Path(read("BUNDLE")) if read("BUNDLE") else default.bundle,
        host=host,
        port=number("PORT_NUMBER", default.port, 0, 65535) or 0,
        workers=number("WORKERS", None, 1, MOST_WORKERS),
        threads=number("THREADS", None, 1, 1024),
        limit_memory=limit,
        preload=read("PRELOAD").lower() not in OFF,
        queue=number("QUEUE", default.queue, 0, 1000) or 0,
        deadline=deadline,
        access_log=read("ACCESS_LOG").lower() not in ("", *OFF),
        token=token,
        allow_host=several("ALLOW_HOST", doors.hosts),
        allow_origin=several("ALLOW_ORIGIN", doors.origins),
        proxy=several("PROXY", doors.networks),
    )


def _token(environ: Mapping[str, str]) -> str:
    """The token; UserError if a variable is set but empty, which would open the server unnoticed."""
    for name in ("SLIMNER_TOKEN_FILE", "SLIMNER_TOKEN"):
        if name in environ and not environ[name].strip():
            raise UserError(f"{name} is set, but empty", "set it to the token, or unset it to require none")
    file = environ.get("SLIMNER_TOKEN_FILE", "").strip()
    if not file:
        return environ.get("SLIMNER_TOKEN", "").strip()
    token = read_text(Path(file), remedy="SLIMNER_TOKEN_FILE has to name a file with the token in it").strip()
    if not token:
        raise UserError(f"SLIMNER_TOKEN_FILE: {file} is empty", "write the token into it")
    return token


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Workers, threads of inference in each, whether the model is loaded before they are forked, and why."""

    workers: int
    threads: int
    preload: bool
    notes: tuple[str, ...] = ()


def plan(settings: Settings, model_bytes: int, threads: int, machine: Machine | None = None) -> Plan:
    """One worker a core (or as many as `threads`, the benchmarked number, leaves room for) that fit into the memory."""
    machine = machine or describe()
    notes: list[str] = []
    cores = min(machine.cores, math.ceil(machine.cpu_quota_cores or machine.cores))
    limits = (settings.limit_memory, machine.memory_limit_bytes, machine.memory_bytes)
    memory = min(limit for limit in limits if limit)
    chosen = settings.threads or threads
    workers = settings.workers or max(1, min(cores // chosen, MOST_WORKERS))
    preload = settings.preload
    if preload and chosen > 1:
        preload = False
        notes.append("the model is loaded in each worker: threads of inference do not survive a fork")
    each = WORKER_BYTES + WORKER_SHARE * model_bytes + (0 if preload else model_bytes)
    base = BASE_BYTES + (model_bytes if preload else 0)
    fit = max(0, int((memory - base) / each))
    if workers > fit and settings.workers is None:
        workers = max(1, fit)
        notes.append(f"{workers} worker{'s' if workers > 1 else ''}: no more fit into {memory / 1e6:.0f} MB")
    if fit < 1 or (settings.workers and settings.workers > fit):
        notes.append(
            f"{workers} worker{'s' if workers > 1 else ''} may need {(base + workers * each) / 1e6:.0f} MB, "
            f"more than the {memory / 1e6:.0f} MB there are"
        )
    return Plan(workers=workers, threads=chosen, preload=preload, notes=tuple(notes))


def python_options(variant: str) -> tuple[str, ...]:
    """Options of the Python that serves a variant: no docstrings (3 MB in a server), unless a back end reads them."""
    return ("-OO",) if set(VARIANTS.get(variant).run_needs) <= {"onnxruntime"} else ()
