"""What a user demands of a variant, read from TOML: constraints, an objective, a tie rule, and margins of a gate."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from ..core.errors import UserError
from ..core.metrics import METRICS, WRITTEN, Metric, canonical, limits, margined, objectives
from ..core.outside import decode_toml, read_text
from ..core.records import Record
from ..core.units import POINTS, SHARES, SIZES, quantity
from .formatting import show

F1_DROP = "f1_max_drop"
AUTO = "auto"
MOST_POINTS = 100.0


class Policy(Record, frozen=True, kw_only=True):
    """Demands on a winner, and how much worse than its baseline a candidate may be.

    `f1_max_drop_pp` is in percentage points; `limits` are in the base unit of their metric (bytes, ms, s, 1/s, F1 in
    0..1); `objective` gives the weight of each metric in the geometric mean to be minimized (metrics that should be
    large count inversely); `tie` and `margins` are relative. Margins that the policy does not give are
    the built-in ones.
    """

    source: str = "the built-in policy"
    f1_max_drop_pp: float | None = 0.5
    limits: dict[str, float] = msgspec.field(default_factory=dict)
    objective: dict[str, float] = msgspec.field(default_factory=lambda: {"memory": 1.0})
    tie: float = 0.02
    margins: dict[str, float | None] = msgspec.field(default_factory=dict)

    def describe(self) -> str:
        """The policy in one line."""
        parts = [] if self.f1_max_drop_pp is None else [f"F1 may drop {self.f1_max_drop_pp:g} pp"]
        for key, value in self.limits.items():
            metric = limits()[key]
            parts.append(f"{metric.title} at {'least' if metric.higher_is_better else 'most'} {show(metric, value)}")
        goal = " and ".join(
            f"{'most' if METRICS[name].higher_is_better else 'least'} {METRICS[name].title}"
            + (f" (weight {weight:g})" if len(self.objective) > 1 else "")
            for name, weight in self.objective.items()
        )
        return f"{', '.join((*parts, goal))}, ties within {self.tie * 100:g} % to the simpler ({self.source})"


def read_policy(path: str | Path) -> Policy:
    """A policy from a TOML file; UserError names file, line, what is wrong and what would be right."""
    path = Path(path)
    text = read_text(path, remedy="give a TOML file in UTF-8; docs/guide/policy.md shows one")
    return _Reader(path, text, decode_toml(text, path)).policy()


def _margin_units(metric: Metric) -> Mapping[str, float]:
    return WRITTEN[metric.unit] if metric.difference else SHARES


class _Reader:
    """One policy file."""

    def __init__(self, path: Path, text: str, content: dict[str, Any]) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.content = content

    def policy(self) -> Policy:
        self._known(self.content, ("constraints", "objective", "weights", "tie", "margins"))
        if not self.content:
            raise UserError(f"{self.path}: the policy is empty", "docs/guide/policy.md shows one")
        known = limits()
        constraints = self._table("constraints", (F1_DROP, *known))
        limited = {
            key: self._number(key, value, WRITTEN[known[key].unit], "constraints")
            for key, value in constraints.items()
            if key != F1_DROP
        }
        drop = None
        if F1_DROP in constraints:
            drop = self._number(F1_DROP, constraints[F1_DROP], POINTS, "constraints")
            if drop > MOST_POINTS:
                self._refuse(F1_DROP, f"{drop:g} pp is more than there is to lose", "give at most 100pp", "constraints")
        self._contradictions(limited)
        tie = self._number("tie", self.content["tie"], SHARES) if "tie" in self.content else Policy().tie
        margins = {
            key: None if value == AUTO else self._number(key, value, _margin_units(METRICS[key]), "margins")
            for key, value in self._table("margins", margined()).items()
        }
        return Policy(
            source=str(self.path),
            f1_max_drop_pp=drop,
            limits=limited,
            objective=self._objective(),
            tie=tie,
            margins=margins,
        )

    def _objective(self) -> dict[str, float]:
        if "weights" in self.content and "objective" in self.content:
            self._refuse("weights", "objective and weights contradict each other", "keep one of them")
        if "weights" not in self.content:
            name = canonical(str(self.content.get("objective", "memory")))
            if name not in objectives():
                self._refuse("objective", f"unknown objective {name!r}", self._near(name, objectives()))
            return {name: 1.0}
        weights = self._table("weights", objectives())
        for name, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
                self._refuse(name, f"a weight is a number above 0, not {weight!r}", "as in memory = 2", "weights")
        if not weights:
            self._refuse("weights", "no weights", "name at least one metric, as in memory = 2")
        return {name: float(weight) for name, weight in weights.items()}

    def _contradictions(self, limited: Mapping[str, float]) -> None:
        for lower, upper in (("memory_max", "peak_max"), ("p50_max", "p95_max")):
            if lower in limited and upper in limited and limited[lower] > limited[upper]:
                name, other = limits()[lower].title, limits()[upper].title
                self._refuse(
                    lower,
                    f"{lower} is above {upper}, though {name} is never above {other}: it demands nothing",
                    f"lower {lower}, or remove it",
                    "constraints",
                )
        if limited.get("f1_min", 0) > 1:
            self._refuse("f1_min", "an F1 above 100 % does not exist", "give at most 100%", "constraints")
        for key, value in limited.items():
            if value == 0:
                self._refuse(
                    key,
                    f"{key} of 0 leaves no variant" if key.endswith("max") else f"{key} of 0 demands nothing",
                    "give a figure above 0",
                    "constraints",
                )

    def _table(self, name: str, known: Iterable[str]) -> dict[str, Any]:
        table = self.content.get(name, {})
        if not isinstance(table, dict):
            self._refuse(name, f"{name} is a table", f"write [{name}] and a key a line")
        renamed = {canonical(key): value for key, value in table.items()}
        if len(renamed) < len(table):
            self._refuse(name, f"[{name}] gives one metric under two names", "keep one of them")
        self._known(renamed, tuple(known), name)
        return renamed

    def _known(self, table: Mapping[str, Any], known: tuple[str, ...], section: str = "") -> None:
        for key in table:
            if key not in known:
                aliases = [alias for metric in METRICS.values() for alias in (*metric.aliases, *metric.limit_aliases)]
                others = [alias for alias in aliases if canonical(alias) in known]
                self._refuse(key, f"unknown key '{key}'", self._near(key, (*known, *others)), section)

    def _number(self, key: str, value: Any, units: Mapping[str, float], section: str = "") -> float:
        if not isinstance(value, str):
            unit = next(iter(units)) if units is not SIZES else "MB"
            self._refuse(
                key, f"{value!r} has no unit", f'write it as text with its unit: {key} = "{value}{unit}"', section
            )
        try:
            return quantity(value, units)
        except ValueError as error:
            self._refuse(key, str(error), f"correct {key}", section)

    @staticmethod
    def _near(name: str, known: Iterable[str]) -> str:
        names = list(known)
        near = dict.fromkeys(map(canonical, difflib.get_close_matches(name, names, n=2, cutoff=0.5)))
        others = ", ".join(dict.fromkeys(map(canonical, names)))
        return f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {others}"

    def _refuse(self, key: str, what: str, remedy: str, section: str = "") -> NoReturn:
        raise UserError(f"{self.path}:{self._line(key, section)}: {what}", remedy)

    def _line(self, key: str, section: str) -> int:
        """Number of the line that gives a key (or opens its table) in a section; 1 if it is written in another way."""
        inside = ""
        for number, line in enumerate(self.lines, 1):
            if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
                inside = header.group(1)
                if inside == key and not section:
                    return number
            given = re.match(r"\s*[\"']?([\w-]+)[\"']?\s*[.=]", line)
            if given and inside == section and key in (given.group(1), canonical(given.group(1))):
                return number
        return 1
