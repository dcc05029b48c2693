"""The page in a real browser: no error, no request, every figure drawn, at phone and desktop width, light and dark."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from unlabeled.deploy.card import Card, Part
from unlabeled.report.folder import Study
from unlabeled.report.page import publish, write
from unlabeled.report.sections import data

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE = 240_000  # milliseconds; machines that test are busy
DRAWN = "[...document.querySelectorAll('.plot')].filter(p => !p.closest('[hidden]'))"
DRAWN_ALL = f"{DRAWN}.every(p => p.querySelector('svg.main-svg'))"

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(not CHROMIUM.is_file(), reason="Debian's chromium is not on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS), timeout=PATIENCE)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page_file(whole_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(whole_study, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture
def troubles() -> list[str]:
    """Errors and requests; a test that opens a page asserts that there are none."""
    return []


def visit(browser: Any, file: Path, troubles: list[str], width: int, scheme: str = "light", touch: bool = False) -> Any:
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, has_touch=touch, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("console", lambda m: troubles.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: troubles.append(f"error: {e}"))
    inside = ("data:", file.as_uri())
    page.on("request", lambda r: None if r.url.startswith(inside) else troubles.append(f"request: {r.url}"))
    page.goto(file.as_uri(), timeout=PATIENCE)
    until(page, DRAWN_ALL)
    return page


def until(page: Any, condition: str) -> None:
    """Wait for a condition; playwright's own way of waiting evaluates text in the page, which the page forbids."""
    for _ in range(PATIENCE // 100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"never came true: {condition}")


def overflow(page: Any) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_long_name_of_the_data_does_not_make_a_phone_scroll_sideways(
    browser: Any, study: Path, troubles: list[str]
) -> None:
    card = json.loads((study / "data.json").read_text("utf-8"))
    card["root"] = "/data/camera north of line four, export of the third of November, checked by two persons.csv"
    (study / "data.json").write_text(json.dumps(card), "utf-8")
    assert overflow(visit(browser, write(study), troubles, 390)) == 0


@pytest.mark.parametrize(("width", "splits"), [(1280, ("train", "val", "test", "more")), (390, ("train", "test"))])
def test_long_names_of_classes_push_no_column_out_of_view(
    browser: Any, tmp_path: Path, troubles: list[str], width: int, splits: tuple[str, ...]
) -> None:
    names = ["Foreign particles of the rolled slab, drawn out along the way of rolling", "_" * 120, "a"]
    card = {"root": "/data", "classes": names, "counts": {split: dict.fromkeys(names, 1007) for split in splits}}
    (tmp_path / "data.json").write_text(json.dumps(card), "utf-8")
    page = visit(browser, publish(Study(tmp_path), [data], tmp_path / "a.html", name="a", title="b"), troubles, width)
    tables = page.evaluate("[...document.querySelectorAll('.scroll')].map(s => s.scrollWidth - s.clientWidth)")
    assert tables and max(tables) <= 0 and overflow(page) == 0


@pytest.mark.parametrize("width", [1280, 390])
def test_long_names_leave_the_figures_of_a_card_in_view(
    browser: Any, tmp_path: Path, troubles: list[str], width: int
) -> None:
    rows = [(name, "10", "80.0 % (44.4 to 97.5)", "100.0 % (69.2 to 100.0)") for name in ("_" * 120, "x " * 90, "a")]
    part = Part("By class", (f"Classes: {'_' * 120}.",), ("class", "n", "found", "in its set"), rows)
    (tmp_path / "card.html").write_text(Card("a", (part,)).html(), "utf-8")
    page = visit(browser, tmp_path / "card.html", troubles, width)
    assert page.evaluate("(s => s.scrollWidth - s.clientWidth)(document.querySelector('.scroll'))") <= 0
    assert overflow(page) == 0 and troubles == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
def test_page_opens(
    browser: Any, page_file: Path, whole_study: Path, troubles: list[str], width: int, scheme: str
) -> None:
    page = visit(browser, page_file, troubles, width, scheme)
    sentence = json.loads((whole_study / "answer.json").read_text())["sentence"]
    heading = page.locator("h1.sentence")
    assert heading.is_visible() and " ".join(heading.inner_text().split()) == sentence
    box = heading.bounding_box()
    assert box["y"] + box["height"] < 844, "the answer does not stand on the first screen"
    assert overflow(page) == 0
    hidden = page.evaluate("(n => n.scrollWidth - n.clientWidth)(document.querySelector('nav'))")
    assert hidden == 0 or width < 1280, "the row of sections is cut off"
    marks = "p.querySelectorAll('.trace path, .heatmaplayer image').length"
    shown = page.evaluate(f"{DRAWN}.map(p => [p.dataset.figure, {marks}])")
    expected = {"budget-0-0", "map-0-before", "map-0-after", "training-0-loss", "training-0-rank"}
    assert {name for name, _ in shown} >= expected
    assert any(name.startswith("classes-") for name, _ in shown)
    assert all(n > 0 for _, n in shown), shown
    back, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (brightness(back) > brightness(ink)) is (scheme == "light")
    tick = page.evaluate("getComputedStyle(document.querySelector('.xtick text')).fill")
    assert abs(brightness(tick) - brightness(back)) > 60, "the figures do not follow the scheme"
    assert troubles == []
    page.context.close()


def brightness(colour: str) -> float:
    return sum(float(v) for v in colour.partition("(")[2].rstrip(")").split(",")[:3]) / 3


def test_a_point_shows_its_thumbnail(browser: Any, page_file: Path, troubles: list[str]) -> None:
    page = visit(browser, page_file, troubles, 1280)
    card = page.locator("#card")
    assert not card.is_visible()
    point = page.locator("[data-figure=map-0-after] .scatterlayer .point").first
    point.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    point.hover(force=True)
    card.wait_for(state="visible")
    name, path = card.locator("b").inner_text(), card.locator("small").inner_text()
    assert name in "0123456789" and path.startswith(f"test/{name}/")
    thumb = card.locator(".thumb")
    assert thumb.bounding_box()["width"] == 96
    assert thumb.evaluate("e => getComputedStyle(e).backgroundImage").startswith('url("data:image/jpeg')
    assert page.locator(".ring").count() == 2, "the item is shown on both maps"
    page.mouse.move(2, 2)
    card.wait_for(state="hidden")
    assert troubles == []
    page.context.close()


def test_keys_step_through_the_map(browser: Any, page_file: Path, troubles: list[str]) -> None:
    page = visit(browser, page_file, troubles, 1280)
    page.locator(".pair.map").first.focus()
    page.wait_for_timeout(300)
    page.keyboard.press("ArrowRight")
    first = page.locator("#card small").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("#card small").inner_text() != first
    page.keyboard.press("ArrowLeft")
    assert page.locator("#card small").inner_text() == first
    page.keyboard.press("Escape")
    assert not page.locator("#card").is_visible()
    assert troubles == []
    page.context.close()


def test_a_tap_shows_the_thumbnail_on_a_phone(browser: Any, page_file: Path, troubles: list[str]) -> None:
    page = visit(browser, page_file, troubles, 390, touch=True)
    point = page.locator("[data-figure=map-0-after] .scatterlayer .point").first
    point.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    box = point.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    card = page.locator("#card")
    card.wait_for(state="visible")
    place = card.bounding_box()
    assert place["x"] >= 0 and place["x"] + place["width"] <= 390
    assert troubles == []
    page.context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_every_choice_of_every_select_draws(browser: Any, page_file: Path, troubles: list[str], width: int) -> None:
    page = visit(browser, page_file, troubles, width)
    for name, last in (("budget", 1), ("classes", 1), ("samples", 0), ("maps", 0), ("table", 0)):
        select = page.locator(f"[data-picks={name}] select").nth(last)
        values = select.locator("option").evaluate_all("all => all.map(o => o.value)")
        assert len(values) > 1
        for value in values:
            select.select_option(value)
            shown = page.locator(f"[data-of={name}]:not([hidden])")
            assert shown.count() == 1
            assert value in (shown.get_attribute("data-key") or "").split("-")
        until(page, DRAWN_ALL)
        assert overflow(page) == 0
    assert troubles == []
    page.context.close()


def test_a_pressed_name_brings_its_curve_out(browser: Any, page_file: Path, troubles: list[str]) -> None:
    page = visit(browser, page_file, troubles, 1280)
    button = page.locator("#budget .legend button:visible").first
    button.click()
    faded = "document.querySelector('[data-figure=budget-0-0]').data.map(t => t.opacity ?? 1).filter(o => o < 1).length"
    until(page, f"{faded} > 2")
    button.click()
    until(page, f"{faded} === 0")
    assert troubles == []
    page.context.close()


def test_figures_follow_when_the_scheme_changes(browser: Any, page_file: Path, troubles: list[str]) -> None:
    page = visit(browser, page_file, troubles, 1280)
    colour = "getComputedStyle(document.querySelector('.xtick text')).fill"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    until(page, f"{colour} !== '{light}'")
    assert troubles == []
    page.context.close()


def test_everything_has_a_name_for_those_who_listen(browser: Any, page_file: Path, troubles: list[str]) -> None:
    page = visit(browser, page_file, troubles, 1280)
    nameless = (
        "img:not([alt]), [role=img]:not([aria-label]), table:not(:has(caption)), section:not([aria-labelledby]), "
        ".scroll:not([tabindex]), select:not(label select)"
    )
    bare = page.evaluate("q => [...document.querySelectorAll(q)].map(e => e.outerHTML.slice(0, 80))", nameless)
    assert bare == []
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
    assert levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    page.context.close()
