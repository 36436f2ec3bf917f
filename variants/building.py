"""Building an artifact: in a child, cached by content, whole or absent, and compared with the checkpoint."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..core import child
from ..core.errors import ArtifactError, CheckpointError, MissingDependencyError, SlimnerError, UserError
from ..core.machine import WIDE_DOT_PRODUCTS, describe, versions
from ..core.memory import peak_bytes
from ..core.records import CheckpointFacts, Parity
from ..core.store import directory_in_place, sha256_file, sha256_of, write_json
from .artifacts import (
    MANIFEST,
    MANIFEST_SCHEMA,
    Artifact,
    Manifest,
    artifact_key,
    artifact_name,
    describe_files,
    read_manifest,
    verify,
)
from .batching import proven
from .checkpoints import Checkpoint
from .configuration import WEIGHTS
from .exporting import exporter
from .fitness import fitted, parity_windows
from .graphs import files_of, fitted_to_graph, reference_model, the_graph
from .torch_model import first_line
from .variant import DEFAULT_EXPORTER, VARIANTS, BuildContext, Model, Tuning, Variant, remedy

# Of the logits' range: float32 rounds relative to what it adds up. A narrow range is taken for a usual one.
FP32_TOLERANCE = 1e-5
USUAL_RANGE = 10.0
PARITY_TEXTS = 24


def facts(checkpoint: Checkpoint) -> CheckpointFacts:
    """The facts about a checkpoint that a record holds."""
    return CheckpointFacts(
        name=checkpoint.name,
        architecture=checkpoint.architecture,
        parameters=checkpoint.parameters,
        sha256=checkpoint.sha256,
        labels=checkpoint.labels.tags,
    )


def key_of(
    checkpoint: Checkpoint, variant: Variant, exporter_name: str = DEFAULT_EXPORTER, tuning: Tuning | None = None
) -> str:
    """Identity of the artifact that building this variant here and now gives."""
    tools = _tools(variant, exporter_name, checkpoint, tuning)
    return artifact_key(checkpoint.sha256, variant.name, describe().instructions, tools)


def _portable() -> bool:
    """Whether INT8 weights are to be kept to seven bits, which no processor saturates, whatever this one can do."""
    return bool(os.environ.get("SLIMNER_PORTABLE"))


def _tools(
    variant: Variant, exporter_name: str, checkpoint: Checkpoint, tuning: Tuning | None = None
) -> dict[str, str]:
    """Versions of everything that may change what a build gives: slimner, the distributions that the variant needs to
    build and to run, its own, the exporter, where the variant is built from a graph, or the graph it takes in, and
    what was tuned."""
    found = importlib.metadata.packages_distributions()
    modules = {need.partition(".")[0] for need in (*variant.run_needs, *variant.build_needs)}
    needed = sorted({name for module in modules for name in found.get(module, ())})
    tools = versions(("slimner", "numpy", "tokenizers", *needed)) | dict([VARIANTS.distribution(variant.name)])
    if variant.precision == "int8" and _portable():
        tools["weights"] = "for every processor"
    if variant.imports:
        graph = the_graph(checkpoint)
        tools["graph"] = f"{graph.name} {sha256_of([sha256_file(path) for path in files_of(graph)])}"
    if tuning and str(tuning):
        tools["tuning"] = str(tuning)
    return tools | {"exporter": exporter(exporter_name).version} if variant.exports else tools


def build(
    checkpoint: Checkpoint,
    variant: Variant,
    *,
    cache: Path,
    timeout_s: float,
    exporter_name: str = DEFAULT_EXPORTER,
    tuning: Tuning | None = None,
) -> tuple[Artifact, bool]:
    """The artifact, verified, and whether it was there already. Only `onnx-int8` knows a `tuning`.

    A cached artifact that was changed since is built again. Raises MissingDependencyError, or ChildError when the
    build failed; nothing half-built is left in either case.
    """
    if not checkpoint.weights and not variant.imports:
        raise CheckpointError(
            f"{checkpoint.path} has no {WEIGHTS}, only a graph ({checkpoint.graphs[0].name})",
            "use it as it is with --variant imported, or give the checkpoint that it was exported from",
        )
    tuning = tuning or Tuning()
    key = key_of(checkpoint, variant, exporter_name, tuning)
    target = cache / "artifacts" / artifact_name(variant.name, key)
    if target.exists():
        try:
            artifact = verify(target)
            if artifact.manifest.key == key:
                return artifact, True
        except ArtifactError:
            pass
        shutil.rmtree(target)
    if missing := variant.missing(building=True):
        raise MissingDependencyError(
            f"building '{variant.name}' needs {', '.join(missing)}, not installed here", remedy(variant, missing)
        )
    if variant.exports:
        exporter(exporter_name).require()
    with directory_in_place(target) as directory:
        job = child.call(build_in_child, checkpoint, variant.name, directory, key, exporter_name, tuning)
        manifest = job.run(timeout_s=timeout_s)
    return Artifact(path=target, manifest=manifest), False


def place(artifact: Path, out: Path) -> None:
    """Copy a cached artifact to a directory of the user's, whole or not at all; ArtifactError if one is there."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ArtifactError(f"{out} exists", "choose another --out, or remove it")
    if out.exists():
        out.rmdir()
    with directory_in_place(out) as directory:
        shutil.copytree(artifact, directory, dirs_exist_ok=True)


