"""Notes on how far the figures can be trusted, each with a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.machine import WIDE_DOT_PRODUCTS
from ..core.metrics import METRICS
from ..core.records import Machine, MeasurementRecord, Note, Results
from ..core.statistics import percentile, samples_needed

THREAD_SLACK = 0.25

# Share of a figure that half its interval may be before a note says that it is wide.
WIDE = 0.1


def notes(results: Results) -> list[Note]:
    """Notes on a whole run, most important first."""
    found = [*measurement_notes(results.measurements), machine_note(results.machine)]
    if results.corpus is None:
        found.insert(
            0,
            Note(
                code="random-weights",
                message="F1 and constraints on it are not checked: random weights. In its place "
                "are the share of tags equal to fp32's and the largest difference of logits (random logits lie close "
                "together, a trained model keeps more of its tags)",
                remedy="run it on the trained checkpoint before you decide",
            ),
        )
    if results.resumed:
        found.append(
            Note(
                code="resumed",
                message="an interrupted run was continued",
                remedy="--fresh measures everything again",
            )
        )
    return found


def measurement_notes(measured: Sequence[MeasurementRecord]) -> list[Note]:
    """Notes on measured processes, of one variant or several."""
    timed = [m for m in measured if m.timed]
    return [*_disturbed(timed), *_latency(timed), *_memory(measured)]


def machine_note(machine: Machine) -> Note:
    """Where INT8 figures hold."""
    wide = WIDE_DOT_PRODUCTS & set(machine.instruction_sets)
    return Note(
        code="instructions",
        message=f"INT8 figures hold for {machine.instructions}"
        + ("" if wide else " (no wide integer dot product, so onnx-int8 uses seven-bit weights)"),
        remedy="build and score again on a machine with other instruction sets",
    )


def _disturbed(timed: Sequence[MeasurementRecord]) -> Iterator[Note]:
    blocks = [block for m in timed for block in m.blocks]
    repeated = [block for block in blocks if block.attempts > 1]
    left = [block for block in blocks if block.taints]
    if left:
        reasons = ", ".join(sorted({taint for block in left for taint in block.taints}))
        all_of = sorted({m.variant for m in timed if all(block.taints for block in m.blocks)})
        yield Note(
            code="disturbed",
            message=f"{len(left)} of {len(blocks)} blocks of samples stayed disturbed ({reasons}) after they were "
            "repeated; "
            + (
                f"processes of {', '.join(all_of)} had no undisturbed block, their latencies are too high"
                if all_of
                else "they are left out of the latencies"
            ),
            remedy="run again when the machine is quiet",
        )
    if len(repeated) > len(left):
        yield Note(
            code="repeated",
            message=f"{len(repeated)} of {len(blocks)} blocks of samples were disturbed and measured again",
        )


def _latency(timed: Sequence[MeasurementRecord]) -> Iterator[Note]:
    variants = sorted({m.variant for m in timed})
    if loud := sorted({m.variant for m in timed if m.threads.busy_cores > m.threads.requested + THREAD_SLACK}):
        yield Note(
            code="threads",
            message=f"{', '.join(loud)} used more than the {timed[0].threads.requested} thread(s) asked for",
            remedy="compare with care, or raise --threads for all",
        )
    if cold := sorted({m.variant for m in timed if not m.warmup.steady}):
        yield Note(
            code="warming",
            message=f"{', '.join(cold)} still got faster when warm-up ended",
            remedy="raise --warmup",
        )
    if wrong := sorted({m.variant for m in timed if m.concurrent and m.concurrent.wrong}):
        yield Note(
            code="wrong-answers",
            message=f"{', '.join(wrong)} gave other answers to several clients at once than before",
            remedy="do not share one predictor of it between threads",
        )
    wide: list[tuple[float, str]] = []
    for variant in variants:
        figure = METRICS["p50"].spread([m for m in timed if m.variant == variant])
        if figure and figure.half_width is not None and figure.half_width > WIDE * figure.value:
            wide.append((figure.half_width / figure.value, variant))
    if wide:
        yield Note(
            code="wide",
            message="p50 is known no better than "
            + ", ".join(f"±{share * 100:.0f} % of {variant}" for share, variant in sorted(wide, reverse=True)),
            remedy="raise --repetitions, on a quieter machine",
        )
    samples = min((sum(len(m.clean) for m in timed if m.variant == v) for v in variants), default=0)
    lacking = [q for q in (50, 95, 99) if percentile([0.0] * samples, q) is None]
    if samples and lacking:
        yield Note(
            code="samples",
            message=f"no p{lacking[0]} from {samples} samples a variant, it takes {samples_needed(lacking[0])}",
            remedy="raise --samples or --repetitions",
        )
    if variants and all(sum(m.variant == v for m in timed) == 1 for v in variants):
        yield Note(
            code="one-process",
            message="no intervals from one timed process a variant",
            remedy="raise --repetitions",
        )


def _memory(measured: Sequence[MeasurementRecord]) -> Iterator[Note]:
    shared = sorted(
        {
            m.variant
            for m in measured
            if m.timed and (pss := m.stage("steady").pss_bytes) and m.stage("steady").rss_bytes > 1.25 * pss
        }
    )
    if shared:
        yield Note(
            code="shared",
            message=f"other processes map the libraries of {', '.join(shared)}, so PSS counts only a share of them "
            "(alone it would need up to its RSS)",
            remedy="end the others and run again",
        )
    if any(m.repetition == 0 and not m.timeline for m in measured):
        yield Note(
            code="no-timeline",
            message="a time line is empty: memory_profiler could not sample the process; the stages are not affected",
        )
    if any(s.pss_bytes is None for m in measured for s in m.stages):
        yield Note(
            code="no-pss",
            message="this kernel gives no PSS (smaps_rollup), so memory is missing",
            remedy="measure on Linux 4.14 or newer",
        )
    if governor := next(
        (m.machine.governor for m in measured if m.machine.governor not in (None, "performance")), None
    ):
        yield Note(
            code="governor",
            message=f"the processor's governor is '{governor}'",
            remedy="set it to 'performance' for steady timings",
        )
