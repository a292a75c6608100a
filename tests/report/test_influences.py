"""The histograms count every sample once, on the side it is on."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from assay import Comparison
from assay.report.html.influences import influences_section


def drawn(found: Comparison, values: list[float], direction: str) -> list[tuple[str, int]]:
    """(kind, samples) of each bar."""
    one = replace(
        found.explanations[0], of_generated=np.array(values, np.float32), of_real=None, direction=direction
    )
    section = influences_section(replace(found, explanations=(one,)))
    assert section is not None
    bars = re.findall(r"<title>([\d,]+) samples.*?</title><rect class=\"(\w+)\"", section.html())
    return [(kind, int(count.replace(",", ""))) for count, kind in bars]


def test_every_sample_is_in_one_bar_of_its_side(full: Comparison) -> None:
    values = [-3.0] * 5 + [-0.001] * 7 + [0.0] * 11 + [0.002] * 13 + [9.0] * 17
    for direction, harmful in (("lower is better", 30), ("higher is better", 12)):
        bars = drawn(full, values, direction)
        assert sum(count for _, count in bars) == len(values)
        assert (
            abs(sum(count for kind, count in bars if kind == "worse") - harmful) <= 11
        )  # zeros lie in one of the two


def test_a_far_outlier_is_counted_in_the_last_bar(full: Comparison) -> None:
    values = [*np.linspace(-1, 1, 999).tolist(), 1e6]
    bars = drawn(full, values, "lower is better")
    assert sum(count for _, count in bars) == 1000 and len(bars) > 30


def test_influences_that_are_all_zero(full: Comparison) -> None:
    assert drawn(full, [0.0] * 4, "lower is better") == [("better", 4)]


def test_what_is_no_number_is_not_drawn(full: Comparison) -> None:
    one = replace(full.explanations[0], of_generated=np.array([np.nan, 1.0], np.float32), of_real=None)
    assert influences_section(replace(full, explanations=(one,))) is None