def build_in_child(
    source: Checkpoint, variant: str, target: Path, key: str, exporter_name: str, tuning: Tuning
) -> Manifest:
    """The child's job: build, compare with the checkpoint, and write the manifest last."""
    started = time.perf_counter()
    source, chosen = fitted(source) if source.weights else fitted_to_graph(source), VARIANTS.get(variant)
    machine = describe()
    wide = bool(WIDE_DOT_PRODUCTS & set(machine.instruction_sets)) and not _portable()
    context = BuildContext(
        checkpoint=source, directory=target, wide_dot_products=wide, exporter=exporter_name, tuning=tuning
    )
    with libraries_may_fail(source, chosen):
        claimed = chosen.build(context)
        shutil.copyfile(source.tokenizer, target / "tokenizer.json")
        model = chosen.load(target, 1)
    windows = parity_windows(source, PARITY_TEXTS)
    parity, logit_range = _parity(source, chosen, model, windows)
    limit = FP32_TOLERANCE * max(logit_range, USUAL_RANGE)
    if chosen.precision == "fp32" and parity.max_abs_logit_difference > limit:
        raise SlimnerError(
            f"logits differ from the checkpoint's by {parity.max_abs_logit_difference:.2g}, "
            f"more than {limit:.2g} for fp32 and a range of {logit_range:.3g}",
            "the export is wrong for this architecture; leave this variant out with --variants",
        )
    manifest = Manifest(
        schema=MANIFEST_SCHEMA,
        key=key,
        variant=variant,
        checkpoint=facts(source),
        labels=source.labels,
        window=source.window,
        instructions=machine.instructions,
        tools=_tools(chosen, exporter_name, source, tuning),
        parity=parity,
        build_s=round(time.perf_counter() - started, 3),
        build_peak_bytes=peak_bytes(),
        files=describe_files(target),
        batching=proven(model, claimed or "alone", windows),
    )
    write_json(target / MANIFEST, manifest.sealed())
    return read_manifest(target)


@contextmanager
def libraries_may_fail(checkpoint: Checkpoint, variant: Variant) -> Iterator[None]:
    """UserError in place of what another library raises, whose own code the variant is not."""
    try:
        yield
    except (MemoryError, SlimnerError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:  # the disk's own, such as a full one
            raise
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package in ("slimner", type(variant).__module__.partition(".")[0]):
            raise
        raise UserError(
            f"{checkpoint.architecture} cannot be built as {variant.name}: "
            f"{type(error).__name__}: {first_line(error)[:200]}",
            "take another variant (--variants), or another --exporter; families that work are in "
            "docs/evidence/families.md",
        ) from error


def _answer(
    model: Callable[[np.ndarray], np.ndarray],
    window: np.ndarray,
    checkpoint: Checkpoint,
    variant: Variant,
    kind: type[UserError],
) -> np.ndarray:
    """The logits of one window; an error of that kind says which family fails at which length, and what works."""
    try:
        return model(window)
    except (MemoryError, SlimnerError):
        raise
    except Exception as error:  # runtimes and families fail as they like
        what = f"as {variant.name}" if kind is UserError else "as transformers runs it"
        raise kind(
            f"{checkpoint.architecture} {what} fails on {len(window)} tokens: "
            f"{type(error).__name__}: {first_line(error)[:200]}",
            "take a variant that runs in torch (--variants fp32,dynamic-int8), or another --exporter"
            if kind is UserError
            else "families that work are in docs/evidence/families.md",
        ) from error


def _parity(
    checkpoint: Checkpoint, variant: Variant, model: Model, windows: Sequence[np.ndarray]
) -> tuple[Parity, float]:
    """Logits of the artifact against the checkpoint's own (the graph's, as it was given, where there is nothing else),
    over tokens of many lengths; and the range of the latter."""
    from .torch_model import as_model, load_reference

    reference: Callable[[np.ndarray], np.ndarray] = (
        as_model(load_reference(checkpoint.path)) if checkpoint.weights else reference_model(the_graph(checkpoint))
    )
    worst, total, same, tokens, low, high = 0.0, 0.0, 0, 0, np.inf, -np.inf
    for window in windows:
        expected = _answer(reference, window, checkpoint, variant, CheckpointError)
        got = _answer(model, window, checkpoint, variant, UserError)
        if not np.isfinite(expected).all():
            raise CheckpointError(f"{checkpoint.path}: the model's logits are not finite", "its weights are damaged")
        if not np.isfinite(got).all():
            raise SlimnerError("logits are not finite", "the variant does not work on this machine or for this model")
        difference = np.abs(expected - got)
        low, high = min(low, float(expected.min())), max(high, float(expected.max()))
        worst = max(worst, float(difference.max()))
        total += float(difference.mean()) * len(window)
        same += int((expected.argmax(1) == got.argmax(1)).sum())
        tokens += len(window)
    parity = Parity(
        texts=len(windows),
        tokens=tokens,
        max_abs_logit_difference=worst,
        mean_abs_logit_difference=total / tokens,
        tag_agreement=same / tokens,
    )
    return parity, high - low
