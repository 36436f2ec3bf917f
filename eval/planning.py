"""How many sentences a verdict on F1 needs: the power of a gate at a margin, by the number of sentences.

The candidate is taken to be as good as the baseline, and to differ from it as often and by as much as was seen, or as
is assumed where nothing was: the fewer sentences differ, the fewer are needed. Corpora of n sentences are drawn from
that; the end of each one's interval is that of `intervals.change_interval`, by its first four cumulants (E. Cornish and
R. Fisher, Revue de l'Institut International de Statistique 5, 1937). Pure functions.
"""

from __future__ import annotations

import math
import statistics

import msgspec
import numpy as np

from ..core.errors import CorpusError
from ..core.records import EvaluationRecord, Record, Results
from .corpora import Corpus
from .intervals import LEVEL, counts, f1_of, share, typical_loss, unseen

POWERS = (0.8, 0.9)
CORPORA = 2000
MOST_SENTENCES = 10_000_000

# What is assumed where no two variants were scored: F1, and the share of the entities that only one of them finds, each
# way (dynamic INT8 against FP32 on the embedded corpus differs in about as many).
ASSUMED_F1 = 0.9
ASSUMED_DIFFERENT = 0.01


class Differences(msgspec.Struct, frozen=True, kw_only=True):
    """How two variants differ: a sentence changes F1's numerator by plus or minus `values[i]`, each with the
    probability `chances[i]`.

    `total` is the mean of predicted and gold entities of a sentence together, with its standard deviation; `entities`
    is the mean of gold ones; `unseen` is the cost of the sentence that was not seen, `typical` the least it costs once
    losses were seen.
    """

    values: tuple[float, ...]
    chances: tuple[float, ...]
    total: float
    deviation: float
    entities: float
    unseen: float
    typical: float


class Plan(Record, frozen=True, kw_only=True):
    """Sentences and entities with which a gate passes in 80 % and in 90 % of corpora if nothing became worse.

    None where more than ten million sentences would be needed. `basis` says what the differences are from.
    """

    margin_pp: float
    sentences: tuple[int | None, ...]
    entities: tuple[int | None, ...]
    powers: tuple[float, ...] = POWERS
    basis: str

    def __str__(self) -> str:
        """The plan in words."""
        parts = [
            f"{power * 100:.0f} % power needs "
            + ("more than ten million sentences" if n is None else f"{n:,} sentences with {m:,} entities")
            for power, n, m in zip(self.powers, self.sentences, self.entities, strict=True)
        ]
        return f"at {self.margin_pp:g} pp {', '.join(parts)} like these ({self.basis})"


def observed(one: np.ndarray, two: np.ndarray) -> Differences:
    """Differences of two variants from right, predicted and gold by sentence, shape (sentences, 3)."""
    f1 = float(f1_of((one + two).sum(axis=0)))
    changes = np.abs(share(one, f1) - share(two, f1))
    values, times = np.unique(np.round(changes[changes > 1e-9], 6), return_counts=True)
    right, wrong = unseen(one, one)
    totals = (one + two)[:, 1:].sum(axis=1) / 2
    return Differences(
        values=tuple(values.tolist()),
        chances=tuple((times / len(one) / 2).tolist()),
        total=float(totals.mean()),
        deviation=float(totals.std()),
        entities=float(one[:, 2].mean()),
        unseen=float(share(right, f1) - share(wrong, f1)),
        typical=typical_loss(np.vstack((one, two)), np.vstack((two, one)), f1),
    )


def assumed(gold: np.ndarray) -> Differences:
    """Differences where no two variants were scored, from the gold entities by sentence."""
    entities = float(gold.mean())
    cost = 2 - ASSUMED_F1
    return Differences(
        values=(cost,),
        chances=(min(0.5, entities * ASSUMED_DIFFERENT),),
        total=2 * entities,
        deviation=2 * float(gold.std()),
        entities=entities,
        unseen=max(2.0, cost * float(gold.sum() / (gold > 0).sum())),
        typical=cost * float((gold > 0).sum() / gold.sum() * (gold**3).sum() / (gold**2).sum()),
    )


