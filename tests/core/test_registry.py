from __future__ import annotations

import pytest
from slimner.core.errors import UnknownNameError
from slimner.variants import VARIANTS


def test_an_unknown_name_lists_the_near_ones() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'onnx-int8'"):
        VARIANTS.get("onx-int8")


def test_a_name_with_no_neighbour_lists_all() -> None:
    with pytest.raises(
        UnknownNameError, match="known: ctranslate2-int8, dynamic-int8, fp32, imported, onnx-fp32, onnx-int8"
    ):
        VARIANTS.get("zzzzzzzz")


def test_the_built_in_variants_come_through_the_entry_point_group() -> None:
    assert {"fp32", "dynamic-int8", "onnx-fp32", "onnx-int8"} <= set(VARIANTS.names())
    for name in VARIANTS.names():
        assert VARIANTS.get(name).name == name
