"""Text stays text, wherever in a page it stands."""

from __future__ import annotations

import json

import pytest

from assay.report.html.markup import Html, data_block, element, readable, shortened, together
from assay.report.html.scale import Scale, scale_of, ticks

HOSTILE = ["<script>", "</script>", "<!--", "a&b", "\"'><svg onload=x>", "\u2028\u2029", "]]>"]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_and_attributes_are_escaped(text: str) -> None:
    made = element("p", {"title": text}, text, element("b", {}, text))
    for character in ("<script", "</script", "<svg", "<!--", "\u2028"):
        assert character not in made
    assert made.count("<") == 4 and made.count('"') == 2


def test_markup_alone_is_let_through() -> None:
    assert together(["<b>", Html("<b>")]) == "&lt;b&gt;<b>"
    assert element("br", {}) == "<br>" and element(
        "input", {"disabled": True, "hidden": False, "id": None}
    ) == ("<input disabled>")


@pytest.mark.parametrize("text", HOSTILE)
def test_embedded_json_cannot_end_its_element(text: str) -> None:
    block = data_block("d", {text: [text]})
    inner = block.removeprefix('<script type="application/json" id="d">').removesuffix("</script>")
    assert not set("<>&\u2028\u2029") & set(inner)
    assert json.loads(inner) == {text: [text]}


def test_what_cannot_be_seen_is_escaped() -> None:
    assert readable("Grüße 漢字.png") == "Grüße 漢字.png"
    assert readable("a\udcffb\x00\u202e") == r"a\udcffb\x00\u202e"
    long = shortened("a" * 150 + "b" * 150)
    assert len(long) == 201 and long.startswith("aaa") and long.endswith("bbb")


def test_scales_hold_all_finite_numbers() -> None:
    scale = scale_of([3.0, float("nan"), float("inf"), 5.0])
    assert (scale.low, scale.high) == (3.0, 5.0)
    assert 0 < scale.at(3.0) < scale.at(4.0) < scale.at(float("inf")) < 100
    assert scale_of([1.0, 4.0], zero=True).low == 0 and scale_of([50.0, 51.0], zero=True).low == 50
    assert scale_of([]) == Scale(0.0, 1.0) and scale_of([2.0]).low < 2.0 < scale_of([2.0]).high


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (0.77, 0.95), (-0.0012, 0.0005), (0, 37.0), (3e4, 8e8), (0, 1e-9)]
)
def test_ticks_are_few_round_and_told_apart(low: float, high: float) -> None:
    marks = ticks(Scale(low, high))
    assert 2 <= len(marks) <= 6
    assert len({label for _, label in marks}) == len(marks)
    assert all(low - 1e-12 <= value <= high * (1 + 1e-9) for value, _ in marks)


def test_one_number_beyond_what_a_half_is_beside_has_a_scale() -> None:
    for value in (1e17, -1e17):
        scale = scale_of([value])
        assert scale.low < value < scale.high and ticks(scale)
