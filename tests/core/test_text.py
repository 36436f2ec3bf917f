"""What came from outside reaches no medium raw: terminal, workflow command, Markdown, XML."""

from __future__ import annotations

import unicodedata
from xml.etree import ElementTree

import hypothesis.strategies as st
import pytest
from hypothesis import given
from slimner.core import text
from slimner.core.gate_records import Check, GateRecord
from slimner.reports.gate_output import github_annotations, junit, summary
from slimner.reports.tables import markdown

HOSTILE = st.text(
    st.sampled_from("\x00\x07\x1b\n\r\t\x7f\x85\x9b\u2028\u2029\u202e\u2066\ufeff\ufffe\U000e0041[]2J|`*<>&%:,#a王")
    | st.characters(),
    max_size=30,
)


def gate(message: str, name: str = "F1", variant: str = "v") -> GateRecord:
    check = Check(variant=variant, name=name, outcome="regression", message=message)
    return GateRecord(
        outcome="regression",
        exit_code=1,
        baseline=message,
        candidate=variant,
        policy=message,
        margins="m",
        checks=(check,),
        calibration=message,
    )


def commands(value: str) -> list[str]:
    """Characters of a text that end a line, move a cursor or reorder what is read."""
    return [c for c in value if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or "\u202a" <= c <= "\u202e"]


@given(HOSTILE)
def test_a_line_holds_no_command_and_keeps_what_is_none(value: str) -> None:
    shown = text.line(value)
    assert commands(shown) == []
    assert text.line(shown) == shown


def test_what_people_write_stays_as_it_is() -> None:
    for value in ("北京市 café ± 3 %", "👩‍👩‍👧", "می‌خواهم", "path/to\\file.json"):
        assert text.line(value) == value
    assert text.line("a\x1b[2Jb\nc\u202ed\udc80") == r"a\x1b[2Jb\nc\u202ed\udc80"


@given(HOSTILE, HOSTILE, HOSTILE)
def test_an_annotation_is_one_command_whose_parts_end_nowhere_else(message: str, name: str, variant: str) -> None:
    (line,) = github_annotations(gate(message, name, variant))
    assert commands(line) == []
    head, _, _ = line.removeprefix("::").partition("::")
    assert head.startswith("error title=")
    assert not set(head.removeprefix("error title=")) & set(":,")


@given(HOSTILE, HOSTILE, HOSTILE)
def test_junit_is_well_formed_xml_without_commands(message: str, name: str, variant: str) -> None:
    written = junit(gate(message, name, variant))
    root = ElementTree.fromstring(written.encode("utf-8"))
    (failure,) = root.iter("failure")
    assert failure.get("message") == text.line(message)
    assert set(commands(written)) <= {"\n"}


@given(HOSTILE, HOSTILE)
def test_a_table_in_markdown_has_the_rows_and_cells_it_was_given(one: str, two: str) -> None:
    lines = markdown(("a", "b"), [(one, two)]).split("\n")
    assert len(lines) == 3
    assert commands("".join(lines)) == []
    bare = lines[2].replace("\\\\", "").replace("\\|", "").replace("\\<", "").replace("\\`", "")
    assert bare.count("|") == 3
    assert not set(bare) & set("<`")


@given(HOSTILE)
def test_a_summary_has_no_commands(message: str) -> None:
    assert set(commands(summary(gate(message)))) <= {"\n"}


@given(HOSTILE.map(lambda value: value + "`" * 5))
def test_a_fence_is_longer_than_what_is_in_it(value: str) -> None:
    first, *inner, last = text.fenced(value).split("\n")
    assert first == last + "text"
    assert all(last not in line for line in inner)


@pytest.mark.parametrize("value", ["::stop-commands::x", "a\n  ::set-env name=x::y", "x ##[group]y", "\t::add-mask::1"])
def test_a_log_has_no_workflow_command_in_it(value: str) -> None:
    shown = text.without_commands(value)
    assert "##[" not in shown
    assert not any(line.lstrip().startswith("::") for line in shown.split("\n"))
    assert text.without_commands("a::b ## [c]\n - ::") == "a::b ## [c]\n - ::"
