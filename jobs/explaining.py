"""Where the time of an artifact goes, and what bounds it."""

from __future__ import annotations

from pathlib import Path

from ..bench import Workload
from ..bench.explain import profile_in_child
from ..core import child
from ..core.explain_records import Explanation
from ..core.locks import measuring_alone
from ..core.machine import WIDE_DOT_PRODUCTS, describe, thread_environment
from ..core.records import Measuring
from ..reports.explain import why
from ..variants import VARIANTS, Artifact
from .bundling import some
from .defaults import workload_for
from .inputs import artifact_in, require
from .progress import SILENT, Progress

TEXTS = 50


def explain(
    artifact: str | Path | Artifact,
    *,
    workload: str | Path | Workload | None = None,
    settings: Measuring | None = None,
    progress: Progress = SILENT,
) -> Explanation:
    """Profile an artifact or a bundle on some texts of a workload, in a process of its own.

    Without `workload` it is the one of the embedded model, or of the last run of another. Raises UserError for a back
    end that cannot be profiled, ChildError when the process failed.
    """
    require("onnx")
    settings = settings or Measuring()
    opened = artifact if isinstance(artifact, Artifact) else artifact_in(Path(artifact))
    texts = workload_for(workload, opened.manifest.checkpoint, progress=progress)
    variant = VARIANTS.get(opened.manifest.variant)
    chosen = some(texts.texts, TEXTS)
    progress.phase("explain", 1)
    progress.now("explain", f"{variant.name} on {len(chosen)} texts")
    profiling = child.call(profile_in_child, opened.path, chosen, settings.threads)
    with measuring_alone(progress.note):
        found = profiling.run(timeout_s=settings.timeout_s, environment=thread_environment(settings.threads))
    progress.done("explain", f"{variant.name} on {len(chosen)} texts")
    machine = describe()
    return Explanation(
        variant=variant.name,
        artifact=opened.manifest.name,
        machine=machine,
        workload=texts.facts,
        threads=settings.threads,
        texts=found.texts,
        tokens=found.tokens,
        ms=found.ms,
        outside_ms=found.outside_ms,
        groups=found.groups,
        products=found.products,
        why=why(
            found.groups,
            found.products,
            ms=found.ms,
            outside_ms=found.outside_ms,
            precision=variant.precision,
            wide_dot_products=bool(WIDE_DOT_PRODUCTS & set(machine.instruction_sets)),
        ),
    )
