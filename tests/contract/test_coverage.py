"""A short run of studies/coverage.py: intervals cover the population's value, standard errors are the redraws' spread.

The bounds allow for what so few redraws can miss. Over R redraws a coverage of 95% is seen as at least
0.95 - 3.3 sqrt(0.95 x 0.05 / R) in 999 of 1000 runs, and a spread is known to a factor 1 +- 3.3 / sqrt(2 (R - 1)).
The study itself, at 200 redraws, is held to 90-99% and 0.85-1.5.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("coverage_study", STUDIES / "coverage.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["coverage_study"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    module.LARGE = 100_000
    yield module
    del sys.modules["coverage_study"]


def held(rows, redraws, *, coverage=True):
    for row in rows:
        what = f"{row.case}, {row.measure}: {row}"
        width = 3.3 / (2 * (redraws - 1)) ** 0.5
        assert 0.85 * (1 - width) <= row.ratio <= 1.5 * (1 + width), what
        assert row.coverage >= 0.95 - 3.3 * (0.95 * 0.05 / redraws) ** 0.5, what
        error = row.spread / redraws**0.5
        assert abs(row.mean_corrected - row.truth) < 4 * error + 0.01 * abs(row.mean_value - row.truth), what


SMOOTH = 60


@pytest.mark.parametrize("which", ["equal", "shifted", "mixture"])
def test_distances(study, which):
    plain, shifted = study.gaussian(), study.gaussian(0.25, spread=study.rotated_spread(3, 0.6, 1.8))
    x, y = {"equal": (plain, plain), "shifted": (plain, shifted), "mixture": (shifted, study.heavy())}[which]
    held(study.run(study.two_sets(which, x, y)[0], SMOOTH), SMOOTH)


@pytest.mark.parametrize("factor", [2, 10, 31])
def test_frechet_from_few_samples_a_feature_to_many(study, factor):
    plain = study.gaussian()
    (case,) = study.two_sets(f"equal, n = {factor}d", plain, plain, n=factor * study.D, only_fd=True)
    (row,) = study.run(case, SMOOTH)
    assert row.coverage >= 0.95 - 3.3 * (0.95 * 0.05 / SMOOTH) ** 0.5, row
    assert abs(row.mean_corrected) < 0.05 * row.mean_value, row  # the raw value is all bias
    assert 0.6 < row.ratio < 1.6, row


def test_one_set(study):
    held(study.run(study.one_set("isotropic", study.gaussian()), SMOOTH), SMOOTH)
    held(study.run(study.predictions("sure classes", 6.0), SMOOTH), SMOOTH)


@pytest.mark.parametrize("measures", [("fd",), ("kd", "kd_rbf")])
@pytest.mark.parametrize("dependence", ["paired", "clustered"])
def test_dependent_samples(study, dependence, measures):
    case = getattr(study, dependence)(dependence)[0]
    rows = [row for row in study.run(case, SMOOTH) if row.measure in measures]
    held(rows, SMOOTH)


def test_neighbours(study):
    plain, shifted = study.gaussian(), study.gaussian(0.25, spread=study.rotated_spread(3, 0.6, 1.8))
    redraws = 24
    held(study.run(study.two_sets("shifted", plain, shifted, n=250)[1], redraws), redraws)


def test_the_written_study_covers_every_case(study):
    written = json.loads((STUDIES / "coverage.json").read_text())
    assert written["settings"]["redraws"] >= 200
    outside = {
        (row["case"], row["measure"])
        for row in written["rows"]
        if row["spread"] > 0 and not (0.9 <= row["coverage"] <= 0.99 and 0.85 <= row["ratio"] <= 1.5)
    }
    assert {row["measure"] for row in written["rows"]} >= {
        "fd",
        "kd",
        "kd_rbf",
        "vendi",
        "inception",
        *study.NEIGHBOURS,
    }
    # found outside, both too wide: 1.501 times the redraws' spread at 100%, and 199 of 200 covered
    assert outside == {("paired", "kd"), ("equal, n = 10d", "fd")}
