"""The page of a report in a real Chromium: what a reader sees and does, with a pointer, with keys, on paper."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from slimner.core.records import Found
from slimner.reports import Beside, decide, report_of, rows_of
from slimner.reports.page import page as written

from .test_page import differences, many

pytestmark = pytest.mark.browser

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("*.html"))
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TEXT = "李明和王建国在上海见面，随后前往北京大学。"

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of four variants with sentences that differ."""
    results = many(4)
    one, two = (differences(f"variant-{i}", 3, TEXT) for i in (1, 2))
    first = msgspec.structs.replace(
        one.differences[0], kind="gained", baseline=None, candidate=Found(start=16, end=20, type="ORG"), is_right=True
    )
    one = msgspec.structs.replace(one, differences=(first, *one.differences[1:]))
    rows = rows_of(results)
    report = report_of(results, rows, decide(rows, {}), Beside(differences=[one, two]))
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(written(report), encoding="utf-8")
    return path


@pytest.fixture
def visit(browser: Any, made: Path) -> Iterator[Open]:
    """Open a page from its file; that it asks for nothing and complains of nothing is checked when the test ends."""
    contexts: list[Any] = []
    wrong: list[str] = []

    def opened(path: Path = made, *, width: int = 1280, height: int = 860, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda sent: sent.url == path.as_uri() or wrong.append(f"asked for {sent.url}"))
        page.on("console", lambda said: wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [one for one in wrong if not one.startswith("asked for blob:")] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_nothing_runs_out_of_the_page(visit: Open, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for path in EXAMPLES or [None]:
        page = visit(path, width=width, color_scheme=scheme) if path else visit(width=width, color_scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        found = axe.run(page, options={"runOnly": RULES}).response["violations"]
        assert found == [], json.dumps(found, indent=1)[:3000]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_first_screen_holds_the_decision_and_begins_the_reservations(visit: Open, width: int) -> None:
    page = visit(width=width, height=844)
    for locator in (page.locator(".decision p"), page.locator(".reservations li").first):
        box = locator.bounding_box()
        assert box["y"] + box["height"] <= 844


def test_a_table_is_sorted_by_the_figures_of_a_column(visit: Open) -> None:
    page = visit()
    table = page.locator("#comparison table").first
    names = lambda: table.locator("tbody th").all_text_contents()  # noqa: E731
    asked = names()
    table.get_by_role("button", name="memory").press("Enter")
    assert names() == ["variant-3", "variant-2", "variant-1", "fp32"]
    assert table.locator("th[aria-sort=ascending]").text_content() == "memory"
    table.get_by_role("button", name="memory").click()
    assert names() == ["fp32", "variant-1", "variant-2", "variant-3"]
    assert sorted(names()) == sorted(asked)
    winner = table.locator("tr.winner")
    assert winner.count() == 1
    assert "winner" in winner.inner_text()


def test_a_table_is_saved_with_full_digits_and_intervals(visit: Open, tmp_path: Path) -> None:
    page = visit()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV: Comparison").click()
    download.value.save_as(tmp_path / "table.csv")
    rows = list(csv.DictReader((tmp_path / "table.csv").open(encoding="utf-8")))
    assert [row["variant"] for row in rows] == ["fp32", "variant-1", "variant-2", "variant-3"]
    assert float(rows[1]["memory"]) == pytest.approx(299_000_000)
    assert float(rows[1]["p50 low"]) < float(rows[1]["p50"]) < float(rows[1]["p50 high"])


def test_points_of_a_chart_speak_to_pointer_and_keys(visit: Open) -> None:
    page = visit()
    plot = page.locator("figure").filter(has=page.get_by_role("heading", name="F1 against memory")).locator(".plot")
    plot.focus()
    page.keyboard.press("ArrowRight")
    spoken = page.locator("figure").first.locator(".spoken")
    assert re.match(r"variant-3 \(winner\): F1 90\.00 \(.*\), memory 297 MB", spoken.text_content())
    page.keyboard.press("ArrowRight")
    assert spoken.text_content().startswith("variant-2: ")
    page.keyboard.press("Escape")
    assert plot.locator(".says").is_hidden()
    plot.scroll_into_view_if_needed()
    at = plot.locator("path.dot").last.bounding_box()
    page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    assert plot.locator(".says").is_visible()


def test_sentences_are_filtered_by_variant_type_and_effect_and_show_both_labellings(visit: Open) -> None:
    page = visit()
    shown = page.locator(".list > li:visible")
    assert shown.count() == 6
    page.locator("select[data-filter=type]").select_option("ORG")
    assert shown.count() == 1
    assert page.locator("output").text_content() == "1 of 6 sentences"
    before, after = shown.locator("dd").all()
    assert before.locator("mark").count() == 0
    assert after.locator("mark.only").text_content() == "北京大学ORG"
    page.locator("select[data-filter=type]").select_option("")
    page.locator("select[data-filter=effect]").select_option("broken")
    assert shown.count() == 5
    page.locator("select[data-filter=variant]").select_option("variant-2")
    assert shown.count() == 3


def test_paper_shows_what_is_folded(visit: Open) -> None:
    page = visit()
    assert page.locator("details:not([open])").count() > 3
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 3


def test_a_page_without_script_shows_charts_tables_and_sentences(visit: Open) -> None:
    page = visit(java_script_enabled=False)
    assert page.locator("figure .dot").first.is_visible()
    assert page.locator("#comparison table").first.is_visible()
    assert page.locator(".list > li:visible").count() == 6
