"""The published error budgets hold for the packages that are installed, and the page shows measured figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.fixture(scope="module")
def measured(budgets):
    found = budgets.measured()
    if not found:
        pytest.skip("no peer is installed")
    return found


def test_every_difference_is_within_its_budget(measured):
    for row in measured:
        if row["budget"] is not None:
            assert row["difference"] <= row["budget"], row


def test_the_page_shows_what_is_measured(measured):
    published = {
        (r["peer"], r["measure"], r["case"]): r for r in json.loads((DOCS / "error_budgets.json").read_text())
    }
    for row in measured:
        shown = published[row["peer"], row["measure"], row["case"]]
        assert shown["assay"] == pytest.approx(row["assay"], rel=1e-4)
        assert shown["budget"] == row["budget"]


def test_definitions_said_to_differ_do_differ_where_copies_are(measured):
    found = {(r["peer"], r["measure"]): r["difference"] for r in measured}
    checked = [
        k
        for k in [("prdc", "density, copies"), ("torchmetrics", "memorization_informed_frechet_distance")]
        if k in found
    ]
    assert checked
    for key in checked:
        assert found[key] > 0.01, key
