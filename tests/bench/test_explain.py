"""Where the time goes: groups add up, the size of the products is that of the weights, and the reason fits them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from safetensors import safe_open
from slimner.core.explain_records import PRODUCTS, QUANTIZING, OperatorGroup, Products
from slimner.jobs import explain
from slimner.reports.explain import why

from ..conftest import Slimner


def weights_of_products(checkpoint: Path) -> int:
    """Elements of the weights that every token is multiplied with: all matrices but the tables of embeddings."""
    with safe_open(checkpoint / "model.safetensors", "np") as file:
        names = list(file.keys())
        shapes = {name: file.get_slice(name).get_shape() for name in names}
    return sum(math.prod(shape) for name, shape in shapes.items() if len(shape) == 2 and "embeddings" not in name)


@pytest.mark.parametrize(("variant", "width"), [("onnx-fp32", 4), ("onnx-int8", 1)])
def test_the_products_are_those_of_the_weights_and_the_groups_add_up(
    variant: str, width: int, artifacts: dict[str, Path], tiny_checkpoint: Path, small_workload: Path
) -> None:
    found = explain(artifacts[variant], workload=small_workload)
    elements = weights_of_products(tiny_checkpoint)
    assert found.products is not None
    assert found.products.macs == pytest.approx(elements * found.tokens, rel=0.01)
    assert found.products.bytes == pytest.approx(elements * width, rel=0.05)
    assert found.products.peak_macs_per_s > 0
    assert found.products.bytes_per_s > 0
    assert sum(group.ms for group in found.groups) + found.outside_ms == pytest.approx(found.ms, rel=0.05)
    names = {group.name for group in found.groups}
    assert {PRODUCTS, "normalization", "attention"} <= names
    assert (QUANTIZING in names) == (variant == "onnx-int8")


def test_torch_is_profiled_too_and_the_command_says_what_bounds_it(
    artifacts: dict[str, Path], small_workload: Path, slimner: Slimner
) -> None:
    done = slimner("explain", artifacts["fp32"], "--workload", small_workload)
    assert done.returncode == 0, done.stderr
    assert "products with weights" in done.stdout
    assert "outside the model" in done.stdout


def reason(
    multiplying: float,
    *,
    quantizing: float = 0.0,
    outside: float = 1.0,
    other: float = 1.0,
    precision: str = "int8",
    wide: bool = True,
    reading_ms: float = 1.0,
) -> str:
    """The reason for times in ms."""
    groups = [
        OperatorGroup(name=name, ms=ms, calls=1, operators=("X",))
        for name, ms in ((PRODUCTS, multiplying), (QUANTIZING, quantizing), ("other", other))
    ]
    products = Products(
        precision=precision, ms=multiplying, macs=1e9, bytes=round(reading_ms * 1e7), peak_macs_per_s=1e12,
        bytes_per_s=1e10,
    )  # fmt: skip
    ms = multiplying + quantizing + other + outside
    return why(groups, products, ms=ms, outside_ms=outside, precision=precision, wide_dot_products=wide)


def test_each_bound_has_its_sentence() -> None:
    assert "no wide integer dot product" in reason(10, wide=False)
    assert "no wide" not in reason(10, wide=False, precision="fp32")
    assert "tokenizer, tags and Python" in reason(1, outside=5)
    assert "Too small, or not fused" in reason(2, other=6)
    assert "Quantizing the activations takes 3.00 ms" in reason(10, quantizing=3)
    assert "Memory-bound: reading 80 MB" in reason(10, reading_ms=8)
    assert "Compute-bound: products take 83 %" in reason(10)
    assert "INT8 products can do better" in reason(10, precision="fp32")
