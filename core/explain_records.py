"""Immutable results of an explanation: where the time of an artifact goes, and what bounds it."""

from __future__ import annotations

from .records import Machine, Record, WorkloadFacts

# Names of groups that an explanation is about; the others are in bench/explain.py.
PRODUCTS = "products with weights"
QUANTIZING = "quantizing activations"
OUTSIDE = "outside the model"


class OperatorGroup(Record, frozen=True, kw_only=True):
    """Operators of one kind: their time for one text in ms, and how often they run for it."""

    name: str
    ms: float
    calls: float
    operators: tuple[str, ...]


class Products(Record, frozen=True, kw_only=True):
    """The matrix products with weights, for one text.

    `macs` counts multiply-accumulate operations, `bytes` the weights that they read. `peak_macs_per_s` is the rate of
    one large product of the same precision in the same process, `bytes_per_s` the rate at which as many bytes can be
    read.
    """

    precision: str
    ms: float
    macs: float
    bytes: int
    peak_macs_per_s: float
    bytes_per_s: float

    @property
    def reached(self) -> float:
        """Share of the peak."""
        return self.macs / (self.ms / 1e3) / self.peak_macs_per_s if self.ms and self.peak_macs_per_s else 0.0

    @property
    def reading_ms(self) -> float:
        """The least time that reading the weights takes."""
        return self.bytes / self.bytes_per_s * 1e3 if self.bytes_per_s else 0.0


class Explanation(Record, frozen=True, kw_only=True):
    """Where the time of an artifact goes: by groups of operators, and outside the model.

    `ms` is the mean time for a text, `outside_ms` its part for tokenizing, decoding tags and Python. `products`
    is None where the back end does not report them. `why` says what bounds the speed.
    """

    variant: str
    artifact: str
    machine: Machine
    workload: WorkloadFacts
    threads: int
    texts: int
    tokens: float
    ms: float
    outside_ms: float
    groups: tuple[OperatorGroup, ...]
    products: Products | None
    why: str
