"""What stops a pipeline, and that wrong conditions are refused before the work."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import assay
from assay.comparison import Published
from assay.errors import UsageError
from assay.fail_if import condition_of, failures, refuse_unknown

X = torch.randn(80, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def found() -> assay.Comparison:
    return assay.compare(X, {"early": X.flip(0) + 1, "late": X.flip(0) + 0.5}, measures=["fd", "kd"])


@pytest.mark.parametrize(
    "text, parts",
    [
        ("fd > 12", (None, "fd", ">", 12.0)),
        ("late: fd>=1e-3", ("late", "fd", ">=", 1e-3)),
        ("late:fd[pixels:4] < -2", ("late", "fd[pixels:4]", "<", -2.0)),
        (
            "a: b: precision(nearest_k=3)[features] <= 0.5",
            ("a: b", "precision(nearest_k=3)[features]", "<=", 0.5),
        ),
        ("frechet_distance > 1", (None, "frechet_distance", ">", 1.0)),
    ],
)
def test_conditions_are_read(text: str, parts: tuple[str | None, str, str, float]) -> None:
    c = condition_of(text)
    assert (c.candidate, c.measure, c.sign, c.bound) == parts


@pytest.mark.parametrize(
    "text", ["", "fd", "fd = 12", "fd > ", "> 12", "fd > many", "fd > nan", "fd >> 1", "f d > 1", "fd > 1_2"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r'--fail-if: expected a measure.*"fd > 12"'):
        condition_of(text)


def test_the_value_or_all_of_the_interval_must_be_beyond(found: assay.Comparison) -> None:
    e = found["late", "fd"]
    between = (e.low + e.corrected) / 2
    for sign, bound, on, expected in (
        (">", between, "value", True),
        (">", between, "interval", False),
        (">", e.low - 1e-6, "interval", True),
        (">=", e.low, "interval", True),
        (">", e.low, "interval", False),
        ("<", (e.corrected + e.high) / 2, "value", True),
        ("<", (e.corrected + e.high) / 2, "interval", False),
        ("<=", e.high, "interval", True),
        ("<", e.corrected, "value", False),
        ("<=", e.corrected, "value", True),
    ):
        assert bool(failures([condition_of(f"late: fd {sign} {bound!r}")], found, on)) is expected, (sign, on)


def test_every_candidate_counts_unless_one_is_named(found: assay.Comparison) -> None:
    told = failures([condition_of("fd > 0.001"), condition_of("late: kd < 1e9")], found)
    assert [clause.partition(" is ")[0] for clause in told] == [
        "early: fd[features]", "late: fd[features]", "late: kd[features]",
    ]  # fmt: skip
    assert told[0].endswith("(fd > 0.001)")
    assert failures([condition_of("fd > 1000")], found) == []


@pytest.mark.parametrize("on", ["value", "interval"])
@pytest.mark.parametrize("sign", [">", "<"])
def test_no_number_fails(found: assay.Comparison, on: str, sign: str) -> None:
    row = found.rows[0]
    broken = replace(row, estimate=replace(row.estimate, corrected=math.nan))
    (clause,) = failures([condition_of(f"fd {sign} 0")], replace(found, rows=(broken,)), on)
    assert "is n/a" in clause


def test_a_published_value_can_be_named(found: assay.Comparison) -> None:
    value = Published("FID", "FID", "late", 12.5, None, (), "lower is better")
    with_it = replace(found, published=(value,))
    assert failures([condition_of("FID > 12")], with_it) == ["late: FID is 12.5 (FID > 12)"]
    with pytest.raises(UsageError, match="a published value has no interval"):
        failures([condition_of("FID > 12")], with_it, "interval")


def test_what_will_not_be_there_is_refused_before_the_work(found: assay.Comparison) -> None:
    known = {"fd": "frechet_distance", "precision": "precision"}
    refuse_unknown([condition_of("late: frechet_distance[x] > 1")], known, ["late"])
    with pytest.raises(
        UsageError, match=r"presicion is not measured \(did you mean 'precision'\?\); measured are fd"
    ):
        refuse_unknown([condition_of("presicion > 1")], known, ["late"])
    with pytest.raises(UsageError, match=r"no candidate is called 'lat' \(did you mean 'late'\?\)"):
        refuse_unknown([condition_of("lat: fd > 1")], known, ["late"])
    with pytest.raises(UsageError, match="vendi was not measured, but fd"):
        failures([condition_of("vendi > 1")], found)