def plan_from_corpus(corpus: Corpus, margin_pp: float) -> Plan:
    """What a gate needs on sentences like these, from assumed differences; CorpusError without any gold entity."""
    gold = np.array([len(sentence.entities) for sentence in corpus.sentences], dtype=float)
    if not gold.any():
        raise CorpusError(f"{corpus.name} has no gold entity", "F1 needs a corpus with entities")
    share_of = ASSUMED_DIFFERENT * 100
    basis = (
        f"assumed: of 100 entities {share_of:g} is found by the baseline only, and {share_of:g} by the candidate only"
    )
    return plan(assumed(gold), margin_pp, basis)


def plans_from_results(results: Results, corpus: Corpus, margin_pp: float) -> tuple[Plan, ...]:
    """A plan for each variant of a run against its baseline; ValueError if it was not scored on this corpus, twice."""
    base = next((e for e in results.evaluations if e.variant == results.settings.baseline), None)
    if base is None or len(results.evaluations) < 2:
        raise ValueError("they hold no scores of a baseline and of another variant")
    if base.corpus_sha256 != corpus.sha256:
        raise ValueError(f"they were scored on {base.corpus}, which has other sentences")
    others = (e for e in results.evaluations if e is not base)
    return tuple(found for e in others if (found := plan_from_pair(base, e, margin_pp)))


def power(differences: Differences, sentences: int, margin_pp: float, *, level: float = LEVEL) -> float:
    """Share of corpora of that many sentences in which a loss of `margin_pp` is ruled out though nothing is lost."""
    draw = np.random.default_rng(1)
    chances = np.array([*differences.chances, *differences.chances])
    losses = np.array([*differences.values, *(-value for value in differences.values)])
    times = draw.multinomial(sentences, [*chances, max(0.0, 1 - chances.sum())], size=CORPORA)[:, :-1].astype(float)
    lost = np.clip(losses, 0, None)
    squares = times @ lost**2
    seen = np.divide(times @ lost**3, squares, out=np.zeros(CORPORA), where=squares > 0)
    cost = np.maximum(differences.unseen, np.where(squares > 0, np.maximum(seen, differences.typical), 0))
    mean, variance, third, fourth = (math.factorial(k - 1) * (times @ losses**k + cost**k) for k in (1, 2, 3, 4))
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    skew, tail = third / variance**1.5, fourth / variance**2
    reach = z + (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * tail / 24 - (2 * z**3 - 5 * z) * skew**2 / 36
    totals = draw.normal(sentences * differences.total, math.sqrt(sentences) * differences.deviation, CORPORA)
    ends = (mean + np.sqrt(variance) * reach) / np.clip(totals, 1, None)
    return float((ends * 100 <= margin_pp).mean())


def plan_from_pair(
    one: EvaluationRecord, two: EvaluationRecord, margin_pp: float, *, level: float = LEVEL
) -> Plan | None:
    """What a gate needs if the candidate is as good as the baseline and differs from it as these two do.

    None without any gold entity.
    """
    table = counts(one)
    if not table[:, 2].any():
        return None
    return plan(
        observed(table, counts(two)), margin_pp, f"if {two.variant} differs from its baseline as here", level=level
    )


def plan(differences: Differences, margin_pp: float, basis: str, *, level: float = LEVEL) -> Plan:
    """The fewest sentences for each power, to two digits, rounded up."""
    found = [_fewest(differences, margin_pp, wanted, level) for wanted in POWERS]
    return Plan(
        margin_pp=margin_pp,
        sentences=tuple(found),
        entities=tuple(None if n is None else _two_digits(n * differences.entities) for n in found),
        basis=basis,
    )


def _fewest(differences: Differences, margin_pp: float, wanted: float, level: float) -> int | None:
    low, high = 1, 16
    while power(differences, high, margin_pp, level=level) < wanted:
        low, high = high, high * 2
        if high > MOST_SENTENCES:
            return None
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        if power(differences, middle, margin_pp, level=level) < wanted:
            low = middle
        else:
            high = middle
    return _two_digits(high)


def _two_digits(value: float) -> int:
    scale: int = 10 ** max(0, math.floor(math.log10(max(1.0, value))) - 1)
    return math.ceil(value / scale) * scale
