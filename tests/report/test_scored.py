"""The page of scores in Chromium: it opens alone, names stay text, and the slider answers to keys and mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assay.report.html.scored_page import write_scored_page
from assay.report.html.scored_pictures import SIDE, _window, palette, pictured_pairs
from assay.score import score
from assay.scoring.scores import Scores

pytest.importorskip("PIL")
HOSTILE = "<img src=x onerror=alert(1)>"
LEFT, HOME, END = "\ue012", "\ue011", "\ue010"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    from PIL import Image

    folder = tmp_path_factory.mktemp("scored")
    draws = np.random.default_rng(0)
    for k in range(5):
        rows, columns = np.mgrid[0 : 40 + 4 * k, 0:48]
        picture = np.stack(
            [128 + 90 * np.sin(rows / (4 + c)) * np.cos(columns / (5 + k)) for c in range(3)], 2
        )
        for name, noise in (("hr", 0), ("early", 20 + k), (f"late {HOSTILE}", 8 + k)):
            (folder / name).mkdir(exist_ok=True)
            pixels = np.clip(picture + noise * draws.normal(size=picture.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{k} {HOSTILE}.png")
    return score([folder / "early", folder / f"late {HOSTILE}"], folder / "hr", measures=["psnr", "ssim"])


@pytest.fixture(scope="module")
def page(found: Scores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "r.html"
    write_scored_page(found, path, 3, "psnr")
    return path


def test_its_parts(page: Path) -> None:
    text = page.read_text()
    for part in ("measures", "differences", "worst", "pairs", "made"):
        assert f'<section id="{part}"' in text, part
    assert HOSTILE not in text and "http:" not in text and "https:" not in text
    assert text.count('class="scored-pair"') == 6


def test_it_opens_without_complaint_or_request(browser: Any, page: Path) -> None:
    browser.console()
    browser.open(page)
    assert browser.console() == []
    assert browser.run("return performance.getEntriesByType('resource').map(e => e.name)") == []
    assert not browser.alerted()
    assert browser.run("return document.querySelectorAll('[onerror], img[src=x]').length") == 0
    assert f"4 {HOSTILE}.png" in browser.run("return document.body.textContent")
    wide = browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    browser.open(page, width=390)
    assert wide and browser.run("return document.documentElement.scrollWidth <= window.innerWidth")


def test_the_slider_answers_to_keys(browser: Any, page: Path) -> None:
    browser.open(page)
    at = "return document.querySelector('.slider').style.getPropertyValue('--at')"
    says = "return document.querySelector('.slider input').getAttribute('aria-valuetext')"
    assert browser.run(at) == "50"
    browser.keys(".slider input", LEFT, LEFT)
    assert browser.run(at) == "48" and browser.run(says) == "48% restored"
    browser.keys(".slider input", END)
    assert browser.run(at) == "100"
    clip = "return getComputedStyle(document.querySelector('.slider .over')).clipPath"
    browser.keys(".slider input", HOME)
    assert browser.run(clip) == "inset(0px 100% 0px 0px)"
    assert browser.run("return document.activeElement.getAttribute('aria-label')").startswith("how much of ")


def test_pictures_are_shown_at_one_size(browser: Any, page: Path) -> None:
    browser.open(page)
    browser.sees(".slider")
    sizes: Any = browser.run(
        "return [...document.querySelector('.slider').querySelectorAll('img')].map(i => "
        "[i.naturalWidth, i.naturalHeight, i.clientWidth, i.clientHeight])"
    )
    assert sizes[0] == sizes[1] and sizes[0][0] == 48


def test_maps_are_bright_where_the_error_is() -> None:
    """A large pair is shown in part, where it differs; its maps are brightest there."""
    import base64
    import io

    from PIL import Image

    x = torch.full((1, 3, 600, 700), 0.5)
    y = x.clone()
    y[:, :, 500:520, 600:620] = 0.9
    found = score(y, x, measures=["ssim"])
    made = pictured_pairs(found, [("restored", 0)], "ssim")
    (pair,) = made.pairs
    assert pair.size == (600, 700) and pair.window is not None
    top, left, tall, wide = pair.window
    assert (
        (tall, wide) == (SIDE, SIDE) and top <= 500 <= 520 <= top + tall and left <= 600 <= 620 <= left + wide
    )
    for name, number in pair.maps:
        drawn = Image.open(io.BytesIO(base64.b64decode(made.pictures[number])))
        levels = np.asarray(drawn)
        assert drawn.size == (SIDE, SIDE) and name in ("ssim", "difference")
        assert levels[490 - top : 530 - top, 590 - left : 630 - left].max() > 200 and levels[30, 30] == 0
    assert dict(made.limits)["difference"] == pytest.approx(0.4, abs=1e-5)
    assert (np.diff(palette().astype(int) @ [30, 59, 11]) >= 0).all()  # lighter all the way
    none = pictured_pairs(found, [("restored", 0)], "ssim", budget=100)
    assert (none.pairs, none.pictures, none.left_out) == ((), (), 1)


@pytest.mark.parametrize("content", ["noise", "flat"])
def test_only_what_the_page_can_show_is_read_and_held(content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of the worst are asked for, and however well their pictures compress."""
    import weakref

    from assay.report.html import scored_pictures

    draws = np.random.default_rng(0)
    n, side = 40, 64
    y = np.full((n, 3, side, side), 0.5, np.float32)
    if content == "noise":
        y = draws.random(y.shape).astype(np.float32)
    x = draws.random(y.shape).astype(np.float32) if content == "noise" else np.zeros_like(y)
    found = score(y, x, measures=["ssim"])
    read: list[int] = []
    images: list[Any] = []
    alive: list[int] = []

    def window(*given: Any) -> Any:
        alive.append(sum(each() is not None for each in images))
        made = _window(*given)
        read.append(made.row)
        images.append(weakref.ref(made.y))
        return made

    monkeypatch.setattr(scored_pictures, "_window", window)
    chosen = [("restored", row) for row in range(n)]
    budget = 300_000
    made = pictured_pairs(found, chosen, "ssim", budget)
    shown = len(made.pairs)
    assert 2 <= shown < n and made.left_out == n - shown and len(read) == shown + 1
    assert sum(map(len, made.pictures)) <= budget
    assert all(number >= 0 for pair in made.pairs for _, number in pair.maps)
    assert max(alive) <= 1
    assert [pair.row for pair in made.pairs] == list(range(shown))


