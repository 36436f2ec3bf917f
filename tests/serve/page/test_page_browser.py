"""The page in a real Chromium, over a real server and model: what a visitor sees, does and takes away."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .conftest import TOKEN, Ask

pytestmark = pytest.mark.browser

Visit = Callable[..., Any]

NEWS = "同济大学教授林若棠昨天在上海表示，她将访问苏州。"
RED, CYAN, YELLOW = "rgb(255, 92, 124)", "rgb(45, 226, 255)", "rgb(255, 224, 74)"

HOSTILE = {
    "tags": '<script>window.pwned=1</script><img src=x onerror="window.pwned=1">'
    " 王建国在<b>上海</b>&amp;&lt;北京>说\"'`${1}",
    "right-to-left": "قال المتحدث 韩子墨 في بيروت 联合国 غدا.\u202e 王建国在上海 \u2067北京\u2069 \u202d李明\u202c دبي",
    "emoji": "👩🏽‍🚀沈星遥从文昌出发🚀！𠮷野家的顾小北在北京😭👨‍👩‍👧‍👦说❤️上海🇨🇳加油",
    "marks": "Z̷̛̲̈́a̴l̵g̶o 在上海见到王建国 e\u0301 ก็ 北京\u200b\u200d\ufeff",
    "white space": "  王建国\t在\n\n上海 \u3000北京\u00a0\u2028李明\r\n走了  ",
    "controls": "王建国\x01\x02在\x7f上海\x1b[31m北京",
    "half a character": "王建国\ud83d在\udc00上海",
    "one long word": "上海" + "a" * 3000 + "北京" + "https://example.org/" + "%20" * 500,
}

WALK = """() => {
  const found = []; let at = 0;
  for (const node of document.querySelector('#marked').childNodes) {
    const length = node.textContent.length;
    if (node.nodeType === 1) found.push([at, at + length, node.dataset.kind]);
    at += length;
  }
  return found;
}"""


def find(page: Any, text: str) -> None:
    """Write a text and wait until it is the one that is shown."""
    page.locator("#text").fill(text)
    page.locator("#go").click()
    page.wait_for_selector("html[data-state=done]")


def shown(page: Any) -> str:
    text: str = page.evaluate("document.querySelector('#marked').textContent")
    return text


def report(page: Any, name: str) -> None:
    """Keep a picture for whoever wants to look, in $SLIMNER_SCREENSHOTS."""
    if directory := os.environ.get("SLIMNER_SCREENSHOTS"):
        page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)


def test_people_are_red_places_cyan_organisations_yellow_and_listed_with_scores(visit: Visit, ask: Ask) -> None:
    page = visit()
    find(page, NEWS)
    expected = ask(NEWS)
    assert {entity["type"] for entity in expected} == {"PER", "LOC", "ORG"}
    for kind, colour in (("PER", RED), ("LOC", CYAN), ("ORG", YELLOW)):
        marks = page.locator(f"#marked mark[data-kind={kind}]")
        assert marks.all_text_contents() == [entity["text"] for entity in expected if entity["type"] == kind]
        assert marks.first.evaluate("mark => getComputedStyle(mark).color") == colour
        count = sum(entity["type"] == kind for entity in expected)
        assert (
            f"{count}"
            in page.locator("#types button", has_text=re.compile("People|Places|Organisations"))
            .filter(has_text={"PER": "People", "LOC": "Places", "ORG": "Organisations"}[kind])
            .inner_text()
        )
    assert page.locator("#entities bdi").all_text_contents() == [entity["text"] for entity in expected]
    assert page.locator("#entities small").all_text_contents() == [
        f"{entity['type']} {entity['score']:.3f}" for entity in expected
    ]
    assert re.fullmatch(r"[\d.,]+ ms on the server · [\d.,]+ ms in all", page.locator("#took").inner_text())
    report(page, "desktop")


def test_every_sample_is_answered_when_it_is_picked(visit: Visit) -> None:
    page = visit()
    for button in page.locator("#samples button").all():
        button.click()
        page.wait_for_selector("html[data-state=done]")
        assert shown(page) == page.locator("#text").input_value() != ""
        assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#nothing").is_visible()  # the last one has no names
    assert "No names found" in page.locator("#nothing").inner_text()
    assert page.locator("#marked mark").count() == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_shows_as_it_is_with_marks_where_the_server_put_them(visit: Visit, ask: Ask, name: str) -> None:
    page = visit()
    find(page, HOSTILE[name])
    text = (
        page.locator("#text")
        .evaluate("area => area.value")
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
    )
    text = text if name != "half a character" else "王建国\ufffd在\ufffd上海"
    assert shown(page) == text
    assert page.evaluate(WALK) == [[entity["start"], entity["end"], entity["type"]] for entity in ask(text)]
    assert page.locator("#marked mark").count() > 0
    assert set(page.evaluate("[...document.querySelectorAll('#marked *')].map(each => each.tagName)")) == {"MARK"}
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_twenty_thousand_characters_are_shown_whole_on_a_phone(visit: Visit) -> None:
    text = ("👩🏽‍🚀王建国在上海<b>说</b>：" + "x" * 20 + " " * 30 + "\n") * 320
    text = (text + "北京" * 10_000)[:20_000]
    page = visit(width=360, height=740)
    page.locator("#text").fill(text)
    assert page.locator("#count").inner_text().startswith("20,000 of ")
    with page.expect_response("**/v1/ner", timeout=60_000) as answered:
        page.locator("#go").click()
    expected = answered.value.json()["entities"]
    page.wait_for_selector("html[data-state=done]")
    assert shown(page) == text
    assert len(expected) > 300
    assert page.evaluate(WALK) == [[entity["start"], entity["end"], entity["type"]] for entity in expected]
    assert page.locator("#entities li").count() == len(expected)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_one_character_too_many_is_refused_with_what_to_do(visit: Visit) -> None:
    page = visit()
    most = page.evaluate("fetch('v1/info').then(answer => answer.json())")["limits"]["text_characters"]
    page.locator("#text").fill("𠮷" * (most + 1))
    assert page.locator("#count").inner_text() == f"{most + 1:,} of {most:,} characters, 1 too many"
    page.locator("#go").click()
    assert "shorten it by 1" in page.get_by_role("alert").inner_text()
    assert page.locator("html[data-state=empty]").count() == 1


@pytest.fixture(scope="module")
def spans_page(browser: Any, server: str) -> Any:
    """A page whose modules can be called."""
    page = browser.new_page()
    page.goto(server)
    page.evaluate(
        "import(document.querySelector('script').src.replace('page.js', 'spans.js')).then(m => window.spans = m)"
    )
    return page


TEXTS = st.text(st.sampled_from("aé中𠮷👩🏽\u200d<>&\"'\n\u202e\u0301ا"), max_size=30)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=TEXTS, data=st.data())
def test_overlapping_and_impossible_entities_never_move_a_mark(spans_page: Any, text: str, data: st.DataObject) -> None:
    units = text.encode("utf-16-le")
    length = len(units) // 2
    bounds = st.integers(-2, length + 2)
    spans = data.draw(st.lists(st.tuples(bounds, bounds, st.sampled_from(["PER", "LOC", "x<y"])), max_size=6))

    def cut(start: int, end: int) -> str:
        return units[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")

    inside = {len(text[:i].encode("utf-16-le")) // 2 for i in range(len(text) + 1)}
    entities = [
        {"start": s, "end": e, "type": kind, "text": cut(max(s, 0), max(e, 0)), "score": 1} for s, e, kind in spans
    ]
    good = [
        each
        for each in entities
        if 0 <= each["start"] < each["end"] <= length and {each["start"], each["end"]} <= inside
    ]
    found = spans_page.evaluate(
        """([text, entities]) => {
          const fit = spans.fitting(text, entities);
          const probe = document.createElement('template');
          probe.innerHTML = spans.html(text, fit);
          for (const label of probe.content.querySelectorAll('small')) label.remove();
          return { fit, pieces: spans.pieces(text, fit), html: probe.content.textContent,
                   tags: [...probe.content.querySelectorAll('*')].map(each => each.tagName) };
        }""",
        [
            text,
            [
                {**each, "text": each["text"].encode("utf-16", "surrogatepass").decode("utf-16", "replace")}
                for each in entities
            ],
        ],
    )
    key = lambda each: (each["start"], each["end"], each["type"])  # noqa: E731
    assert sorted(map(key, found["fit"])) == sorted(map(key, good))
    assert "".join(piece["text"] for piece in found["pieces"]) == text
    assert found["html"] == text
    assert set(found["tags"]) <= {"DIV", "MARK"}
    at = 0
    ended = []
    for piece in found["pieces"]:
        end = at + len(piece["text"].encode("utf-16-le")) // 2
        over = [each for each in found["fit"] if each["start"] < end and each["end"] > at]
        assert (piece["over"] >= 0) == bool(over)
        if over:
            chosen = found["fit"][piece["over"]]
            assert chosen["end"] - chosen["start"] == min(each["end"] - each["start"] for each in over)
        assert all(found["fit"][index]["end"] == end for index in piece["ends"])
        ended += piece["ends"]
        at = end
    assert sorted(ended) == list(range(len(found["fit"])))


def test_types_have_colours_of_their_own_that_stay_and_can_be_read(visit: Visit) -> None:
    types = ["company", "game", "government", "movie", "book", "scene", "position", "DATE", "GPE", "公司", "产品"]
    types += [f"T{i}" for i in range(150)]
    page = visit()
    look = """types => import(document.querySelector('script').src.replace('page.js', 'spans.js')).then(spans => {
      const list = document.querySelector('#legend');
      return types.map(type => {
        const mark = document.createElement('mark');
        mark.style.setProperty('--ink-of-type', spans.colour(type));
        list.append(mark);
        const plain = getComputedStyle(mark).backgroundColor;
        mark.className = 'now';
        return [spans.colour(type), plain, getComputedStyle(mark).backgroundColor];
      });
    })"""
    found = page.evaluate(look, types)
    assert found == visit().evaluate(look, types)
    taken = [rgba(colour) for colour in (RED, CYAN, YELLOW)]
    for name, (colour, *grounds) in zip(types, found, strict=True):
        ink = tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        for ground in grounds:
            assert contrast(ink, rgba(ground)[:3]) >= 4.5, (name, colour, ground)
        assert contrast(ink, (14 / 255, 15 / 255, 28 / 255)) >= 7, name
        assert all(max(abs(a - b) for a, b in zip(ink, other, strict=False)) > 0.08 for other in taken), (name, colour)
    assert len({colour for colour, *_ in found[:11]}) == 11


def rgba(colour: str) -> tuple[float, ...]:
    """A computed colour as numbers from 0 to 1, opacity last."""
    numbers = [float(number) for number in re.findall(r"[\d.]+(?:e-?\d+)?", colour)]
    if colour.startswith("color("):
        return (*numbers[:3], numbers[3] if len(numbers) > 3 else 1.0)
    return (*(number / 255 for number in numbers[:3]), numbers[3] if len(numbers) > 3 else 1.0)


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2's contrast ratio of two opaque colours."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


TEXTS_AND_GROUNDS = """() => {
  const seen = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    const box = element.getBoundingClientRect();
    if (!(own || element.placeholder) || !box.width || element.closest('.hidden, :disabled, .skip, noscript')) continue;
    const grounds = [];
    let opacity = 1;
    for (let each = element; each; each = each.parentElement) {
      grounds.push(getComputedStyle(each).backgroundColor);
      opacity *= Number(getComputedStyle(each).opacity);
    }
    const style = getComputedStyle(element, element.placeholder && !element.value ? '::placeholder' : null);
    seen.push([element.tagName + '.' + element.className + '#' + element.id, style.color, grounds, opacity,
               element.textContent.slice(0, 20)]);
  }
  return seen;
}"""

GLOW = (0x22 / 255, 0x1C / 255, 0x28 / 255)  # the lightest the ground gets behind the header


def check_contrast(page: Any) -> int:
    """Every visible text has 4.5:1 against what is behind it; how many were looked at."""
    seen = page.evaluate(TEXTS_AND_GROUNDS)
    for name, colour, grounds, opacity, text in seen:
        ground: tuple[float, ...] = GLOW
        for layer in map(rgba, reversed(grounds)):
            if layer[3] == 1 and layer[:3] != rgba("rgb(7, 7, 15)")[:3]:
                ground = layer[:3]
            elif 0 < layer[3] < 1:
                ground = tuple(layer[3] * a + (1 - layer[3]) * b for a, b in zip(layer[:3], ground, strict=True))
        ink = rgba(colour)
        alpha = ink[3] * opacity
        seen_ink = tuple(alpha * a + (1 - alpha) * b for a, b in zip(ink[:3], ground, strict=True))
        assert contrast(seen_ink, ground) >= 4.5, (name, text, colour, ground)
    return len(seen)


def test_all_text_has_enough_contrast_and_axe_finds_nothing_in_any_state(visit: Visit, guarded_server: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def check(page: Any, at_least: int) -> None:
        assert check_contrast(page) >= at_least
        found = axe.run(
            page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
        )
        assert found.response["violations"] == [], json.dumps(found.response["violations"], indent=1)[:3000]

    for width in (1280, 360):
        page = visit(width=width, height=800)
        page.locator("#go").click()  # nothing to look in: an error, beside the empty state
        page.get_by_role("alert").wait_for()
        check(page, 20)
        find(page, NEWS)
        page.locator("#entities button").first.focus()
        check(page, 40)
        page.locator("#types button").first.click()
        page.locator("#text").fill("改了")
        page.wait_for_selector("html[data-state=stale]")
        page.wait_for_timeout(200)
        check(page, 35)
    page = visit(guarded_server)
    page.locator("#token-value").wait_for()
    check(page, 15)
    report(page, "token")


def test_everything_can_be_done_with_the_keyboard_and_focus_is_always_seen(visit: Visit) -> None:
    page = visit()
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        name, style, width = page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.id || e.textContent.trim(), s.outlineStyle, parseFloat(s.outlineWidth)]; })()"
        )
        assert (style, width >= 2) == ("solid", True), name
        stops.append(name)
        if name == "text":
            break
    assert stops[0] == "Skip to the text"
    assert "News" in stops
    page.keyboard.insert_text(NEWS)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("html[data-state=done]")
    assert page.evaluate("document.activeElement.id") == "text"

    names = page.locator("#entities bdi").all_text_contents()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#entities') !== null"):
            break
    visited = []
    for key in ("ArrowDown", "ArrowDown", "End", "ArrowDown", "Home", "ArrowUp"):
        page.keyboard.press(key)
        visited.append(page.evaluate("document.activeElement.querySelector('bdi').textContent"))
        assert page.locator("#marked mark.now").all_text_contents() == visited[-1:]
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert visited == [names[1], names[2], names[-1], names[-1], names[0], names[0]]

    page.keyboard.press("Shift+Tab")  # back on the types
    kind = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "false"
    assert page.locator("#entities li:not([hidden])").count() < len(names), kind
    assert page.locator("#marked mark.off").count() == page.locator("#entities li[hidden]").count() > 0
    assert shown(page) == NEWS
    page.keyboard.press("Enter")
    assert page.locator("#marked mark.off").count() == 0


def test_nothing_scrolls_sideways_on_a_phone_and_fingers_hit_what_they_want(visit: Visit) -> None:
    page = visit(width=360, height=740, has_touch=True, is_mobile=True, device_scale_factor=2)
    for text in ("", NEWS, HOSTILE["one long word"], HOSTILE["right-to-left"]):
        if text:
            find(page, text)
        else:
            page.locator("#go").tap()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        for box in page.evaluate(
            "[...document.querySelectorAll('button, textarea')].filter(e => e.checkVisibility())"
            ".map(e => [e.textContent, e.offsetWidth, e.offsetHeight])"
        ):
            assert min(box[1:]) >= 40, box
        wide = page.evaluate(
            "[...document.querySelectorAll('.panel, .panel > *')].filter(e => e.getBoundingClientRect().right > 360"
            " && !e.closest('.samples')).map(e => e.className)"
        )
        assert wide == []
    find(page, NEWS)
    page.locator("#entities button").last.tap()
    assert page.locator("#marked mark.now").count() == 1
    report(page, "phone")


@pytest.mark.parametrize("missing", [("p95_ms",), ("p50_ms", "p95_ms", "pss_bytes", "per_s")])
def test_what_was_not_measured_leaves_the_rest_to_be_read(visit: Visit, missing: tuple[str, ...]) -> None:
    page = visit()

    def answer(route: Any) -> None:
        info = route.fetch().json()
        info["measured"] |= dict.fromkeys(missing)
        route.fulfill(json=info)

    page.route("**/v1/info", answer)
    page.reload()
    page.wait_for_selector("#facts dd")
    facts = page.locator("#facts").inner_text()
    for name in ("Latency", "Rate", "Memory", "On disk", "Artifact"):
        assert name in facts
    assert facts.count("not measured") == {1: 0, 4: 3}[len(missing)]
    assert ("p95" in facts) is False


@pytest.mark.parametrize("reduced", [True, False])
def test_motion_is_reduced_for_those_who_ask(visit: Visit, reduced: bool) -> None:
    page = visit(reduced_motion="reduce" if reduced else "no-preference")
    page.route("**/v1/ner", lambda route: None)  # never answered
    page.locator("#text").fill(NEWS)
    page.locator("#go").click()
    page.wait_for_selector("[aria-busy=true]")
    running = page.evaluate("document.getAnimations().filter(a => a instanceof CSSAnimation).length")
    assert running == (0 if reduced else 1)
    assert page.evaluate("getComputedStyle(document.querySelector('#marked')).scrollBehavior") == (
        "auto" if reduced else "smooth"
    )


def test_a_server_that_cannot_be_reached_is_said_and_asked_again_on_demand(visit: Visit) -> None:
    page = visit()
    page.context.set_offline(True)
    page.locator("#text").fill(NEWS)
    page.locator("#go").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "cannot be reached" in alert.inner_text()
    report(page, "offline")
    page.context.set_offline(False)
    alert.get_by_role("button", name="Try again").click()
    page.wait_for_selector("html[data-state=done]")
    assert alert.is_hidden()
    assert shown(page) == NEWS


@pytest.mark.parametrize(
    ("status", "body", "headers", "says"),
    [
        (
            503,
            {"title": "queue full", "detail": "all workers are busy"},
            {"Retry-After": "2"},
            ["queue full (503)", "all workers are busy", "in 2 s"],
        ),
        (
            504,
            {"title": "<b>deadline</b>", "detail": "<i>took</i> too long"},
            {},
            ["<b>deadline</b> (504)", "<i>took</i>"],
        ),
        (502, "<html>Bad gateway", {}, ["(502)"]),
        (200, "<html>a login page", {}, ["not JSON"]),
        (200, {"something": "else"}, {}, ["no entities in it"]),
    ],
)
def test_what_went_wrong_is_said_in_words(
    visit: Visit, status: int, body: Any, headers: dict[str, str], says: list[str]
) -> None:
    page = visit()
    text = body if isinstance(body, str) else json.dumps(body)
    page.route("**/v1/ner", lambda route: route.fulfill(status=status, body=text, headers=headers))
    page.locator("#text").fill(NEWS)
    page.locator("#go").click()
    alert = page.get_by_role("alert")
    alert.get_by_role("button", name="Try again").wait_for()
    for part in says:
        assert part in alert.inner_text()
    assert page.locator("#found").get_attribute("aria-busy") == "false"
    assert page.locator("#text").input_value() == NEWS


def test_an_empty_text_is_not_sent(visit: Visit) -> None:
    page = visit()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.locator("#text").fill(" \n\u3000")
    page.locator("#go").click()
    assert "no text yet" in page.get_by_role("alert").inner_text()
    assert page.evaluate("document.activeElement.id") == "text"
    assert sent == []


def test_a_late_answer_to_an_older_text_is_never_shown(visit: Visit) -> None:
    page = visit()
    held: list[Any] = []
    page.route(
        "**/v1/ner", lambda route: held.append(route) if "王建国" in route.request.post_data else route.continue_()
    )
    page.locator("#text").fill("王建国在北京。")
    page.locator("#go").click()
    page.wait_for_selector("[aria-busy=true]")
    find(page, NEWS)
    for route in held:
        route.continue_()
    page.wait_for_timeout(300)
    assert len(held) == 1
    assert shown(page) == NEWS
    assert page.locator("#found").get_attribute("aria-busy") == "false"
    page.locator("#text").press("End")
    page.keyboard.insert_text("改")
    assert page.locator("#stale").is_visible()


def test_a_guarded_server_is_asked_with_the_token_that_the_visitor_gives(visit: Visit, guarded_server: str) -> None:
    page = visit(guarded_server)
    page.locator("#token-value").wait_for()
    page.locator("#token-value").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert "does not take this token" in page.get_by_role("alert").inner_text()
    page.locator("#text").fill(NEWS)
    page.locator("#token-value").fill(TOKEN)
    page.locator("#token button").click()
    page.wait_for_selector("html[data-state=done]")
    assert page.locator("#token").is_hidden()
    assert shown(page) == NEWS
    assert TOKEN not in page.url
    assert page.evaluate("Object.values(localStorage).concat(document.cookie || [])") == []
    page.reload()
    page.locator("#samples button").first.click()
    page.wait_for_selector("html[data-state=done]")


def test_json_and_html_are_copied_as_they_are_seen(visit: Visit, browser: Any, ask: Ask) -> None:
    text = HOSTILE["tags"]
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    find(page, text)
    page.locator("#copy-json").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert (copied["text"], copied["offsets"], copied["entities"]) == (text, "utf16", ask(text))

    page.get_by_role("button", name="Copy JSON").wait_for()
    page.locator("#copy-html").click()
    page.get_by_role("button", name="Copied").wait_for()
    markup = page.evaluate("navigator.clipboard.readText()")
    reader = page.context.new_page()  # reading parses it, which the page's own policy would remark on
    reader.goto(page.url + "v1/info")
    rich = reader.evaluate(
        "navigator.clipboard.read().then(([item]) => item.getType('text/html')).then(blob => blob.text())"
    )
    page.bring_to_front()
    elsewhere = browser.new_page()
    asked: list[str] = []
    elsewhere.on("request", lambda request: asked.append(request.url))
    colours = page.evaluate("[...document.querySelectorAll('#marked mark')].map(mark => getComputedStyle(mark).color)")
    for pasted in (markup, rich):
        elsewhere.set_content(pasted)
        look = "[...document.querySelectorAll('mark')].map(mark => getComputedStyle(mark).color)"
        assert elsewhere.evaluate(look) == colours
        elsewhere.evaluate("for (const label of document.querySelectorAll('small')) label.remove()")
        assert elsewhere.evaluate("document.body.textContent") == text
        assert elsewhere.evaluate("window.pwned") is None
        assert elsewhere.evaluate("document.querySelectorAll('script, img, b, a, link, style').length") == 0
    assert asked == []
    elsewhere.close()

    page.locator("#types button", has_text="Places").click()
    page.get_by_role("button", name="Copy HTML").wait_for()
    page.locator("#copy-json").click()
    page.get_by_role("button", name="Copied").wait_for()
    left = json.loads(page.evaluate("navigator.clipboard.readText()"))["entities"]
    assert left == [entity for entity in ask(text) if entity["type"] != "LOC"] != ask(text)


def test_where_the_page_may_not_copy_the_text_is_there_to_be_copied_by_hand(visit: Visit) -> None:
    page = visit()
    find(page, NEWS)
    page.evaluate(
        "() => { document.execCommand = () => false; navigator.clipboard.writeText = () => Promise.reject(); }"
    )
    page.locator("#copy-json").click()
    page.locator("#byhand-text").wait_for()
    assert json.loads(page.locator("#byhand-text").input_value())["text"] == NEWS
    assert page.evaluate("getSelection().toString()").startswith("{")


def test_what_answers_is_shown_with_its_numbers(visit: Visit) -> None:
    page = visit()
    facts = page.locator("#facts").inner_text()
    told = page.evaluate("fetch('v1/info').then(answer => answer.json())")
    assert told["variant"] in facts
    assert told["artifact"] in facts
    assert told["instructions"]["here"] in facts
    assert all(kind in facts for kind in told["model"]["types"])
    assert told["variant"] in page.locator("#served").inner_text()
    assert page.locator("#legend mark").count() == len(told["model"]["types"])

    told["scores"] = {"corpus": "news-zh", "f1": 0.7441, "f1_low": 0.72, "f1_high": 0.766}
    told["measured"] = {
        "p50_ms": 8.11,
        "p95_ms": 17.3,
        "pss_bytes": 81_000_000,
        "per_s": 209.2,
        "size_bytes": 4_000_000,
    }
    told["instructions"]["built"] = "x86_64+other"
    told["notes"] = ["<b>scored</b> on another machine: slimner eval BUNDLE"]
    page.route("**/v1/info", lambda route: route.fulfill(json=told))
    page.reload()
    page.locator("#notes li").wait_for()
    facts = page.locator("#facts").inner_text()
    for number in ("74.4", "72.0 to 76.6", "p50 8.1 ms", "p95 17 ms", "209 /s", "81 MB", "4.0 MB"):
        assert number in facts
    assert page.locator("#notes li").all_text_contents() == told["notes"]
    report(page, "measured")


def test_files_come_compressed_and_a_second_visit_asks_for_none_of_them(visit: Visit, server: str) -> None:
    page = visit()
    look = """performance.getEntriesByType('resource').filter(e => e.name.includes('/assets/'))
      .map(e => [e.name, e.transferSize, e.encodedBodySize, e.decodedBodySize])"""
    first = page.evaluate(look)
    assert len(first) >= 5
    assert all(encoded < decoded for name, _, encoded, decoded in first if not name.endswith(".svg"))
    assert all(transferred > 0 for _, transferred, _, _ in first)
    page.goto("about:blank")
    page.goto(server)
    page.wait_for_selector("#served b")
    again = page.evaluate(look)
    assert {name for name, *_ in again} == {name for name, *_ in first}
    assert all(transferred == 0 for _, transferred, _, _ in again)


def test_the_page_works_below_a_path(visit: Visit, server: str) -> None:
    page = visit()
    page.route("**/below/**", lambda route: route.continue_(url=route.request.url.replace("/below", "")))
    page.goto(f"{server}below/")
    page.wait_for_selector("#served b")
    find(page, NEWS)
    assert shown(page) == NEWS
