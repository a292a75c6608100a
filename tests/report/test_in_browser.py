"""The page in Chromium: no complaint, no request, names stay text, everything answers to mouse and keyboard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay import Comparison
from assay.report.html import write_page

RIGHT, ESCAPE, ENTER = "\ue014", "\ue00c", "\ue007"


@pytest.fixture(scope="module")
def page(full: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "r.html"
    worst = int(full.explanations[0].badness().argmax())
    maps = {(full.sets[1].name, worst): bytes(full.sets[0].thumbnails[3])}
    write_page(full, path, maps)
    return path


def test_it_opens_without_complaint_or_request(browser: Any, page: Path) -> None:
    browser.console()
    browser.open(page)
    assert browser.console() == []
    assert browser.run("return performance.getEntriesByType('resource').map(e => e.name)") == []


def test_hostile_names_stay_text(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.keys("#cloud", RIGHT)  # names reach the page by its program, too
    assert not browser.alerted()
    assert browser.run(
        "return [document.querySelectorAll('[onerror], [onload], body svg svg, img[src=x]').length,"
        " document.scripts.length]"
    ) == [0, 2]
    text = browser.run("return document.body.textContent")
    assert "<img src=x onerror=alert(1)>.png" in text and "</script><script>alert(1)</script>" in text
    assert "<img src=x onerror=alert(1)>.png" in browser.run(
        "return document.getElementById('tip').textContent"
    )


def test_the_policy_stops_what_was_not_there(browser: Any, page: Path, tmp_path: Path) -> None:
    """Were a name ever to become markup, it could still neither run nor fetch anything."""
    broken = tmp_path / "broken.html"
    text = page.read_text()
    injected = "<img src=http://127.0.0.1:9/x onerror=alert(1)><script>alert(2)</script>"
    broken.write_text(text.replace("<main", injected + "<main", 1))
    browser.console()
    browser.open(broken)
    assert not browser.alerted()
    said = " ".join(browser.console())
    assert said.count("Content Security Policy") >= 2
    assert browser.run("return document.querySelectorAll('.tablist').length") > 0


def test_light_and_dark(browser: Any, page: Path) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    forget = "try { localStorage.removeItem('assay-theme') } catch {}"
    browser.open(page)
    browser.run(forget)
    browser.open(page, dark=True)
    dark = browser.run(ground)
    browser.open(page)
    light = browser.run(ground)
    assert light != dark
    browser.run("document.getElementById('theme').click()")
    assert browser.run(ground) == dark
    assert browser.run("return document.getElementById('theme').getAttribute('aria-pressed')") == "true"
    browser.keys("#theme", ENTER)
    assert browser.run(ground) == light
    browser.run(forget)


def test_tabs_show_one_panel_at_a_time_and_answer_to_keys(browser: Any, page: Path) -> None:
    browser.open(page)
    shown = "return [...document.querySelectorAll('#copies > .tabs > .panel')].map(p => !p.hidden)"
    assert browser.run(shown) == [True, False]
    browser.keys("#copies [role=tab]", RIGHT)
    assert browser.run(shown) == [False, True]
    assert browser.run("return document.activeElement.getAttribute('aria-selected')") == "true"
    browser.run("document.querySelector('#copies [role=tab]').click()")
    assert browser.run(shown) == [True, False]


def test_class_tables_sort(browser: Any, page: Path, full: Comparison) -> None:
    browser.open(page)
    column = (
        "return [...document.querySelector('#classes tbody').rows]"
        ".map(r => r.cells[arguments[0]].firstChild.textContent)"
    )

    def press(k: int) -> None:
        browser.run(
            "document.querySelectorAll('#classes .panel:not([hidden]) th button')[arguments[0]].click()", k
        )

    press(0)
    assert browser.run(column, 0)[1:] == ["a", "b9", "b10"]  # numbers in names count as numbers
    press(2)
    up = [float(v) for v in browser.run(column, 2)]
    press(2)
    down = [float(v) for v in browser.run(column, 2)]
    assert up == sorted(up) and down == up[::-1] and len(set(up)) > 1
    head = "return document.querySelectorAll('#classes thead th')[2].getAttribute('aria-sort')"
    assert browser.run(head) == "descending"


def test_pictures_appear(browser: Any, page: Path) -> None:
    browser.open(page)
    assert browser.sees("#samples img")[0][0] == 8


def test_heat_maps_on_a_toggle(browser: Any, page: Path) -> None:
    browser.open(page)
    seen = "return getComputedStyle(document.querySelector('.map')).visibility"
    assert browser.run(seen) == "hidden"
    browser.run("document.getElementById('maps').click()")
    assert browser.run(seen) == "visible"
    assert browser.run("return document.getElementById('maps').getAttribute('aria-pressed')") == "true"


def test_the_picture_answers_to_mouse_touch_and_keys(browser: Any, page: Path) -> None:
    browser.open(page)
    state = (
        "return [document.getElementById('tip').hidden, document.getElementById('cloud-said').textContent]"
    )
    point = (
        "const c = document.getElementById('cloud'), b = c.getBoundingClientRect(), d = JSON.parse("
        "document.getElementById('data').textContent).clouds[0];"
        "const x = b.left + 10 + d.x[0] / 10000 * (b.width - 20), y = b.bottom - 10 - d.y[0] / 10000 * (b.height - 20);"
        "c.dispatchEvent(new PointerEvent(arguments[0], {clientX: x, clientY: y, pointerType: arguments[1]}));"
        "return d.names[0]"
    )
    hint = browser.run(state)[1]
    for kind, pointer in (("pointermove", "mouse"), ("pointerdown", "touch")):
        name = browser.run(point, kind, pointer)
        assert browser.run(state) == [False, f"real: {name}"]
        assert browser.run(
            "return document.querySelector('#tip img').src.startsWith('data:image/png;base64,')"
        )
        browser.keys("#cloud", ESCAPE)
        assert browser.run(state) == [True, hint]
    browser.keys("#cloud", RIGHT)
    first = browser.run(state)[1]
    browser.keys("#cloud", RIGHT)
    assert browser.run(state)[1] not in (first, hint)
    browser.run("document.querySelectorAll('#cloud-sets button')[1].click()")
    assert browser.run("return [...document.querySelectorAll('#cloud-sets button')].map(b => b.ariaPressed)") == [
        "false", "true",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways(
    browser: Any, page: Path, full: Comparison, tmp_path: Path, width: int
) -> None:
    long = "a_very_long_name_without_any_space_" * 5
    rows = tuple(replace(r, candidate=long, name=f"{long}[{long}]") for r in full.rows)
    sets = tuple(replace(one, names=[long] * len(one)) for one in full.sets)
    differences = tuple(replace(d, a=long, name=f"{long}[{long}]") for d in full.differences)
    other = tmp_path / "long.html"
    classes = tuple(replace(r, group=long) for r in full.classes)
    write_page(replace(full, rows=rows, sets=sets, differences=differences, classes=classes), other)
    for each in (page, other):
        browser.open(each, width=width)
        browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        inner, outer = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        assert inner <= outer == width


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(browser: Any, page: Path, dark: bool) -> None:
    """WCAG's 4.5 to 1 for every colour of text on every ground."""
    browser.open(page, dark=dark)
    colours = browser.run(
        "const s = getComputedStyle(document.documentElement);"
        "return Object.fromEntries(arguments[0].map(n => [n, s.getPropertyValue('--' + n).trim()]))",
        ["ground", "raised", "shade", "text", "quiet", "accent", "accent-soft"],
    )

    def light(colour: str) -> float:
        parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        return float(
            np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
            @ [0.2126, 0.7152, 0.0722]
        )

    pairs = [(t, g) for t in ("text", "quiet") for g in ("ground", "raised", "shade")]
    for text, ground in [*pairs, ("accent", "ground"), ("accent", "raised"), ("text", "accent-soft")]:
        a, b = sorted((light(colours[text]), light(colours[ground])))
        assert (b + 0.05) / (a + 0.05) >= 4.5, (text, ground)
