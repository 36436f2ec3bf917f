"""Workers of a Dask cluster that answer texts. Each gets the bundle once, when the work begins or when it joins.

A task depends on its texts alone, so Dask runs it again elsewhere when its worker dies; an answer is taken once.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from concurrent.futures import CancelledError
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from ...core.errors import ChildError, MissingDependencyError, SlimnerError, UserError
from ...core.install import install_hint
from ...serve.bundle import glance, open_served
from ...variants.artifacts import regular_files
from .answers import Answered, Failure, Question, together
from .facts import Facts, facts_here

CONNECT_S = 15.0
JOIN_S = 60.0
"""Longest wait for the first worker, and for another when none is left."""

COUNT_EVERY_S = 5.0
ATTEMPTS = 3
DIED = "not answered: the workers that took it died one after another: they crashed, or memory ran out"

_decode = msgspec.msgpack.Decoder(Answered).decode


def connect(address: str) -> tuple[Any, Any]:
    """Dask distributed, and a client of its scheduler at an address; UserError if it is not installed or not there."""
    try:
        import distributed
    except ImportError:
        raise MissingDependencyError(
            "--scheduler needs Dask distributed, not installed here", install_hint("cluster")
        ) from None
    _require_certificates(distributed, address)
    try:
        return distributed, distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise UserError(
            f"no scheduler answers at {address}: {error or type(error).__name__}",
            "start one with: dask scheduler; docs/guide/cluster.md shows how",
        ) from None


def _require_certificates(dask: Any, address: str) -> None:
    """UserError if an address needs certificates, and Dask's configuration names none that can be read."""
    if not address.startswith("tls://"):
        return
    remedy = "give Dask the files of ca, cert and key as docs/guide/cluster.md shows"
    try:
        found = dask.Security().get_connection_args("client")["ssl_context"]
    except OSError as error:  # an ssl.SSLError is one
        raise UserError(f"the certificates for {address} cannot be read: {error}", remedy) from None
    if found is None:
        raise UserError(f"{address} needs certificates, and Dask's configuration names none", remedy)


class Cluster:
    """The workers of a scheduler, of which each has to be of the same kind: the same libraries and instruction set."""

    most_texts, most_characters = 512, 65_536
    """Of a question: so that the scheduler's part in it, about a millisecond, costs nothing."""

    def __init__(self, directory: Path, address: str, workers: int | None = None) -> None:
        self._dask, self._client = connect(address)
        self._directory = directory
        self._name = f"slimner-{secrets.token_hex(8)}"
        self._asked = 0
        self._counted_at, self._counted = 0.0, 1
        self.notes: list[str] = []
        try:
            self.facts = self._wait_for(workers or 1)
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> Cluster:
        from .cluster_worker import Carrier

        served = open_served(self._directory)  # what is sent is whole
        _, threads = glance(self._directory)
        files = {name: (self._directory / name).read_bytes() for name in regular_files(self._directory)}
        here = facts_here()
        if here.instructions != self.facts.instructions:
            self.notes.append(f"the workers have {self.facts.instructions}, this machine has {here.instructions}")
        if served.manifest.instructions != self.facts.instructions:
            self.notes.append(
                f"built for {served.manifest.instructions}, the workers have {self.facts.instructions}: "
                "answers and speed may differ"
            )
        carrier = Carrier(files, threads, self.facts)
        for left in reversed(range(ATTEMPTS)):
            try:
                self._client.register_plugin(carrier, name=self._name)
                break
            except SlimnerError:
                raise
            except Exception as error:
                if not (left and isinstance(error, OSError)):  # a worker died meanwhile
                    raise ChildError(
                        f"a worker could not open the model: {type(error).__name__}: {error}",
                        "raised",
                        remedy="see the worker's log",
                    ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception):  # the scheduler may be gone, and forgets what was asked by itself
            self._client.unregister_worker_plugin(self._name)
        self.close()

    def close(self) -> None:
        """Leave the cluster."""
        self._client.close(timeout=CONNECT_S)

    @property
    def workers(self) -> int:
        """How many texts can be answered at a time; 0 when all workers are gone."""
        if time.monotonic() - self._counted_at > COUNT_EVERY_S:
            self._counted_at, self._counted = time.monotonic(), sum(self._client.nthreads().values())
        return self._counted

    def submit(self, question: Question) -> Asked:
        """Ask; the answer comes."""
        from .cluster_worker import answer_on_worker

        self._asked += 1
        future = self._client.submit(
            answer_on_worker,
            self._name,
            msgspec.msgpack.encode(question),
            key=f"{self._name}-{self._asked}",
            pure=False,
        )
        return Asked(self, question, future)

    def answer(self, question: Question, future: Any) -> Answered:
        """Wait for the answer to a question. If it ends its workers, its texts are asked one by one."""
        dask = self._dask
        alone_since: float | None = None
        while True:
            try:
                return _decode(future.result(timeout=COUNT_EVERY_S))
            except dask.TimeoutError:
                alone_since = None if self.workers else alone_since or time.monotonic()
                if alone_since and time.monotonic() - alone_since > JOIN_S:
                    raise ChildError(
                        "no worker is left", "killed", remedy="start workers, then run the same command again"
                    ) from None
            except dask.KilledWorker:
                if len(question.texts) > 1:
                    return together([part.result() for part in [self.submit(part) for part in question.parts()]])
                return Answered(b"", 0, 0, [Failure(question.numbers[0], DIED, question.texts[0])])
            except (CancelledError, OSError, dask.client.FutureCancelledError) as error:
                raise ChildError(
                    f"the scheduler is gone: {type(error).__name__}: {error}",
                    "killed",
                    remedy="start it again, then run the same command: it continues where it stopped",
                ) from None

    def _wait_for(self, workers: int) -> Facts:
        """The facts of all workers, once enough have joined."""
        try:
            self._client.wait_for_workers(workers, timeout=JOIN_S)
        except self._dask.TimeoutError:
            raise UserError(
                f"fewer than {workers} worker{'s' if workers > 1 else ''} joined the scheduler within {JOIN_S:.0f} s",
                "start them with: dask worker ADDRESS --nworkers auto --nthreads 1",
            ) from None
        kinds: dict[Facts, str] = {}
        while not kinds:
            for address, told in self._client.run(facts_here, on_error="return").items():
                if isinstance(told, Facts):
                    kinds[told] = address
                elif not isinstance(told, OSError):  # which a worker gives that died meanwhile
                    raise UserError(
                        f"the worker {address} does not run slimner: {type(told).__name__}: {told}",
                        "install the same slimner in the environment of each worker",
                    )
        if len(kinds) > 1:
            (one, first), (other, second) = list(kinds.items())[:2]
            raise UserError(
                f"the workers are of several kinds: {first} has {one.different(other)}, {second} has "
                f"{other.different(one)}",
                "answers may depend on that: use workers of one kind",
            )
        return next(iter(kinds))


class Asked:
    """An answer that comes."""

    def __init__(self, cluster: Cluster, question: Question, future: Any) -> None:
        self._cluster, self._question, self._future = cluster, question, future

    def result(self) -> Answered:
        """Wait for it."""
        return self._cluster.answer(self._question, self._future)
