"""The page of `explain` in a browser: no error, no request, every figure drawn, phone and desktop, light and dark."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from unlabeled.verbs.explain import Explained

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE = 240_000  # milliseconds; machines that test are busy
DRAWN = "[...document.querySelectorAll('.plot')].every(p => p.querySelector('svg.main-svg'))"

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason="Debian's chromium is not on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS), timeout=PATIENCE)
        yield chromium
        chromium.close()


def visit(browser: Any, file: Path, troubles: list[str], width: int, scheme: str) -> Any:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("console", lambda m: troubles.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: troubles.append(f"error: {e}"))
    inside = ("data:", file.as_uri())
    page.on("request", lambda r: None if r.url.startswith(inside) else troubles.append(f"request: {r.url}"))
    page.goto(file.as_uri(), timeout=PATIENCE)
    for _ in range(PATIENCE // 100):
        if page.evaluate(DRAWN):
            return page
        page.wait_for_timeout(100)
    pytest.fail("a figure was never drawn")


@pytest.mark.parametrize("which", ["of_class", "of_two"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_the_page_opens(browser: Any, which: str, width: int, scheme: str, request: pytest.FixtureRequest) -> None:
    seen: Explained = request.getfixturevalue(which)
    troubles: list[str] = []
    page = visit(browser, seen.report, troubles, width, scheme)
    heading = page.locator("h1.sentence")
    assert " ".join(heading.inner_text().split()) == seen.figures["sentence"]
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    items, maps = len(seen.figures["items"]), len(seen.maps)
    assert page.locator("#places img").count() == items * (1 + maps)
    assert page.locator("#near img").count() == sum(len(n) for n in seen.figures["neighbours"])
    loaded = page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert loaded, "a picture did not load"
    lines = page.evaluate(
        "[...document.querySelectorAll('.plot')].map(p => p.querySelectorAll('.trace .js-line').length)"
    )
    assert lines == [2 * maps + 1] * (2 * items)
    back, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (brightness(back) > brightness(ink)) is (scheme == "light")
    assert troubles == []
    page.context.close()


def brightness(colour: str) -> float:
    return sum(float(v) for v in colour.partition("(")[2].rstrip(")").split(",")[:3]) / 3


def test_everything_has_a_name_for_those_who_listen(browser: Any, of_two: Explained) -> None:
    troubles: list[str] = []
    page = visit(browser, of_two.report, troubles, 1280, "light")
    nameless = "img:not([alt]), [role=img]:not([aria-label]), table:not(:has(caption)), section:not([aria-labelledby])"
    assert page.evaluate("q => [...document.querySelectorAll(q)].map(e => e.outerHTML.slice(0, 80))", nameless) == []
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
    assert levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    page.context.close()
