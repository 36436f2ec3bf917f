"""What a record has to hold beside its types, checked when it is read: lengths that belong together, ranges, names.

A file that was cut or edited by hand would otherwise end in an index error, or in a wrong verdict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sized
from typing import Any, NoReturn

import msgspec

from .gate_records import Calibration
from .metrics import METRICS
from .records import EvaluationRecord, MeasurementRecord, Results, Score

# Nothing that is measured here takes longer, or holds more: some thirty years, and 9 PB.
MOST = {"_ms": 1e12, "_s": 1e9, "seconds": 1e9, "_bytes": float(1 << 53)}
# What is divided by, or set in relation to another run's.
POSITIVE = {"samples_ms", "extra_ms", "cold_start_s", "rss_bytes", "pss_bytes", "hwm_bytes", "size_bytes", "lengths"}


class WrongError(ValueError):
    """A field that does not fit; the message names it."""


def check_results(results: Results) -> None:
    """WrongError for results that contradict themselves."""
    _ranges(results, "$")
    variants = results.settings.variants
    _unique(variants, "$.settings.variants")
    for name in ("builds", "evaluations", "measurements", "failures"):
        for i, record in enumerate(getattr(results, name)):
            if record.variant not in variants:
                _wrong(f"$.{name}[{i}].variant", f"'{record.variant}' is not one of settings.variants")
    _unique((b.variant for b in results.builds), "$.builds")
    _unique((e.variant for e in results.evaluations), "$.evaluations")
    _unique(((m.variant, m.repetition) for m in results.measurements), "$.measurements")
    _positive(len(results.workload.lengths), "$.workload.lengths")
    for i, evaluation in enumerate(results.evaluations):
        _evaluation(evaluation, results, f"$.evaluations[{i}]")
    for i, measurement in enumerate(results.measurements):
        _measurement(measurement, results.workload.texts, f"$.measurements[{i}]")


def check_calibration(calibration: Calibration) -> None:
    """WrongError for a calibration that contradicts itself."""
    _ranges(calibration, "$")
    names = [metric.metric for metric in calibration.metrics]
    _unique(names, "$.metrics")
    for i, metric in enumerate(calibration.metrics):
        if metric.metric not in METRICS:
            _wrong(f"$.metrics[{i}].metric", f"no metric '{metric.metric}'")
        for field in ("deviation", "deviation_low", "deviation_high", "detectable", "margin", "caught"):
            if (getattr(metric, field) or 0) < 0:
                _wrong(f"$.metrics[{i}].{field}", "below 0")
    for name, changes in calibration.changes.items():
        if name not in METRICS:
            _wrong("$.changes", f"no metric '{name}'")
        if len(changes) > calibration.pairs + calibration.disturbed_pairs:
            _wrong(f"$.changes.{name}", f"{len(changes)} changes of {calibration.pairs} pairs")
    if calibration.false_alarms + calibration.inconclusive > calibration.runs:
        _wrong("$.runs", "fewer than false_alarms and inconclusive together")
    if not 0 <= calibration.false_alarm_low <= calibration.false_alarm_high <= 1:
        _wrong("$.false_alarm_low", "not an interval within 0 and 1")


def _evaluation(record: EvaluationRecord, results: Results, where: str) -> None:
    corpus = results.corpus
    if corpus is None:
        _wrong(where, "scored without a corpus")
    if record.corpus_sha256 != corpus.sha256:
        _wrong(f"{where}.corpus_sha256", "not that of $.corpus")
    _as_many(record.sentences, corpus.sentences, f"{where}.sentences", "corpus.sentences")
    _as_many(record.predictions, corpus.sentences, f"{where}.predictions", "corpus.sentences")
    for name, score in (("strict", record.strict), ("default", record.default), *record.strict_by_type.items()):
        _score(score, f"{where}.{name}")
    for i, counts in enumerate(record.sentences):
        for count in counts:
            if not 0 <= count.right <= min(count.predicted, count.gold):
                _wrong(f"{where}.sentences[{i}]", "more right than predicted or gold")
    gold = sum(count.gold for counts in record.sentences for count in counts)
    if gold != record.strict.support:
        _wrong(f"{where}.strict.support", f"{record.strict.support}, but the sentences have {gold} gold entities")
    for i, found in enumerate(record.predictions):
        if any(not 0 <= entity.start < entity.end for entity in found):
            _wrong(f"{where}.predictions[{i}]", "an entity that ends before it starts")


def _score(score: Score, where: str) -> None:
    for name in ("precision", "recall", "f1"):
        if not 0 <= getattr(score, name) <= 1:
            _wrong(f"{where}.{name}", "not within 0 and 1")


def _measurement(record: MeasurementRecord, texts: int, where: str) -> None:
    _as_many(record.samples_ms, len(record.texts), f"{where}.samples_ms", "texts")
    _as_many(record.extra_ms, len(record.extra_texts), f"{where}.extra_ms", "extra_texts")
    _positive(len(record.samples_ms), f"{where}.samples_ms")
    for name in ("texts", "extra_texts"):
        indices = getattr(record, name)
        if indices and not 0 <= min(indices) <= max(indices) < texts:
            _wrong(f"{where}.{name}", f"an index beyond the {texts} texts of the workload")
    end = 0
    for i, block in enumerate(record.blocks):
        if block.first != end or block.samples < 1:
            _wrong(f"{where}.blocks[{i}].first", f"{block.first}, but {end} samples lie before it")
        end += block.samples
        if block.interference.seconds <= 0:
            _wrong(f"{where}.blocks[{i}].interference.seconds", "not above 0")
    if end != len(record.samples_ms):
        _wrong(f"{where}.blocks", f"cover {end} of {len(record.samples_ms)} samples")
    if not any(stage.name == "steady" for stage in record.stages):
        _wrong(f"{where}.stages", "no stage 'steady'")
    _unique((stage.name for stage in record.stages), f"{where}.stages")
    if record.concurrent is not None:
        _positive(record.concurrent.seconds, f"{where}.concurrent.seconds")


def _ranges(value: Any, where: str, name: str = "") -> None:
    """Check every number below a value by the unit in the name of its field."""
    if isinstance(value, msgspec.Struct):
        for field in value.__struct_fields__:
            _ranges(getattr(value, field), f"{where}.{field}", field)
    elif isinstance(value, dict):
        for key, part in value.items():
            _ranges(part, f"{where}.{key}", name)
    elif isinstance(value, tuple):
        if name in ("sentences", "predictions"):
            return  # there are many of them; they have checks of their own
        for i, part in enumerate(value):
            _ranges(part, f"{where}[{i}]", name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) < 1 << 63:
            _wrong(where, f"{value:g} is too large")
        if name in POSITIVE:
            _positive(value, where)
        for ending, most in MOST.items():
            if name.endswith(ending) and not (value <= most and (value >= 0 or name == "stolen_s")):
                _wrong(where, f"{value:g} is not within 0 and {most:g}")


def _as_many(values: Sized, count: int, where: str, what: str) -> None:
    if len(values) != count:
        _wrong(where, f"{len(values)} values for {count} of {what}")


def _positive(value: float, where: str) -> None:
    if not value > 0:
        _wrong(where, f"{value:g} is not above 0")


def _unique(values: Iterable[Hashable], where: str) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            _wrong(where, f"{value} {count} times")


def _wrong(where: str, what: str) -> NoReturn:
    raise WrongError(f"{what} - at `{where}`")
