"""`slimner run`: build, score, measure, compare, decide, report."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from rich.console import Console

from ..bench import Workload, read_workload
from ..bench.ledger import dependencies as dependencies_of
from ..core.errors import EXIT_FAILED, EXIT_PASS, EXIT_REGRESSION, MissingDependencyError, SlimnerError, UserError
from ..core.ledger_records import ImportLedger
from ..core.machine import describe
from ..core.records import Failure, Results, Settings
from ..core.store import write_text
from ..eval import Corpus, CorpusSource, Differences, differences
from ..eval.corpora import EMBEDDED
from ..reports import Policy, compare, decide, read_policy, write_report
from ..reports.notes import notes
from ..reports.report import RESULTS
from ..reports.tables import terminal
from ..variants import VARIANTS, LoadOptions, Variant, resolve_checkpoint
from . import options
from .pick import print_decision
from .pipeline import Inputs, Pipeline, order
from .progress import Steps


@click.command(short_help="The whole job: build, score, measure, compare, decide, report.")
@options.checkpoint
@options.corpus
@click.option(
    "--workload",
    default=None,
    metavar="FILE",
    help="Texts to measure on, one a line. [default: the embedded ones, or the texts of your --corpus]",
)
@click.option(
    "--variants",
    "names",
    default=None,
    metavar="A,B,...",
    help="Variants to compare. [default: all that are installed]",
)
@click.option("--baseline", default="fp32", show_default=True, help="Variant that the others are compared with.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("slimner-report"),
    show_default=True,
    help="Directory of the report.",
)
@options.policy
@options.threads
@options.repetitions
@options.samples
@options.warmup
@options.seed
@options.timeout
@click.option("--fresh", is_flag=True, help="Measure everything again, even if an interrupted run could be continued.")
@options.as_json
@options.debug
def run(
    checkpoint: str,
    load: LoadOptions,
    corpus: CorpusSource,
    workload: str | None,
    names: str | None,
    baseline: str,
    out: Path,
    policy_file: Path | None,
    threads: int,
    repetitions: int,
    samples: int,
    warmup: int,
    seed: int,
    timeout: float,
    fresh: bool,
    as_json: bool,
    debug: bool,
) -> int:
    """Take CHECKPOINT through the whole job: a Hugging Face or ModelScope directory, a hub id with @revision if you
    pin one, modelscope:ID, synthetic:NAME for random weights of a known shape, or the embedded news-zh.

    Ends with a table, the winner with its reasons, and a report in --out. Artifacts are cached; an interrupted run goes
    on where it stopped. A variant that fails is a row with its reason, the others finish, and the exit code is 4.

    \b
    slimner run
    slimner run path/to/checkpoint --corpus test.bio --variants fp32,onnx-int8
    slimner run organization/name@revision --corpus test.bio
    slimner run synthetic:bert-base-chinese
    """
    policy = read_policy(policy_file) if policy_file else Policy()
    source = resolve_checkpoint(checkpoint, load)
    labelled = options.read_corpus(corpus)
    if source.trained:
        labelled.require_types(source.labels.types)
    chosen, broken = _chosen(names, baseline)
    workload = workload or _default_workload(labelled, out)
    texts = read_workload(workload)
    inputs = Inputs(
        checkpoint=source,
        corpus=labelled if source.trained else None,
        workload=texts,
        workload_name=workload,
        variants=chosen,
        broken=broken,
        settings=Settings(
            variants=(*(variant.name for variant in chosen), *(failure.variant for failure in broken)),
            baseline=baseline,
            threads=threads,
            repetitions=repetitions,
            samples=samples,
            warmup=warmup,
            timeout_s=timeout,
            seed=seed,
        ),
    )
    screen = options.err_console()
    machine = describe()
    scored = f"{len(labelled.sentences):,} sentences" if source.trained else "random weights"
    screen.print(
        f"{source.name} · {source.architecture} {source.parameters / 1e6:.1f} M · "
        f"{scored} · {machine.cores} cores, {machine.instructions} · "
        f"{threads} thread{'s' if threads > 1 else ''} each",
        markup=False,
        soft_wrap=True,
    )
    with Steps(screen) as progress:
        pipeline = Pipeline(inputs, out, progress, fresh=fresh)
        results = pipeline.run()
    rows = compare(results)
    decision = decide(rows, {variant.name: variant.complexity for variant in chosen}, policy)
    dependencies = None
    if decision.winner:
        with screen.status("dependencies of the winner"):
            dependencies = _dependencies(pipeline.artifacts[decision.winner], texts, inputs.settings, screen)
    report = write_report(out, results, rows, decision, dependencies, changed(results, labelled))
    pipeline.finish()
    if as_json:
        options.print_json(results)
    else:
        console = options.out_console()
        console.print(terminal(rows, decision.winner))
        console.print()
        print_decision(decision)
        options.print_notes(notes(results))
        console.print(f"  report  {report} (figures: {out / RESULTS})", markup=False, soft_wrap=True)
        console.print(f"  time    {results.seconds:.0f} s", markup=False)
        if decision.winner:
            console.print(
                f"  next    slimner bundle {out} --out my-bundle     slimner gate --baseline {out / RESULTS} ...",
                markup=False,
                soft_wrap=True,
            )
    if results.failures:
        return EXIT_FAILED
    return EXIT_PASS if decision.winner else EXIT_REGRESSION


def changed(results: Results, corpus: Corpus) -> list[Differences]:
    """What each variant finds otherwise than the baseline, where both were scored."""
    scored = {record.variant: record for record in results.evaluations}
    base = scored.get(results.settings.baseline)
    return [differences(base, record, corpus) for record in scored.values() if base is not None and record is not base]


def _chosen(names: str | None, baseline: str) -> tuple[tuple[Variant, ...], tuple[Failure, ...]]:
    """The variants to compare, in order, the baseline among them; and those of plugins that cannot be imported."""
    failures: list[Failure] = []
    variants = [VARIANTS.get(baseline)]
    if names:
        wanted = [name.strip() for name in names.split(",") if name.strip()]
        variants += [VARIANTS.get(name) for name in dict.fromkeys(wanted) if name != baseline]
    else:
        for name in VARIANTS.names():
            try:
                variants += [VARIANTS.get(name)] if name != baseline else []
            except UserError as error:  # somebody's plugin; nobody asked for it by name
                failures.append(Failure(variant=name, step="load", kind="refused", reason=str(error)))
    lacking = sorted({module for variant in variants for module in variant.missing(building=True)})
    if all(variant.missing(building=True) for variant in variants):
        raise MissingDependencyError(
            f"no variant can be built here: {', '.join(lacking)} not installed", "pip install 'slimner[lab]'"
        )
    options.require("seqeval", "memory_profiler", "matplotlib")
    return order(variants, baseline), tuple(failures)


def _default_workload(corpus: Corpus, out: Path) -> str:
    """The embedded workload for the embedded corpus; else the corpus's own texts, written beside the report."""
    if corpus.source.name == EMBEDDED:
        return EMBEDDED
    path = out / "slimner-workload.txt"
    write_text(path, "".join(" ".join(sentence.text.splitlines()) + "\n" for sentence in corpus.sentences))
    return str(path)


def _dependencies(artifact: Path, texts: Workload, settings: Settings, screen: Console) -> ImportLedger | None:
    """What the imports of a program that runs the artifact cost; None, with a line, if that cannot be told."""
    with tempfile.TemporaryDirectory(prefix="slimner-") as directory:
        some = Path(directory) / "texts.txt"
        write_text(some, "\n".join(texts.texts[:20]) + "\n")
        try:
            return dependencies_of(artifact, some, settings, lambda what: None)
        except SlimnerError as error:
            screen.print(f"dependencies of the winner: {error}", style="red", markup=False, soft_wrap=True)
            return None
