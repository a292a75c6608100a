"""The page says what the comparison holds, leaves out what it does not hold, and is written whole."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from assay import Comparison
from assay.errors import DataError
from assay.report.html import as_page, write_page

from .page_parts import data_of, sections


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


def test_checkpoints_are_drawn_over_their_steps(steps: Comparison, full: Comparison) -> None:
    page = as_page(steps)
    assert "steps" in sections(page) and "steps" not in sections(as_page(full))
    part = page[page.index('id="steps"') :]
    label = re.search(r'aria-label="(step[^"]*)"', part)
    assert label is not None and re.findall(r"step-\d+k", label[1]) == ["step-5k", "step-10k", "step-20k"]
    assert ">20k</text>" in part
