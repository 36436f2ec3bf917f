"""Immutable results: what was built, scored and measured, where, and how. Units are in the names."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything that is written to disk as a result."""


class Machine(Record, frozen=True, kw_only=True):
    """The machine a result holds for, and the libraries and limits it was made under."""

    cpu: str
    architecture: str
    instruction_sets: tuple[str, ...]
    cores: int
    cpu_quota_cores: float | None
    memory_bytes: int
    memory_limit_bytes: int | None
    governor: str | None
    kernel: str
    python: str
    libraries: dict[str, str]

    @property
    def instructions(self) -> str:
        """Architecture and the instruction sets that change a quantized result or its speed, as one short key."""
        return "+".join((self.architecture, *self.instruction_sets))


class Parity(Record, frozen=True, kw_only=True):
    """How far an artifact's logits are from the checkpoint's own in FP32, over `texts` texts."""

    texts: int
    tokens: int
    max_abs_logit_difference: float
    mean_abs_logit_difference: float
    tag_agreement: float


class Stage(Record, frozen=True, kw_only=True):
    """Memory of one process at one moment; `after_s` counts from the start of the process.

    PSS is `anonymous_bytes` (heap, stacks, copied pages) plus `file_bytes` (mapped files, shared memory).
    `shared_bytes` is the part of RSS that another process maps too. None where the kernel does not provide it.
    """

    name: str
    after_s: float
    pss_bytes: int | None
    uss_bytes: int | None
    rss_bytes: int
    hwm_bytes: int
    anonymous_bytes: int | None
    file_bytes: int | None
    shared_bytes: int | None


class TimelinePoint(Record, frozen=True, kw_only=True):
    """One sample taken from outside the process; `after_s` counts from the start of the process."""

    after_s: float
    pss_bytes: int


class Threads(Record, frozen=True, kw_only=True):
    """Threads requested and cores used: `busy_cores` is processor time over wall time while inferring."""

    requested: int
    os_threads: int
    busy_cores: float


class Interference(Record, frozen=True, kw_only=True):
    """What else happened between two moments `seconds` apart.

    `waited_s` is how long this process's threads were runnable but not running (the second field of
    `/proc/PID/task/TID/schedstat`), None without that file; then cores that it used and that others used,
    seconds stolen by the hypervisor, context switches, and periods in which the processor quota ran out.
    """

    seconds: float
    waited_s: float | None = None
    own_cores: float
    other_cores: float
    stolen_s: float
    voluntary_switches: int
    involuntary_switches: int
    throttled_periods: int


class Block(Record, frozen=True, kw_only=True):
    """A series of consecutive samples, and what else happened meanwhile.

    `first` and `samples` say which of the record's samples they are. `attempts` counts how often the block was measured
    until it was undisturbed or given up; `taints` names what disturbed the kept attempt (empty: nothing). `rss_bytes`
    is the resident size when the block ended, None in records of schema 3.
    """

    first: int
    samples: int
    attempts: int
    interference: Interference
    taints: tuple[str, ...]
    rss_bytes: int | None = None


class Warmup(Record, frozen=True, kw_only=True):
    """What ran before timing: `passes` over the same `texts` texts, until they got no faster, or the limit."""

    texts: int
    passes: int
    steady: bool


class Concurrent(Record, frozen=True, kw_only=True):
    """`clients` threads of one process that call the predictor at once, each again when it has an answer."""

    clients: int
    answers: int
    seconds: float
    wrong: int

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds


class MeasurementRecord(Record, frozen=True, kw_only=True):
    """One fresh process that opens an artifact and runs the workload: memory by stage, and a latency for every text.

    `samples_ms[i]` is the time for the text `texts[i]` of the workload; `extra_ms[i]` for `extra_texts[i]`, measured
    in addition, so that each length has enough samples. `cold_start_s` goes from exec to the first answer.
    Repetition 0 is sampled from outside: it has the time line and `final`, read from outside at its end; its
    latencies are not used. A `paired` one ran in turns with another process that was alive at the same time.
    """

    variant: str
    artifact: str
    machine: Machine
    repetition: int
    cold_start_s: float
    load_s: float
    stages: tuple[Stage, ...]
    final: Stage | None = None
    timeline: tuple[TimelinePoint, ...] = ()
    warmup: Warmup
    texts: tuple[int, ...]
    samples_ms: tuple[float, ...]
    blocks: tuple[Block, ...]
    extra_texts: tuple[int, ...] = ()
    extra_ms: tuple[float, ...] = ()
    threads: Threads
    concurrent: Concurrent | None = None
    paired: bool = False

    @property
    def timed(self) -> bool:
        """Whether its latencies count."""
        return self.repetition > 0

    @property
    def clean(self) -> tuple[int, ...]:
        """Indices of the samples of undisturbed blocks; of all, if no block is."""
        chosen = [block for block in self.blocks if not block.taints] or self.blocks
        return tuple(i for block in chosen for i in range(block.first, block.first + block.samples))

    @property
    def disturbed(self) -> bool:
        """Whether something else disturbed more than half of its blocks."""
        return 2 * sum(bool(block.taints) for block in self.blocks) > len(self.blocks)

    def stage(self, name: str) -> Stage:
        """The stage of that name; KeyError if the process never reached it."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)


class Note(Record, frozen=True, kw_only=True):
    """Something that a reader of the figures must know, with a remedy."""

    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class Score(Record, frozen=True, kw_only=True):
    """Precision, recall and F1 in 0..1, micro-averaged over `support` gold entities."""

    precision: float
    recall: float
    f1: float
    support: int


class TypeCount(Record, frozen=True, kw_only=True, array_like=True):
    """Entities of one type in one sentence: exactly right, predicted, gold."""

    type: str
    right: int
    predicted: int
    gold: int


class Found(Record, frozen=True, kw_only=True, array_like=True):
    """An entity of a corpus's text: `text[start:end]` in code points, and its type."""

    start: int
    end: int
    type: str


