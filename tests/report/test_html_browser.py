"""The HTML page in a real browser: clicks, keys, links, paper, no request, no error. Skipped without Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.report.html.page import write_report
from tests.support.chromium_tools import Page, browser, chromium
from tests.support.scored_for_tests import QUALITY, make_scored

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium here (Debian: apt-get install chromium)")

MAIN = "document.querySelector('#g0-main table')"
ROWS = f"[...{MAIN}.tBodies[0].rows].filter(row => !row.hidden).map(row => row.cells[0].textContent)"
METHODS = ("en_trans", "a_method", "z_method")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with its plots."""
    out = tmp_path_factory.mktemp("results")
    make_scored(out, {**QUALITY, **dict.fromkeys(METHODS, 0.6), "<b>x": 0.7}, targets=("de",))
    return write_report(out).as_uri()


@pytest.fixture(scope="module")
def page(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        tab.open(url)
        yield tab


def head(place: int) -> str:
    return f"{MAIN}.tHead.rows[0].cells[{place}]"


def test_a_click_sorts_and_a_third_restores(page: Page) -> None:
    before = page.js(ROWS)
    values = f"[...{MAIN}.tBodies[0].rows].map(row => Number(row.cells[1].dataset.v))"
    page.js(f"{head(1)}.querySelector('button').click()")
    found = page.js(values)
    assert len(found) == 6 and found == sorted(found, reverse=True) != sorted(found)
    assert page.js(f"{head(1)}.getAttribute('aria-sort')") == "descending"
    page.js(f"{head(1)}.querySelector('button').click()")
    assert page.js(values) == sorted(found) and page.js(f"{head(1)}.getAttribute('aria-sort')") == "ascending"
    page.js(f"{head(1)}.querySelector('button').click()")
    assert page.js(ROWS) == before and page.js(f"{head(1)}.getAttribute('aria-sort')") is None


def test_keys_sort_too(page: Page) -> None:
    page.js(f"{head(0)}.querySelector('button').focus()")
    page.press("Enter", 13, "\r")
    assert page.js(f"{head(0)}.getAttribute('aria-sort')") == "ascending"
    assert page.js(ROWS) == ["<b>x", "a_method", "concner", "en_trans", "z_method", "zero_shot"]
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.js("document.activeElement.tagName") == "BUTTON" and page.js(outline) == "solid"
    page.press("Enter", 13, "\r")
    page.press("Enter", 13, "\r")


def test_a_filter_hides_rows_and_says_how_many_are_left(page: Page) -> None:
    box = "document.querySelector('#g0-main .filter input')"
    page.js(f"{box}.focus()")
    for letter in "Method":
        page.press(letter, ord(letter.upper()), letter)
    assert page.js(ROWS) == ["a_method", "z_method"]
    assert page.js("document.querySelector('#g0-main .filter output').textContent") == "2 of 6"
    page.js(f"{box}.value = ''; {box}.dispatchEvent(new Event('input'))")
    assert len(page.js(ROWS)) == 6


def test_a_number_opens_its_seeds_and_errors(page: Page) -> None:
    link = f"{MAIN}.tBodies[0].rows[1].cells[1].querySelector('a')"
    part = f"document.querySelector({link}.getAttribute('href'))"
    assert page.js(f"{part}.closest('details').open") is False
    page.js(f"{link}.click(); new Promise(done => setTimeout(done, 300))")
    assert page.js(f"{part}.closest('details').open") is True
    assert page.js(f"document.activeElement === {part}") is True
    top = page.js(f"{part}.closest('details').getBoundingClientRect().top")
    assert -5 <= top <= page.js("innerHeight")
    page.js(f"{part}.closest('details').open = false; {link}.click(); new Promise(done => setTimeout(done, 300))")
    assert page.js(f"{part}.closest('details').open") is True  # the same link again
    page.js("document.querySelectorAll('details').forEach(one => one.open = false)")


def test_the_browser_shows_gold_a_and_b_and_filters(page: Page) -> None:
    part = "document.querySelector('#g0-browser')"
    page.js(f"{part}.scrollIntoView(); new Promise(done => setTimeout(done, 1000))")
    assert page.js(f"[...{part}.querySelectorAll('.pick label')].map(one => one.firstChild.textContent.trim())") == [
        "A",
        "B",
        "language",
        "type",
        "error",
        "where",
    ]
    assert page.js(f"{part}.querySelectorAll('.three').length") == page.js(
        f"{part}.querySelectorAll('.three p').length / 3"
    )
    assert page.js(f"{part}.querySelectorAll('.three mark.no').length") > 5
    number = f"Number({part}.querySelector('output').textContent.split(' ')[0])"
    before = page.js(number)
    pick = f"[...{part}.querySelectorAll('select')]"
    page.js(f"{pick}[4].value = 'type'; {pick}[4].dispatchEvent(new Event('change', {{bubbles: true}}))")
    assert 0 < page.js(number) < before
    items = f"[...{part}.querySelectorAll('.sentences li')].map(one => one.textContent)"
    assert all("✗ type" in text for text in page.js(items))
    assert page.js(f"{part}.querySelectorAll('.three p:first-child mark.no').length") == 0, "the gold is never wrong"
    page.js(f"{pick}[0].value = {pick}[1].value; {pick}[0].dispatchEvent(new Event('change', {{bubbles: true}}))")
    assert page.js(number) == 0, "a method does not differ from itself"
    link = "document.querySelector('a[data-a]')"
    page.js(f"{link}.click(); new Promise(done => setTimeout(done, 300))")
    assert page.js(f"{pick}[0].value") == page.js(f"{link}.dataset.a") and page.js(number) > 0


def test_paper_shows_what_is_folded_but_not_every_cell(page: Page) -> None:
    page.js("dispatchEvent(new Event('beforeprint'))")
    assert page.js("document.querySelectorAll('details:not([open])').length") == page.js(
        "document.querySelectorAll('section.cells details:not([open])').length"
    )
    page.js("dispatchEvent(new Event('afterprint'))")
    assert page.js("document.querySelectorAll('details[open]').length") == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_itself_never_scrolls_sideways(page: Page, width: int) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    page.js("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.js("document.documentElement.scrollWidth") <= width
    page.js("document.querySelectorAll('details').forEach(one => one.open = false)")
    page.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Page, scheme: str) -> None:
    """WCAG AA: 4.5 for every pair of colours that the style sheet puts on each other."""
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    names = ["ink", "soft", "link", "up", "up-paper", "down", "down-paper", "warn", "warn-paper", "band", "paper"]
    style = "getComputedStyle(document.documentElement).getPropertyValue"
    colors = {name: luminance(page.js(f"{style}('--{name}')")) for name in names}
    pairs = [(text, ground) for text in ("ink", "soft", "link") for ground in ("paper", "band")]
    for text, ground in [*pairs, ("up", "up-paper"), ("down", "down-paper"), ("warn", "warn-paper")]:
        high, low = sorted((colors[text], colors[ground]), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (scheme, text, ground)
    page.call("Emulation.setEmulatedMedia", features=[])


def luminance(color: str) -> float:
    color = color.strip().lstrip("#")
    color = "".join(c + c for c in color) if len(color) == 3 else color
    parts = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_plots_are_drawn(page: Page) -> None:
    assert page.js("[...document.images].length") >= 2
    assert page.js("[...document.images].every(image => image.complete && image.naturalWidth > 100)")


def test_no_request_leaves_and_nothing_complains(page: Page, url: str) -> None:
    """Last: it looks at what all tests before did to the page."""
    asked = {event["request"]["url"].partition("#")[0] for event in page.said("Network.requestWillBeSent")}
    assert {one for one in asked if not one.startswith("data:")} <= {url}
    assert page.said("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled") == []


def test_without_scripts_it_is_all_there(url: str, tmp_path: Path) -> None:
    with browser(tmp_path, scripts=False) as tab:
        tab.open(url)
        document = tab.call("DOM.getDocument")["root"]["nodeId"]

        def number(selector: str) -> int:
            return len(tab.call("DOM.querySelectorAll", nodeId=document, selector=selector)["nodeIds"])

        assert number("#g0-main tbody tr") == 6 and number(".answers li") == 5 and number("details.cell tr") > 18
        assert number("button") == number("input") == 0  # nothing that would do nothing
