"""Which samples and classes are shown: the worst first, and none that make it better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assay import Comparison
from assay.report.class_table import class_tables
from assay.report.html import as_page
from assay.report.html.galleries import chosen_samples


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
