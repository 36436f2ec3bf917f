"""Why an artifact is as fast as it is: the bound in one sentence, and the explanation as tables. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.explain_records import OUTSIDE, PRODUCTS, QUANTIZING, Explanation, OperatorGroup, Products
from .content import Part, Table, Text
from .formatting import megabytes, milliseconds

# Shares of the time of a text from which something is named as what bounds it.
MOSTLY_OUTSIDE = 0.4
FEW_PRODUCTS = 0.4
MUCH_QUANTIZING = 0.25
READING = 0.6


def why(
    groups: Sequence[OperatorGroup],
    products: Products | None,
    *,
    ms: float,
    outside_ms: float,
    precision: str,
    wide_dot_products: bool,
) -> str:
    """What bounds an artifact, in a sentence; the first reason of a fixed order that holds.

    `precision` is the variant's, `wide_dot_products` whether the processor multiplies eight-bit integers in wide
    registers (VNNI, AMX or the like).
    """
    spent = {group.name: group.ms for group in groups}
    multiplying = spent.get(PRODUCTS, 0.0)
    integers = precision == "int8"
    if integers and not wide_dot_products:
        return (
            "This processor has no wide integer dot product (VNNI, AMX or the like), so INT8 saves memory here and "
            "little or no time; on a processor that has one it does."
        )
    if outside_ms > MOSTLY_OUTSIDE * ms:
        return (
            f"The model is small: {outside_ms / ms * 100:.0f} % of the time goes to the tokenizer, tags and Python, "
            "which no precision changes."
        )
    if multiplying < FEW_PRODUCTS * ms:
        return (
            f"Too small, or not fused: products with weights take {multiplying / ms * 100:.0f} % of the time, and they "
            "are all that INT8 makes faster."
        )
    if integers and spent.get(QUANTIZING, 0.0) > MUCH_QUANTIZING * multiplying:
        return (
            f"Quantizing the activations takes {milliseconds(spent[QUANTIZING])} beside {milliseconds(multiplying)} of "
            "products: at these sizes it costs much of what eight-bit products save."
        )
    if products and products.reading_ms > READING * products.ms:
        return (
            f"Memory-bound: reading {megabytes(products.bytes)} of weights takes at least "
            f"{milliseconds(products.reading_ms)} of the {milliseconds(products.ms)} of the products. Batches of texts "
            "read them once for all; a smaller model or precision reads less."
        )
    if products:
        more = "" if integers else "; INT8 products can do better where the processor has wide integer dot products"
        return (
            f"Compute-bound: products take {multiplying / ms * 100:.0f} % of the time, at "
            f"{products.reached * 100:.0f} % of what one large {products.precision} product reaches here{more}."
        )
    return f"Products take {multiplying / ms * 100:.0f} % of the time."


def parts(explanation: Explanation) -> list[Part]:
    """The explanation as parts of a report."""
    total = explanation.ms
    lines = [
        (group.name, milliseconds(group.ms), f"{group.ms / total * 100:.0f} %", f"{group.calls:.0f}", _few(group))
        for group in explanation.groups
    ]
    outside = explanation.outside_ms
    lines.append((OUTSIDE, milliseconds(outside), f"{outside / total * 100:.0f} %", "", "tokenizer, tags, Python"))
    title = f"{explanation.artifact}: {milliseconds(total)} a text of {explanation.tokens:.0f} tokens on average"
    found: list[Part] = [Table(title=title, headings=("where", "time", "share", "runs", "operators"), lines=lines)]
    if products := explanation.products:
        found += [Text(""), _products(products)]
    return [*found, Text(""), Text(explanation.why)]


def _products(products: Products) -> Table:
    rate = products.macs / (products.ms / 1e3) if products.ms else 0.0
    return Table(
        title=f"Products with weights ({products.precision})",
        headings=("", "for one text", "a second", "most, measured here", "share"),
        lines=[
            (
                "multiplications",
                f"{products.macs / 1e9:.2f} G",
                f"{rate / 1e9:.0f} G",
                f"{products.peak_macs_per_s / 1e9:.0f} G",
                f"{products.reached * 100:.0f} %",
            ),
            (
                "weights read",
                megabytes(products.bytes),
                f"{products.bytes / (products.ms / 1e3) / 1e9:.1f} GB" if products.ms else "-",
                f"{products.bytes_per_s / 1e9:.1f} GB",
                f"{products.reading_ms / products.ms * 100:.0f} %" if products.ms else "-",
            ),
        ],
    )


def _few(group: OperatorGroup, most: int = 3) -> str:
    more = len(group.operators) - most
    return ", ".join(group.operators[:most]) + (f" and {more} more" if more > 0 else "")
