"""Results in an MLflow tracking server or store, through MLflow's own client."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from typing import Any

from ..core.errors import MissingDependencyError, UserError
from ..core.install import install_hint
from ..core.records import Record, Results
from ..core.store import sha256_of
from ..reports import Row
from ..reports.export import figures

# Tag of a run: the hash of the results that it is from, and of the variant.
SOURCE = "slimner.source"

MOST_CHARACTERS = 500


class Tracked(Record, frozen=True, kw_only=True):
    """Where results went: the store, the experiment, and the variants that became runs or were there before."""

    uri: str
    experiment: str
    made: tuple[str, ...]
    kept: tuple[str, ...]


def track(results: Results, rows: Sequence[Row], uri: str | None = None) -> Tracked:
    """Make a run of each variant in the experiment of the checkpoint's name; one that is there already stays.

    Figures become metrics, under the names of the columns of `table.csv` with `_low` and `_high`; settings become
    parameters; machine, corpus and commit become tags. Without `uri` MLflow's own rule holds (MLFLOW_TRACKING_URI).
    Raises MissingDependencyError without MLflow, and UserError with what MLflow says if it refuses.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # its client reports its use to its makers otherwise
    try:
        import mlflow
        from mlflow.exceptions import MlflowException
    except ImportError:
        raise MissingDependencyError("this format needs mlflow, not installed here", install_hint("mlflow")) from None
    experiment = results.checkpoint.name
    try:
        client = mlflow.MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else client.create_experiment(experiment)
        made: list[str] = []
        kept: list[str] = []
        for row in rows:
            source = sha256_of([results, row.variant])
            if client.search_runs([number], f"tags.`{SOURCE}` = '{source}'", max_results=1):
                kept.append(row.variant)
            else:
                _run(client, number, results, row, source)
                made.append(row.variant)
        where = uri or mlflow.get_tracking_uri()
    except MlflowException as error:
        said = str(error).splitlines()[0][:MOST_CHARACTERS]
        raise UserError(f"MLflow: {said}", "give another store with --out, or with MLFLOW_TRACKING_URI") from None
    return Tracked(uri=where, experiment=experiment, made=tuple(made), kept=tuple(kept))


def _run(client: Any, experiment: str, results: Results, row: Row, source: str) -> None:
    from mlflow.entities import Metric, Param, RunTag

    started = int(datetime.datetime.fromisoformat(results.started).timestamp() * 1000)
    machine, settings = results.machine, results.settings
    tags = {
        SOURCE: source,
        "slimner.version": results.slimner,
        "slimner.machine": f"{machine.cpu}, {machine.cores} cores, {machine.instructions}",
        "slimner.workload": results.workload.sha256,
    }
    if results.corpus:
        tags["slimner.corpus"] = results.corpus.sha256
    if results.commit:
        tags |= {
            "mlflow.source.git.commit": results.commit.sha,
            "mlflow.source.git.branch": results.commit.branch or "",
        }
    if row.failed:
        tags["slimner.failed"] = row.failed[:MOST_CHARACTERS]
    parameters = {
        "variant": row.variant,
        "baseline": settings.baseline,
        "threads": settings.threads,
        "samples": settings.samples,
        "repetitions": settings.repetitions,
        "checkpoint_sha256": results.checkpoint.sha256,
    }
    measured: list[Metric] = []
    for name, _, figure in figures(row):
        for end, value in (("", figure.value), ("_low", figure.low), ("_high", figure.high)):
            if value is not None:
                measured.append(Metric(f"{name}{end}", value, started, 0))
    run = client.create_run(experiment, start_time=started, tags=tags, run_name=row.variant)
    client.log_batch(
        run.info.run_id,
        metrics=measured,
        params=[Param(name, str(value)[:MOST_CHARACTERS]) for name, value in parameters.items()],
        tags=[RunTag("slimner.architecture", results.checkpoint.architecture)],
    )
    client.set_terminated(
        run.info.run_id,
        "FAILED" if row.failed else "FINISHED",
        end_time=started + int(results.seconds * 1000),
    )
