"""A comparison in a notebook: a table, a data frame, a figure."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

import assay
from assay.comparison import Comparison
from assay.note import Note
from assay.report.training_steps import steps_of

EVIL = "<img src=x onerror=alert(1)> & $x$"


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"needs {name}")


def draw(seed: int, shift: float) -> torch.Tensor:
    return torch.randn(40, 4, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.fixture(scope="module")
def found() -> Comparison:
    sets = {EVIL: draw(1, 2.0), "late": draw(2, 0.2)}
    return assay.compare(draw(0, 0.0), sets, measures=["fd", "precision", "vendi"], floor=True)


class Seen(HTMLParser):
    """Every element, and the text in it; elements must be closed in their order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_html_is_a_table_that_says_what_the_terminal_says(found):
    seen = Seen(found._repr_html_())
    assert seen.tags.count("table") == 1
    assert seen.rows[0] == ["", "", "value", "95% interval", "raw", "x floor"]
    cells = [cell for row in seen.rows for cell in row]
    lines = 0
    for line in str(found).splitlines():
        if re.match(r"  [\w\[\]]+ +[↓↑] ", line):
            name, arrow, value = line.split()[:3]
            assert [name, arrow, value] in [row[:3] for row in seen.rows]
            lines += 1
    assert lines == len([*found.rows, *found.aims, *found.floor])
    assert "late, 40 samples" in cells and "real: the value to aim at" in cells
    for note in found.notes:
        assert str(note).encode("utf-8", "backslashreplace").decode() in seen.text
    assert "late is better" in seen.text and "↓ lower is better" in seen.text


def test_names_stay_text_and_nothing_runs(found):
    html = found._repr_html_()
    seen = Seen(html)
    assert not {"img", "script", "style", "link", "iframe"} & set(seen.tags)
    assert seen.attributes <= {"style", "scope", "colspan"}
    assert "<img src=x onerror=alert(1)> & $x$" in seen.text
    for colour in ("color", "background", "#fff", "#000"):
        assert colour not in html.lower()  # the page's own, light or dark


def test_bytes_that_are_no_text_are_shown_as_they_would_be_written():
    found = assay.compare(draw(0, 0.0), {"late": draw(2, 0.2)}, measures="fd")
    odd = replace(found, notes=(Note("odd", "a name such as caf\udce9.png"),))
    html = odd._repr_html_()
    html.encode("utf-8")  # else no notebook can send it
    assert r"caf\udce9.png" in html


def test_html_of_classes_and_protocol_values():
    a, b = draw(0, 0.0), draw(1, 0.5)
    labels = ["<cat>" if k % 2 else "dog" for k in range(40)]
    found = assay.compare(a, b, measures="fd", classes={"real": labels, "generated": labels})
    seen = Seen(found._repr_html_())
    assert seen.tags.count("table") == 2
    assert any(row[0] == "<cat>" for row in seen.rows)


@needs("pandas")
def test_to_pandas_is_a_row_a_candidate_measure_and_class(found):
    frame = found.to_pandas()
    assert len(frame) == len(found.rows)
    row = frame[(frame.candidate == "late") & (frame.measure == "frechet_distance")].iloc[0]
    estimate = found["late", "fd"]
    for column in ("value", "corrected", "low", "high", "std_error", "bias", "n_x", "n_y", "level"):
        assert row[column] == getattr(estimate, column)
    assert row["name"] == "fd[features]" and row["direction"] == "lower is better"
    assert frame["class"].isna().all()
    assert row["multiple_of_floor"] == next(
        r.multiple for r in found.rows if r.candidate == "late" and r.measure == "frechet_distance"
    )
    assert set(frame.pivot(index="candidate", columns="name", values="corrected").columns) == {
        "fd[features]", "precision[features]", "vendi[features]",
    }  # fmt: skip
    labels = ["a" if k % 2 else "b" for k in range(40)]
    by_class = assay.compare(
        draw(0, 0.0), draw(1, 0.5), measures="fd", classes={"real": labels, "generated": labels}
    ).to_pandas()
    assert by_class["class"].isna().tolist() == [True, False, False]
    assert by_class["class"].tolist()[1:] == ["a", "b"]
    assert by_class["n_x"].tolist() == [40, 20, 20]


@needs("matplotlib")
def test_plot_has_a_panel_a_measure_with_intervals_by_candidate(found):
    figure = found.plot()
    assert [ax.get_title() for ax in figure.axes] == [
        "fd[features] ↓", "precision[features] ↑", "vendi[features] ↑",
    ]  # fmt: skip
    first = figure.axes[0]
    estimates = [row.estimate for row in found.rows if row.measure == "frechet_distance"]
    assert list(first.lines[0].get_xdata()) == [e.corrected for e in estimates]
    (bars,) = first.collections
    ends = [(segment[0][0], segment[1][0]) for segment in bars.get_segments()]
    expected = [(min(e.low, e.corrected), max(e.high, e.corrected)) for e in estimates]
    assert ends == [pytest.approx(each) for each in expected]
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["floor"]
    assert [text.get_text() for text in figure.axes[2].get_legend().get_texts()] == ["real, to aim at"]
    assert figure._repr_png_().startswith(b"\x89PNG")  # dollars are drawn, not read as a formula
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@needs("matplotlib")
def test_plot_goes_over_steps_where_names_hold_them():
    sets = {f"step-{k}k": draw(k, 2.0 / k) for k in (8, 2, 4)}
    found = assay.compare(draw(0, 0.0), sets, measures="fd")
    (ax,) = found.plot().axes
    line = ax.lines[0]
    assert list(line.get_xdata()) == [2000, 4000, 8000]
    assert list(line.get_ydata()) == [found[f"step-{k}k", "fd"].corrected for k in (2, 4, 8)]
    assert ax.get_xlabel() == "step"


@needs("matplotlib")
def test_numbers_that_are_not_finite_leave_a_place_empty():
    from assay.drawing import Panel, figure_of

    figure = figure_of([Panel("x", ("a", "b"), (1.0, math.inf), (0.5, math.nan), (math.inf, 2.0))])
    assert figure._repr_png_()
    assert len(figure_of([]).axes) == 0


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["step-10k", "step-20k", "step-5k"], [10000, 20000, 5000]),
        (["v2-1.5M", "v2-2M", "v2-900k"], [1.5e6, 2e6, 9e5]),
        (["epoch_3.zip", "epoch_10.zip", "epoch_7.zip"], [3, 10, 7]),
        (["early", "late", "later"], None),
        (["step-10k", "step-20k"], None),
        (["run1-10", "run2-20", "run3-30"], None),  # two numbers go up: which is the step?
        (["step-10", "step-10.0", "step-20"], None),
        (["step-1", "step-2", "real"], None),
    ],
)
def test_steps_are_the_one_number_in_which_names_differ(names, steps):
    assert steps_of(names) == steps