class Matches(Record, frozen=True, kw_only=True):
    """How found entities match gold ones, one to one.

    `right` are equal; `boundary` has the same type, but other ends; `type` the same ends, another type; `overlap` only
    shares text; `missed` gold matches none, a `spurious` one matches no gold.
    """

    right: int = 0
    boundary: int = 0
    type: int = 0
    overlap: int = 0
    missed: int = 0
    spurious: int = 0


class EvaluationRecord(Record, frozen=True, kw_only=True):
    """The score of one artifact on one corpus.

    `sentences[i]` holds the counts of sentence i by type, `predictions[i]` the entities that were found in its text,
    `matches` by type how they match gold ones (empty in older files).
    """

    variant: str
    artifact: str
    machine: Machine
    corpus: str
    corpus_sha256: str
    strict: Score
    strict_by_type: dict[str, Score]
    default: Score
    sentences: tuple[tuple[TypeCount, ...], ...]
    predictions: tuple[tuple[Found, ...], ...]
    matches: dict[str, Matches] = {}
    seconds: float


class BuildRecord(Record, frozen=True, kw_only=True):
    """One built artifact as it stood when measured."""

    variant: str
    artifact: str
    size_bytes: int
    seconds: float
    peak_bytes: int | None
    cached: bool
    parity: Parity


class Failure(Record, frozen=True, kw_only=True):
    """One step that failed, with its reason; the other variants continued."""

    variant: str
    step: str
    kind: str
    reason: str
    stderr_tail: str = ""


class CorpusFacts(Record, frozen=True, kw_only=True):
    """What F1 was computed on."""

    name: str
    sha256: str
    sentences: int
    entities: int


class WorkloadFacts(Record, frozen=True, kw_only=True):
    """What latency and memory were measured on; `lengths[i]` is the length of text i in characters."""

    name: str
    sha256: str
    lengths: tuple[int, ...]

    @property
    def texts(self) -> int:
        """How many."""
        return len(self.lengths)

    def length(self, percent: int) -> int:
        """Length in characters that the given percentage of the texts do not exceed."""
        ordered = sorted(self.lengths)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


class CheckpointFacts(Record, frozen=True, kw_only=True):
    """What the variants were built from."""

    name: str
    architecture: str
    parameters: int
    sha256: str
    labels: tuple[str, ...]


class Measuring(Record, frozen=True, kw_only=True):
    """How each process is measured: threads, timed texts, texts of a warm-up pass, and the seed of their order."""

    threads: int = 1
    samples: int = 200
    warmup: int = 20
    timeout_s: float = 900.0
    seed: int = 1


class RunSettings(Measuring, frozen=True, kw_only=True):
    """The request of a run: which variants, against which one, and how many timed processes of each."""

    variants: tuple[str, ...]
    baseline: str
    repetitions: int = 3


class BenchReport(Record, frozen=True, kw_only=True):
    """What `slimner bench` measured of one artifact.

    `deviations` between runs are relative standard ones that the machine had shown before, by metric.
    """

    machine: Machine
    workload: WorkloadFacts
    settings: Measuring
    measurements: tuple[MeasurementRecord, ...]
    notes: tuple[Note, ...]
    deviations: dict[str, float] = {}


class Commit(Record, frozen=True, kw_only=True):
    """What was checked out where the command ran: `clean` if no tracked file differed, None if that took too long.

    `branch` is None for a detached commit for which the CI system names no branch.
    """

    sha: str
    branch: str | None
    clean: bool | None


class Results(Record, frozen=True, kw_only=True):
    """One whole run; `corpus` is None if nothing could be scored, `commit` outside a git checkout.

    `deviations` between runs are relative standard ones that the machine had shown before, by metric.
    The format's history is at the top of `store`.
    """

    schema: int
    slimner: str
    started: str
    seconds: float
    resumed: bool
    commit: Commit | None
    machine: Machine
    checkpoint: CheckpointFacts
    corpus: CorpusFacts | None
    workload: WorkloadFacts
    settings: RunSettings
    builds: tuple[BuildRecord, ...] = ()
    evaluations: tuple[EvaluationRecord, ...] = ()
    measurements: tuple[MeasurementRecord, ...] = ()
    failures: tuple[Failure, ...] = ()
    deviations: dict[str, float] = {}
