"""What a reader of the figures has to know about how far to believe them, each with what to do about it."""

from __future__ import annotations

from ..core.machine import WIDE_DOT_PRODUCTS
from ..core.records import Results

BUSY_CORES = 0.15
THREAD_SLACK = 0.25


def notes(results: Results) -> list[str]:
    """Warnings, most important first."""
    found: list[str] = []
    timed = [m for m in results.measurements if m.timed]
    crowded = [m for m in timed if m.other_load_cores > BUSY_CORES]
    if crowded:
        worst = max(m.other_load_cores for m in crowded)
        found.append(
            f"other load on the machine during {len(crowded)} of {len(timed)} timed processes (up to {worst:.1f} "
            "cores); latencies are too high by an unknown amount: run again when it is quiet"
        )
    stolen = [m for m in timed if m.stolen_s > 0.02 * sum(m.samples_ms) / 1000]
    if stolen:
        found.append(
            f"the hypervisor took processor time during {len(stolen)} of {len(timed)} timed processes; "
            "run again, or on a machine of your own"
        )
    threads = results.settings.threads
    if loud := {m.variant for m in timed if m.threads.busy_cores > threads + THREAD_SLACK}:
        found.append(f"{', '.join(sorted(loud))} used more than the {threads} thread(s) asked for; compare with care")
    samples = min(
        (sum(len(m.samples_ms) for m in timed if m.variant == v) for v in {m.variant for m in timed}), default=0
    )
    if samples and samples < 1000:
        found.append(f"percentiles from {samples} samples a variant; for p99 raise --samples or --repetitions")
    wide = WIDE_DOT_PRODUCTS & set(results.machine.instruction_sets)
    found.append(
        f"INT8 figures hold for {results.machine.instructions}"
        + ("" if wide else " (no wide integer dot product, so onnx-int8 uses seven-bit weights)")
        + "; build and score again on a machine with other instruction sets"
    )
    if results.machine.governor not in (None, "performance"):
        found.append(
            f"the processor's governor is '{results.machine.governor}'; set it to 'performance' for steady timings"
        )
    shared = {
        m.variant for m in timed if (pss := m.stage("steady").pss_bytes) and m.stage("steady").rss_bytes > 1.25 * pss
    }
    if shared:
        found.append(
            f"other processes map the libraries of {', '.join(sorted(shared))}, so PSS counts a share of them only "
            "(alone it would need up to its RSS): end the others and run again"
        )
    if any(m.repetition == 0 and not m.timeline for m in results.measurements):
        found.append(
            "a time line is empty: memory_profiler could not sample the process; the stages are not touched by it"
        )
    if any(s.pss_bytes is None for m in results.measurements for s in m.stages):
        found.append("this kernel gives no PSS (smaps_rollup), so memory is missing: measure on Linux 4.14 or newer")
    if results.resumed:
        found.append("an interrupted run was continued; --fresh measures everything again")
    return found
