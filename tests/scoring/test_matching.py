"""Which image belongs to which target: by name without suffix, by order, or by what all sets have."""

from __future__ import annotations

import re

import pytest

from assay import DataError, UsageError
from assay.scoring.matching import matched, stem_of


def test_names_without_suffix_in_the_targets_order() -> None:
    found = matched(
        ("hr", ["b/1.png", "a.png", "c.v2.png"]), {"sr": ["a.jpg", "b/1.webp", "c.v2.jpg"]}, "name"
    )
    assert list(found.target) == [0, 1, 2] and list(found.candidates["sr"]) == [1, 0, 2]
    assert not found.unmatched
    assert stem_of("dogs/0001.png") == "dogs/0001" and stem_of("12") == "12" and stem_of("a.b/c") == "a.b/c"


def test_images_without_a_partner_are_named_and_counted() -> None:
    target = ("hr", [f"{k:03}.png" for k in range(10)])
    sets = {"sr": [f"{k:03}.png" for k in range(3, 12)]}
    said = (
        "sr and hr cannot be paired by name: only in sr: 010.png, 011.png; only in hr: 000.png, 001.png, 002.png. "
        "Score what both have with --match common"
    )
    with pytest.raises(DataError, match=re.escape(said)):
        matched(target, sets, "name")
    common = matched(target, sets, "common")
    assert list(common.target) == list(range(3, 10)) and list(common.candidates["sr"]) == list(range(7))
    assert common.unmatched == {"hr": 3, "sr": 2} and common.beside["sr"] == ["010.png", "011.png"]
    many = {"sr": [f"x{k}.png" for k in range(8)]}
    with pytest.raises(
        DataError, match=r"only in sr: x0\.png, x1\.png, x2\.png, x3\.png, x4\.png and 3 more"
    ):
        matched(target, many, "name")


def test_common_names_are_those_of_all_candidates() -> None:
    target = ("hr", ["a.png", "b.png", "c.png"])
    found = matched(target, {"x": ["a.png", "b.png"], "y": ["c.png", "b.png"]}, "common")
    assert (list(found.target), list(found.candidates["x"]), list(found.candidates["y"])) == ([1], [1], [1])
    with pytest.raises(DataError, match=r"hr and x have no image name in common: hr has a\.png, x d\.png"):
        matched(target, {"x": ["d.png"]}, "common")


def test_by_order() -> None:
    found = matched(("hr", ["a.png", "b.png"]), {"sr": ["x.png", "y.png"]}, "order")
    assert list(found.target) == list(found.candidates["sr"]) == [0, 1]
    with pytest.raises(DataError, match="sr has 3 images and hr 2: by order every image needs its target"):
        matched(("hr", ["a.png", "b.png"]), {"sr": ["x", "y", "z"]}, "order")


def test_two_images_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match=r"sr has two images called a: a\.png and a\.jpg"):
        matched(("hr", ["a.png"]), {"sr": ["a.png", "a.jpg"]}, "common")
    with pytest.raises(UsageError, match="match: expected name, order, common, got 'size'"):
        matched(("hr", ["a"]), {"sr": ["a"]}, "size")  # type: ignore[arg-type]
