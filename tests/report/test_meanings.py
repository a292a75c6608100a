"""Every measure is described, one's own by its docstring."""

from __future__ import annotations

import torch

import assay
from assay import Comparison, compare
from assay.measure_by_name import SHORT
from assay.report.html import as_page
from assay.report.html.meanings import MEANINGS, meaning_of
from assay.statistics import Moments


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
