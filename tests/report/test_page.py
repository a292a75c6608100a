"""The page says what the comparison holds, leaves out what it does not hold, and is written whole."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import assay
import assay.report.html.album as album_file
from assay import Comparison, compare
from assay.comparing.compared_sets import ComparedSet
from assay.comparison import Difference
from assay.errors import DataError
from assay.measure_by_name import SHORT
from assay.report.class_table import class_tables
from assay.report.html import as_page, write_page
from assay.report.html.album import album_of
from assay.report.html.galleries import chosen_samples
from assay.report.html.headline import headline
from assay.report.html.meanings import MEANINGS, meaning_of
from assay.report.html.picture import POINTS, picture_of
from assay.statistics import Moments


def data_of(page: str) -> dict[str, Any]:
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(block)


def sections(page: str) -> list[str]:
    return re.findall(r'<section id="(\w+)"', page)


def test_everything_there_is_has_a_part(full: Comparison) -> None:
    page = as_page(full)
    assert sections(page) == [
        "measures", "differences", "notes", "classes", "groups", "influences", "samples", "copies", "picture", "made",
    ]  # fmt: skip
    for word in (
        "Worst generated",
        "Best generated",
        "Missed real",
        "floor",
        "the value to come close to",
        "times the",
    ):
        assert word in page, word


def test_parts_without_numbers_are_left_out(bare: Comparison) -> None:
    page = as_page(replace(bare, differences=(), notes=(), floor=(), aims=()))
    assert sections(page) == ["measures", "made"]
    assert data_of(page) == {"pictures": [], "clouds": []}


def test_features_without_images_give_tables_of_names(full: Comparison) -> None:
    sets = tuple(replace(one, thumbnails=None) for one in full.sets)
    page = as_page(replace(full, sets=sets))
    assert "data-t=" not in page and "no picture" not in page
    worst = page[page.index("Worst generated") :]
    assert "<td>" in worst[: worst.index("</table>")]
    nameless = as_page(replace(full, sets=tuple(replace(one, names=None) for one in sets)))
    assert re.search(r"<td>sample \d+</td>", nameless)
    assert "samples" in sections(as_page(replace(full, sets=())))  # influences alone, their sets not kept


def test_samples_are_ordered_by_how_bad_they_are(full: Comparison) -> None:
    page = as_page(full)
    fd, coverage = full.explanations[:2]
    for explanation, worst in (
        (fd, np.argmax(fd.of_generated)),
        (coverage, np.argmin(coverage.of_generated)),
    ):
        assert explanation.badness().argmax() == worst
    first = page[page.index("Worst generated") :]
    assert first.index(f"{np.argmax(fd.of_generated):03} &lt;img") < 400


def test_each_picture_is_carried_once(full: Comparison) -> None:
    same = [full.sets[0].thumbnails[0]] * len(full.sets[0])
    sets = tuple(replace(one, thumbnails=same) for one in full.sets)
    assert len(data_of(as_page(replace(full, sets=sets)))["pictures"]) == 1
    assert len(data_of(as_page(full))["pictures"]) == sum(map(len, full.sets))


def test_pictures_stop_at_the_budget_the_least_important_first(
    full: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = max(4 * ((len(p) + 2) // 3) for one in full.sets for p in one.thumbnails)
    real = full.sets[0]
    wanted = [(real.name, k) for k in range(10)]
    album = album_of(full.sets, {}, wanted[5:7], wanted, budget=4 * size)
    assert sorted(key[1] for key in album.at) == [0, 1, 5, 6] and album.left_out == 6
    monkeypatch.setattr(album_file.album_of, "__defaults__", (10 * size,))
    page = as_page(full)
    assert sum(map(len, data_of(page)["pictures"])) <= 10 * size
    assert "pictures were left out" in page and "no picture" in page


class Lazy:
    """As many large thumbnails as are asked for."""

    def __len__(self) -> int:
        return 50_000

    def __getitem__(self, row: int) -> bytes:
        return b"\xff\xd8\xff" + row.to_bytes(4, "big") * 2250


def test_fifty_thousand_large_thumbnails_give_less_than_25_megabytes(full: Comparison) -> None:
    n = 50_000
    features = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    names = [f"a/folder/of/images/{k:06}.png" for k in range(n)]
    sets = tuple(
        replace(one, features=features + k, names=names, thumbnails=Lazy()) for k, one in enumerate(full.sets)
    )
    size = len(as_page(replace(full, sets=sets)).encode())
    assert 19e6 < size < 25e6


def test_bytes_that_are_no_picture_are_not_carried(full: Comparison) -> None:
    sets = tuple(replace(one, thumbnails=[b"", b"<svg onload=alert(1)>"] * 30) for one in full.sets)
    assert data_of(as_page(replace(full, sets=sets)))["pictures"] == []


def test_heat_maps_come_with_a_toggle(full: Comparison) -> None:
    key = (full.sets[1].name, int(full.explanations[0].badness().argmax()))
    heat = b"\x89PNG\r\n\x1a\nheat"
    page = as_page(full, {key: heat})
    assert 'id="maps"' in page and base64.b64encode(heat).decode() in data_of(page)["pictures"]
    assert 'id="maps"' not in as_page(full)


def test_the_policy_allows_the_two_inline_texts_and_nothing_else(full: Comparison) -> None:
    page = as_page(full)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    policy = policy.replace("&#x27;", "'")
    for kind, tag in (("style-src", "style"), ("script-src", "script")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_nothing_comes_from_elsewhere(full: Comparison) -> None:
    page = as_page(full)
    without_data = page.replace(re.findall(r'id="data">(.*?)</script>', page, re.DOTALL)[0], "")
    assert not re.search(r"https?:|//\w+\.|@import|url\(|\bfetch\(|XMLHttp|\bstyle=", without_data)
    assert set(re.findall(r'<\w+[^>]* (?:src|href)="([^"]*)"', without_data)) <= {
        "data:,", "#main", *(f"#{name}" for name in sections(page)),
    }  # fmt: skip


def test_names_of_undecodable_bytes_and_controls_are_shown_as_escapes(
    full: Comparison, tmp_path: Path
) -> None:
    odd = "a\udcff\x00\x1b\u202egnp.exe"
    sets = tuple(replace(one, names=[odd] * len(one)) for one in full.sets)
    write_page(replace(full, sets=sets), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_bytes().decode()
    assert r"a\udcff\x00\x1b\u202egnp.exe" in text
    assert not set("\x00\x1b\u202e") & set(text)


def test_a_file_is_written_whole_or_not_at_all(
    full: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "r.html"
    target.write_text("before")
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(DataError, match=r"r.html cannot be written: no space left"):
            write_page(full, target)
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"] and target.read_text() == "before"
    full.to_html(target)
    assert target.read_text().startswith("<!doctype html>") and target.read_text().endswith("</html>\n")
    with pytest.raises(DataError, match="cannot be written: no such file"):
        full.to_html(tmp_path / "missing" / "r.html")


def test_the_same_comparison_gives_the_same_page(full: Comparison) -> None:
    assert as_page(full) == as_page(full)


def test_every_measure_by_name_has_its_sentences(bare: Comparison) -> None:
    for thing in SHORT.values():
        for measure in getattr(thing, "measures", (thing,)):
            says, reads = MEANINGS[measure.name]
            assert says.endswith(".") and reads.endswith("."), measure.name


def test_a_measure_of_ones_own_is_described_by_its_docstring() -> None:
    @assay.measure(statistic=Moments, best="min", reference="none")
    def spread_gap(x, y):
        """How much wider y is than x. The rest is not shown."""
        return (y.mean - x.mean).abs().sum()

    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    found = compare(x, {"a": 2 * x}, measures=[spread_gap])
    assert meaning_of("spread_gap", found) == ("How much wider y is than x.", "")
    assert "How much wider y is than x." in as_page(found)


def decided(bare: Comparison, *betters: str | None) -> Comparison:
    """Differences of two candidates, one a measure, with these outcomes."""
    a, b = "early", "late"
    first = bare.differences[0]
    bounds = {a: (1.0, 2.0), b: (-2.0, -1.0), None: (-1.0, 1.0)}
    made = [
        Difference(f"m{k}", "m", a, b, "lower is better",
                   replace(first.estimate, low=bounds[which][0], high=bounds[which][1]))
        for k, which in enumerate(betters)
    ]  # fmt: skip
    rows = tuple(replace(bare.rows[0], candidate=name) for name in (a, b))
    return replace(bare, rows=rows, differences=tuple(made))


def test_the_headline_says_who_is_better_and_how_surely(bare: Comparison) -> None:
    assert headline(decided(bare, "late", "late")) == (
        "late is better than early beyond doubt, by all 2 measures at the 95% level."
    )
    assert headline(decided(bare, "late", None, "late")).startswith(
        "late is better than early: beyond doubt by 2 of 3 measures, and the other one is undecided"
    )
    assert headline(decided(bare, None, None)) == "These samples cannot tell early and late apart."
    assert headline(decided(bare, "late", "early", "late")) == (
        "No single winner: the measures disagree (late wins 2, early wins 1 of 3 differences)."
    )
    one = replace(bare, rows=bare.rows[:1], differences=())
    assert headline(one).startswith("early scores ") and "lower is better" in headline(one)


def test_the_headline_of_many_candidates(steps: Comparison) -> None:
    names = ["step-20k", "step-10k", "step-5k"]
    first = steps.differences[0]

    def made(*outcomes: str | None) -> Comparison:
        pairs = [(names[0], names[1]), (names[0], names[2]), (names[1], names[2])]
        bounds = {"a": (1.0, 2.0), "b": (-2.0, -1.0), None: (-1.0, 1.0)}
        differences = [
            replace(first, a=a, b=b, direction="lower is better",
                    estimate=replace(first.estimate, low=bounds[o][0], high=bounds[o][1]))
            for (a, b), o in zip(pairs, outcomes, strict=True)
        ]  # fmt: skip
        return replace(steps, differences=tuple(differences))

    assert headline(made("a", "a", None)).startswith(
        "step-20k is better than each of the other 2 beyond doubt"
    )
    assert headline(made(None, "a", "a")) == (
        "No single winner: nothing beats step-20k and step-10k, and they cannot be ranked by these samples."
    )
    assert headline(made("b", None, "a")) == (
        "step-10k is better than each of the other 2 beyond doubt, by every measure at the 95% level."
    )
    assert headline(made("a", None, None)).startswith("No single winner: nothing beats step-20k and step-5k")


def test_checkpoints_are_drawn_over_their_steps(steps: Comparison, full: Comparison) -> None:
    page = as_page(steps)
    assert "steps" in sections(page) and "steps" not in sections(as_page(full))
    part = page[page.index('id="steps"') :]
    label = re.search(r'aria-label="(step[^"]*)"', part)
    assert label is not None and re.findall(r"step-\d+k", label[1]) == ["step-5k", "step-10k", "step-20k"]
    assert ">20k</text>" in part


def test_the_axes_are_the_principal_components(full: Comparison) -> None:
    picture = picture_of(full, 0)
    assert picture is not None
    pooled = np.concatenate([one.features.numpy() for one in full.sets]).astype(np.float64)
    centred = pooled - pooled.mean(0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert np.allclose(picture.explained, values[:2] / values.sum(), atol=1e-5)
    axes = np.linalg.svd(centred)[2][:2]
    real = picture.clouds[0]
    for axis in range(2):  # drawn places are an increasing or decreasing map of the true coordinates
        true = centred[real.rows] @ axes[axis]
        assert abs(np.corrcoef(true, real.at[:, axis])[0, 1]) > 0.999


def test_the_picture_of_wide_and_of_many_features() -> None:
    g = torch.Generator().manual_seed(0)
    real, made = torch.randn(9000, 40, generator=g), torch.randn(9000, 40, generator=g) + 1
    found = replace(compare(real[:50], {"a": made[:50]}, measures=["fd"]))

    def sets(*tensors: torch.Tensor) -> tuple[ComparedSet, ...]:
        names = ["real", "a", "b", "c"]
        return tuple(ComparedSet(n, n, t, len(t), "samples") for n, t in zip(names, tensors, strict=False))

    many = picture_of(replace(found, sets=sets(real, made, made, made)), 0)
    assert many is not None and many.fitted == (5000, 5001)
    assert sum(len(cloud.rows) for cloud in many.clouds) <= POINTS and len(many.clouds[0].rows) == POINTS // 2
    # rank 2 in 3000 dimensions: two axes explain it all
    flat = torch.randn(80, 2, generator=g) @ torch.randn(2, 3000, generator=g)
    wide = picture_of(replace(found, sets=sets(flat[:40], flat[40:])), 0)
    assert wide is not None and sum(wide.explained) == pytest.approx(1, abs=1e-4)
    for narrow in (real[:20, :1], torch.zeros(20, 3)):
        assert picture_of(replace(found, sets=sets(narrow, narrow)), 0) is not None
    only_statistics = replace(sets(real)[0], features=None)
    assert picture_of(replace(found, sets=(only_statistics, *sets(made))), 0) is None


def test_the_worst_are_none_that_make_it_better(full: Comparison) -> None:
    few = replace(
        full.explanations[0], of_generated=np.array([2.0, -1.0, 0.0], np.float32), of_real=None, nearest=None
    )
    (chosen,) = chosen_samples(replace(full, explanations=(few,)))
    shown = {gallery.title: [key[1] for key in gallery.samples()] for gallery in chosen.galleries}
    assert shown == {"Worst generated": [0], "Best generated": [1]}


def test_a_class_without_a_value_does_not_spoil_which_are_the_worst(full: Comparison) -> None:
    row = full.classes[0]
    classes = [
        replace(
            row, group=str(k), estimate=replace(row.estimate, corrected=float("nan") if k % 3 else float(k))
        )
        for k in range(90)
    ]
    ((_, *lines),) = class_tables(replace(full, classes=tuple(classes)), {row.direction: ""})
    assert [int(line.name) for line in lines] == list(range(87, 27, -3))
