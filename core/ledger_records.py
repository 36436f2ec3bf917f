"""Immutable results of the memory ledger: what each stage, dependency and worker costs, and what it takes at least."""

from __future__ import annotations

from .records import Machine, MeasurementRecord, Note, Record


class Dependency(Record, frozen=True, kw_only=True):
    """One imported distribution.

    `added_bytes` is resident memory that its own imports added, in the order the program imports, without what they
    imported from others; `alone_bytes` what importing it into a fresh interpreter adds, with all it needs. `used` says
    whether anything of it was called after the imports; None if nothing at all was.
    """

    name: str
    version: str | None
    modules: tuple[str, ...]
    added_bytes: int
    alone_bytes: int | None
    disk_bytes: int | None
    used: bool | None


class ImportLedger(Record, frozen=True, kw_only=True):
    """Resident memory (RSS) of one program: interpreter, imports by distribution, and the rest, which is its work."""

    command: tuple[str, ...]
    python: str
    interpreter_bytes: int
    dependencies: tuple[Dependency, ...]
    final_bytes: int

    @property
    def rest_bytes(self) -> int:
        """Memory of the program itself: what neither the interpreter nor an import explains."""
        return self.final_bytes - self.interpreter_bytes - sum(d.added_bytes for d in self.dependencies)


class Processes(Record, frozen=True, kw_only=True):
    """Memory of a master and its workers.

    `memory_bytes` is what they take as if they were alone on the machine: a page that several of them map counts once,
    whoever else maps it; None in older records, and where the kernel does not tell. PSS is less beside other processes
    of the same files. RSS, summed, counts a shared page once for each.
    """

    processes: int
    pss_bytes: int
    rss_bytes: int
    master_pss_bytes: int
    own_bytes: int
    """Mean USS of a worker: the cost of one more."""
    memory_bytes: int | None = None

    @property
    def memory_or_pss_bytes(self) -> int:
        """The memory, PSS where it is not known."""
        return self.pss_bytes if self.memory_bytes is None else self.memory_bytes


class ServerPoint(Record, frozen=True, kw_only=True):
    """A server with a number of workers, before and after `requests` requests of five clients."""

    workers: int
    preload: bool
    before: Processes
    after: Processes
    requests: int
    errors: int
    wrong: int
    per_s: float
    p50_ms: float | None
    p95_ms: float | None

    @property
    def added_bytes(self) -> int:
        """Memory that the requests added."""
        return self.after.memory_or_pss_bytes - self.before.memory_or_pss_bytes


class Trial(Record, frozen=True, kw_only=True):
    """One start under a limit: whether everything was answered, and if not, why."""

    limit_bytes: int
    passed: bool
    seconds: float
    reason: str = ""


class Minimum(Record, frozen=True, kw_only=True):
    """The least limit under which a program answered everything as without one, to 8 MB, passed `confirmed` times.

    `limiter` names the kind of limit: a memory cgroup, or a limit on private writable memory where there is none.
    """

    what: str
    limiter: str
    bytes: int | None
    confirmed: int
    trials: tuple[Trial, ...]


class Ledger(Record, frozen=True, kw_only=True):
    """Everything that the ledger found about one artifact, or about the imports of another program."""

    machine: Machine
    artifact: str = ""
    variant: str = ""
    measurement: MeasurementRecord | None = None
    imports: ImportLedger | None = None
    server: tuple[ServerPoint, ...] = ()
    minimums: tuple[Minimum, ...] = ()
    notes: tuple[Note, ...] = ()
