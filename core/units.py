"""Figures with a unit as people write them: `300MB`, `512Mi`, `120ms`, `0.5pp`, `2%`, `35/s`."""

from __future__ import annotations

import re
from collections.abc import Mapping

SIZES = {
    "b": 1,
    **{f"{letter}{end}": 10 ** (3 * n) for n, letter in enumerate("kmgt", 1) for end in ("", "b")},
    **{f"{letter}i{end}": 1 << (10 * n) for n, letter in enumerate("kmgt", 1) for end in ("", "b")},
}
"""Bytes by unit: powers of 1,000, with an i of 1,024, and the B may be left out, as Kubernetes and Docker do."""

MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "min": 60e3}
SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0}
SHARES = {"%": 0.01}
POINTS = {"pp": 1.0}
RATES = {"/s": 1.0}

NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([^\s0-9.]*)\s*")


def parse_size(text: str) -> int:
    """Bytes of a size above 0 with its unit (512MB, 512M and 512m are 512 million, 512Mi 2**29), or ValueError."""
    try:
        size = int(quantity(text, SIZES))
    except ValueError:
        size = 0
    if size < 1:
        raise ValueError(f"'{text}' is not a size; write it as 512MB or 2Gi")
    return size


def quantity(text: str, units: Mapping[str, float]) -> float:
    """The number in the base unit of `units` (whose factor is 1); ValueError says which units there are."""
    match = NUMBER.fullmatch(text)
    factor = units.get(match.group(2).lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"'{text}' is not a number with one of the units {', '.join(units)}")
    return float(match.group(1)) * factor
