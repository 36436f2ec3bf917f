"""Records made by hand, for tests of what is derived from records."""

from __future__ import annotations

from slimner.core.machine import describe
from slimner.core.records import (
    Block,
    BuildRecord,
    CheckpointFacts,
    Concurrent,
    CorpusFacts,
    EvaluationRecord,
    Failure,
    Interference,
    MeasurementRecord,
    Parity,
    Results,
    RunSettings,
    Score,
    Stage,
    Threads,
    TimelinePoint,
    TypeCount,
    Warmup,
    WorkloadFacts,
)
from slimner.core.store import RESULTS_SCHEMA


def stage(name: str, pss: int, after: float) -> Stage:
    return Stage(
        name=name,
        after_s=after,
        pss_bytes=pss,
        uss_bytes=pss,
        rss_bytes=pss,
        hwm_bytes=pss + 10_000_000,
        anonymous_bytes=pss - 1_000_000,
        file_bytes=1_000_000,
        shared_bytes=0,
    )


def block(first: int = 0, samples: int = 100, attempts: int = 1, taints: tuple[str, ...] = ()) -> Block:
    return Block(
        first=first,
        samples=samples,
        attempts=attempts,
        interference=Interference(
            seconds=0.5,
            own_cores=1.0,
            other_cores=0.9 if taints else 0.0,
            stolen_s=0.0,
            voluntary_switches=1,
            involuntary_switches=0,
            throttled_periods=0,
        ),
        taints=taints,
    )


def measurement(variant: str, repetition: int, memory: int, milliseconds: float) -> MeasurementRecord:
    return MeasurementRecord(
        variant=variant,
        artifact=variant,
        machine=describe(),
        repetition=repetition,
        cold_start_s=1.5,
        load_s=1.0,
        stages=(
            stage("interpreter", 10_000_000, 0.1),
            stage("model", memory - 5_000_000, 1),
            stage("steady", memory, 2),
        ),
        timeline=()
        if repetition
        else (TimelinePoint(after_s=0.1, pss_bytes=1), TimelinePoint(after_s=2, pss_bytes=memory)),
        final=None if repetition else stage("final, from outside", memory + 500_000, 2.1),
        warmup=Warmup(texts=1, passes=3, steady=True),
        texts=tuple(range(100)),
        samples_ms=tuple(milliseconds + repetition / 10 + i / 100 for i in range(100)),
        blocks=(block(),),
        threads=Threads(requested=1, os_threads=1, busy_cores=1.0),
        concurrent=Concurrent(clients=5, answers=100, seconds=1.0, wrong=0) if repetition else None,
    )


def evaluation(variant: str, right: int) -> EvaluationRecord:
    """`right` of 400 one-entity sentences, four times: enough for a margin of 0.5 pp."""
    score = Score(precision=right / 400, recall=right / 400, f1=right / 400, support=1600)
    return EvaluationRecord(
        variant=variant,
        artifact=variant,
        machine=describe(),
        corpus="c",
        corpus_sha256="c",
        strict=score,
        strict_by_type={"PER": score},
        default=score,
        sentences=tuple((TypeCount(type="PER", right=int(i % 400 < right), predicted=1, gold=1),) for i in range(1600)),
        predictions=((),) * 1600,
        seconds=1,
    )


def make(
    figures: dict[str, tuple[int, int, float]], failures: tuple[Failure, ...] = (), broken: tuple[str, ...] = ()
) -> Results:
    """Results of variants given as (right of 400, steady memory in MB, milliseconds)."""
    parity = Parity(texts=1, tokens=1, max_abs_logit_difference=0, mean_abs_logit_difference=0, tag_agreement=1)
    return Results(
        schema=RESULTS_SCHEMA,
        slimner="0",
        started="2026-01-01T00:00:00+00:00",
        seconds=1,
        resumed=False,
        commit=None,
        machine=describe(),
        checkpoint=CheckpointFacts(name="m", architecture="Bert", parameters=1000, sha256="", labels=("O", "B-PER")),
        corpus=CorpusFacts(name="c", sha256="c", sentences=1600, entities=1600),
        workload=WorkloadFacts(name="w", sha256="w", lengths=tuple(range(10, 110))),
        settings=RunSettings(
            variants=(*figures, *broken),
            baseline="fp32",
            threads=1,
            repetitions=2,
            samples=100,
            warmup=1,
            timeout_s=1,
            seed=1,
        ),
        builds=tuple(
            BuildRecord(
                variant=v,
                artifact=v,
                size_bytes=m * 100_000,
                seconds=1,
                peak_bytes=1,
                cached=False,
                parity=parity,
            )
            for v, (_, m, _) in figures.items()
        ),
        evaluations=tuple(evaluation(v, right) for v, (right, _, _) in figures.items()),
        measurements=tuple(measurement(v, r, m * 1_000_000, ms) for r in range(3) for v, (_, m, ms) in figures.items()),
        failures=failures,
    )
