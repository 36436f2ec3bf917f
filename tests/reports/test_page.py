"""The page of a report: complete, safe with any text, and small."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
from slimner.core.records import Found, Matches, Results
from slimner.eval import Differences
from slimner.eval.differences import Difference
from slimner.reports import Beside, decide, report_of, rows_of
from slimner.reports.page import page
from slimner.reports.report import write_page

from ..made import make

HOSTILE = "</script><script>alert(1)</script><b>\"'&\u202e李明\x1b[31m"


def differences(variant: str, count: int, text: str) -> Differences:
    """`count` sentences in which a variant finds the first two characters otherwise."""
    one = Difference(
        sentence=0,
        text=text,
        kind="retyped",
        baseline=Found(start=0, end=2, type="PER"),
        candidate=Found(start=0, end=2, type="LOC"),
        was_right=True,
        is_right=False,
    )
    return Differences(
        baseline="fp32",
        candidate=variant,
        variant=variant,
        corpus="c",
        sentences=count,
        differences=tuple(msgspec.structs.replace(one, sentence=i) for i in range(count)),
    )


def many(count: int) -> Results:
    """Results of so many variants, each leaner than the one before, with partial matches."""
    figures = {"fp32": (360, 400, 8.0)} | {f"variant-{i}": (360, 300 - i, 7.0 - i / 3) for i in range(1, count)}
    results = make(figures)
    counted = {kind: Matches(right=300, boundary=20, type=10, missed=5, spurious=7) for kind in ("LOC", "PER")}
    return msgspec.structs.replace(
        results,
        evaluations=tuple(msgspec.structs.replace(e, matches=counted, predictions=()) for e in results.evaluations),
    )


class Page(HTMLParser):
    """Tags, text, and what a page names to be fetched."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.fetched: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "data", "action", "srcset") and not (value or "").startswith("#"):
                self.fetched.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def made(results: Results, beside: Beside | None = None) -> str:
    rows = rows_of(results)
    return page(report_of(results, rows, decide(rows, {}), beside))


def test_a_page_says_the_decision_and_its_reservations_before_anything_else() -> None:
    results = many(3)
    rows = rows_of(results)
    decision = decide(rows, {})
    report = report_of(results, rows, decision)
    text = re.sub(r"\s+", " ", "".join(Page(page(report)).text))
    assert report.decision.startswith("Use variant-2 in place of fp32: memory -25 %")
    places = [text.index(said) for said in (report.decision, *report.reservations[:1])]
    assert places == sorted(places)
    assert max(places) < text.index("policy")
    for title in ("F1 by type", "Partial matches", "Latency", "Memory by stage", "Before and after", "Machine"):
        assert title in text


def test_ten_variants_with_thousands_of_differing_sentences_stay_small(tmp_path: Path) -> None:
    results = many(10)
    changed = [differences(f"variant-{i}", 1600, "李明在上海见到了王建国。" * 4) for i in range(1, 10)]
    rows = rows_of(results)
    report = report_of(results, rows, decide(rows, {}), Beside(differences=changed))
    write_page(tmp_path / "report.html", report)
    assert (tmp_path / "report.html").stat().st_size < 3_000_000
    assert "more sentences are in differences.json" in (tmp_path / "report.html").read_text()


def test_no_text_of_a_record_becomes_markup_and_nothing_is_fetched() -> None:
    results = many(3)
    results = msgspec.structs.replace(
        results, checkpoint=msgspec.structs.replace(results.checkpoint, name=HOSTILE, architecture=HOSTILE)
    )
    html = made(results, Beside(differences=[differences("variant-1", 2, HOSTILE)]))
    found = Page(html)
    clean = Page(made(many(3), Beside(differences=[differences("variant-1", 2, "a" * 60)])))
    assert sorted(found.tags) == sorted(clean.tags)
    assert found.fetched == []
    assert "http" not in html.replace("http-equiv", "")
    assert "\u202e" not in html
    assert "\x1b" not in html


def test_a_page_of_nothing_but_failures_is_whole() -> None:
    html = made(make({}, broken=("fp32",)))
    assert "No winner" in html
    assert "F1 against" not in html