def test_a_part_of_a_picture_says_what_it_is_a_part_of(tmp_path: Path) -> None:
    x = torch.zeros(1, 3, 412, 416)
    x[:, :, -9:, -9:] = 1
    score(x / 2, x, measures=["psnr"]).to_html(tmp_path / "r.html")
    assert ">400 x 400 of 412 x 416 pixels, where it differs most<" in (tmp_path / "r.html").read_text()


def test_no_map_is_larger_than_the_room_that_is_held_for_it() -> None:
    import base64

    from assay.report.html.scored_pictures import _heat, _most_of_a_map

    draws = torch.Generator().manual_seed(0)
    for shape in ((1, 1), (1, 400), (7, 5), (400, 400), (400, 3)):
        values = torch.rand(shape, generator=draws)
        assert len(base64.b64encode(_heat(values, 1.0))) <= _most_of_a_map(values)


def test_a_part_does_not_keep_the_image_it_is_of() -> None:
    """Eighteen pairs of 24 megapixels would need 14 GB; the place is where a box of its size has the largest mean."""
    draws = np.random.default_rng(0)
    x = draws.random((1, 3, 520, 640)).astype(np.float32)
    y = (x + draws.random(x.shape).astype(np.float32) * np.linspace(0, 0.4, 640, dtype=np.float32)).clip(0, 1)
    window = _window(score(y, x, measures=["psnr"]), "restored", 0, None)
    for part in (window.y, window.x, *(values for _, values in window.maps)):
        assert part.untyped_storage().nbytes() == 4 * part.numel()
    squares = np.square(np.abs(y - x).mean(1)[0])
    means = {
        (top, left): squares[top : top + SIDE, left : left + SIDE].mean()
        for top in range(0, 520 - SIDE + 1, 8)
        for left in range(0, 640 - SIDE + 1, 8)
    }
    assert window.at == (*max(means, key=lambda at: means[at]), SIDE, SIDE)
