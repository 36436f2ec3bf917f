"""What a sweep measures, read from TOML."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Annotated

import msgspec

from ...bench.workload import EMBEDDED as EMBEDDED_WORKLOAD
from ...core.errors import UserError
from ...core.machine import fingerprint
from ...core.outside import decode_toml, read_text
from ...core.records import Machine, Measuring
from ...eval.corpora import EMBEDDED
from ...reports import Policy, read_policy
from ...variants.variant import DEFAULT_EXPORTER

SHOWN = "docs/guide/sweep.md shows one"

Name = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10**6)]


class SweepPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to measure: each checkpoint on each workload with each number of threads is a cell, a run of its own.

    Without `variants` all that are installed are taken, without `workloads` the texts of the corpus. `policies` gives
    a policy file by kind of machine: a pattern (`*avx512_vnni*`, `*EPYC*`) of its instruction sets, the name of its
    processor or its fingerprint; the first that fits counts, and `policy` where none does.
    """

    checkpoints: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)] = (EMBEDDED,)
    variants: tuple[Name, ...] = ()
    baseline: Name = "fp32"
    corpus: Name | None = None
    workloads: tuple[Name, ...] = ()
    threads: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1)] = (1,)
    repetitions: Count = 3
    samples: Count = 200
    warmup: Annotated[int, msgspec.Meta(ge=0)] = 20
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 900.0
    tie_budget_s: Annotated[float, msgspec.Meta(ge=0)] = 120.0
    seed: int = 1
    exporter: Name = DEFAULT_EXPORTER
    policy: Name | None = None
    policies: dict[Name, Name] = {}

    def settings(self, threads: int) -> Measuring:
        """How each process of a cell is measured."""
        return Measuring(
            threads=threads, samples=self.samples, warmup=self.warmup, timeout_s=self.timeout_s, seed=self.seed
        )


def read_plan(path: str | Path) -> SweepPlan:
    """A plan from a TOML file; names of files in it are relative to it. UserError says what is wrong with it."""
    path = Path(path)
    content = decode_toml(read_text(path, remedy=f"give a TOML file in UTF-8; {SHOWN}"), path)
    try:
        plan = msgspec.convert(content, SweepPlan)
    except msgspec.ValidationError as error:
        keys = ", ".join(SweepPlan.__struct_fields__)
        raise UserError(f"{path}: {error}", f"the keys are {keys}; {SHOWN}") from None
    for key in ("checkpoints", "variants", "workloads", "threads"):
        values = getattr(plan, key)
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise UserError(f"{path}: {key} names {twice!r} twice", "keep one of them")

    def placed(name: str) -> str:
        return str(found.resolve()) if (found := path.parent / name).exists() else name

    def file(name: str, what: str) -> str:
        if not Path(placed(name)).is_file():
            raise UserError(f"{path}: {what} '{name}': no such file", "paths are relative to the plan")
        return placed(name)

    return msgspec.structs.replace(
        plan,
        checkpoints=tuple(map(placed, plan.checkpoints)),
        corpus=plan.corpus and placed(plan.corpus),
        workloads=tuple(name if name == EMBEDDED_WORKLOAD else file(name, "workload") for name in plan.workloads),
        policy=plan.policy and file(plan.policy, "policy"),
        policies={pattern: file(name, "policy") for pattern, name in plan.policies.items()},
    )


class Policies:
    """The policy of each kind of machine; all files are read, and refused, before anything is measured."""

    def __init__(self, plan: SweepPlan) -> None:
        self._default = read_policy(plan.policy) if plan.policy else Policy()
        self._by_pattern = [(pattern, read_policy(name)) for pattern, name in plan.policies.items()]

    def of(self, machine: Machine) -> Policy:
        """The policy that holds for a machine."""
        names = (machine.instructions, machine.cpu, fingerprint(machine))
        for pattern, policy in self._by_pattern:
            if any(fnmatch.fnmatchcase(name, pattern) for name in names):
                return policy
        return self._default
