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
    """Memory of one process at one moment; `after_s` counts from the start of the process."""

    name: str
    after_s: float
    pss_bytes: int | None
    uss_bytes: int | None
    rss_bytes: int
    hwm_bytes: int


class TimelinePoint(Record, frozen=True, kw_only=True):
    """One sample taken from outside the process; `after_s` counts from the start of the process."""

    after_s: float
    pss_bytes: int


class Threads(Record, frozen=True, kw_only=True):
    """What was asked for and what was seen: `busy_cores` is processor time over wall time while inferring."""

    requested: int
    os_threads: int
    busy_cores: float


class MeasurementRecord(Record, frozen=True, kw_only=True):
    """One fresh process that opens an artifact and runs the workload: memory by stage, and a latency for every text.

    `samples_ms[i]` is the time for the text `texts[i]` of the workload. `other_load_cores` is the processor time that
    others used on this machine meanwhile, per second. Repetition 0 is sampled from outside: it has the time line,
    and its latencies are not used.
    """

    variant: str
    artifact: str
    instructions: str
    repetition: int
    load_s: float
    first_answer_ms: float
    stages: tuple[Stage, ...]
    timeline: tuple[TimelinePoint, ...] = ()
    warmup: int
    texts: tuple[int, ...]
    samples_ms: tuple[float, ...]
    threads: Threads
    other_load_cores: float
    stolen_s: float

    @property
    def timed(self) -> bool:
        """Whether its latencies count."""
        return self.repetition > 0

    def stage(self, name: str) -> Stage:
        """The stage of that name; KeyError if the process never reached it."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(name)


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


class EvaluationRecord(Record, frozen=True, kw_only=True):
    """The score of one artifact on one corpus; `sentences[i]` holds the counts of sentence i by type."""

    variant: str
    artifact: str
    instructions: str
    corpus: str
    corpus_sha256: str
    strict: Score
    strict_by_type: dict[str, Score]
    default: Score
    sentences: tuple[tuple[TypeCount, ...], ...]
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
    """One step that failed, with its reason; the other variants went on."""

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
    """What latency and memory were measured on; lengths in characters."""

    name: str
    sha256: str
    texts: int
    length_p50: int
    length_p95: int
    length_max: int


class CheckpointFacts(Record, frozen=True, kw_only=True):
    """What the variants were built from."""

    name: str
    architecture: str
    parameters: int
    sha256: str
    labels: tuple[str, ...]


class Settings(Record, frozen=True, kw_only=True):
    """What the user could have set otherwise."""

    variants: tuple[str, ...]
    baseline: str
    threads: int
    repetitions: int
    samples: int
    warmup: int
    timeout_s: float
    seed: int


class Results(Record, frozen=True, kw_only=True):
    """One whole run. The format's history is at the top of `slimner.core.store`."""

    schema: int
    slimner: str
    started: str
    seconds: float
    resumed: bool
    machine: Machine
    checkpoint: CheckpointFacts
    corpus: CorpusFacts
    workload: WorkloadFacts
    settings: Settings
    builds: tuple[BuildRecord, ...] = ()
    evaluations: tuple[EvaluationRecord, ...] = ()
    measurements: tuple[MeasurementRecord, ...] = ()
    failures: tuple[Failure, ...] = ()
