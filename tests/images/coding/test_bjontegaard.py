"""The deltas are the published ones by all three curves, and refuse what has no answer."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.interpolate
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.errors import DataError, UsageError
from assay.images.coding import bd_psnr, bd_rate

METHODS: Any = ("pchip", "cubic", "akima")
ANCHOR = ([9487.76, 4593.60, 2486.44, 1358.24], [40.037, 38.615, 36.845, 34.851])
TEST = ([9787.80, 4469.00, 2451.52, 1356.24], [40.121, 38.651, 36.970, 34.987])


@pytest.mark.parametrize(
    ("method", "rate", "psnr", "tolerance"),
    [
        ("cubic", -4.420462706125383, 0.12040941911451103, 1e-10),
        ("pchip", -4.417485350589045, 0.11969278542479489, 1e-12),
        ("akima", -4.425245156997493, 0.11940927028529469, 1e-12),
    ],
)
def test_as_the_bjontegaard_package(method: Any, rate: float, psnr: float, tolerance: float) -> None:
    """`bjontegaard` 1.3.0 on the points of its own example; its polynomial is worse conditioned."""
    assert bd_rate(*ANCHOR, *TEST, method=method) == pytest.approx(rate, rel=tolerance)
    assert bd_psnr(*ANCHOR, *TEST, method=method) == pytest.approx(psnr, rel=max(tolerance, 1e-10))


def test_the_standards_curve_is_the_default() -> None:
    assert bd_rate(*ANCHOR, *TEST) == bd_rate(*ANCHOR, *TEST, method="pchip")
    assert bd_psnr(*ANCHOR, *TEST) == bd_psnr(*ANCHOR, *TEST, method="pchip")


def a_curve(p: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return np.exp(np.cumsum(rng.uniform(0.1, 1.2, p))), 28 + np.cumsum(rng.uniform(0.05, 3, p))


@settings(max_examples=40)
@given(st.integers(4, 9), st.integers(4, 9), st.integers(0, 2**31))
def test_by_scipys_curves(p: int, k: int, seed: int) -> None:
    (ra, qa), (rt, qt) = a_curve(p, seed), a_curve(k, seed + 1)
    low, high = max(qa[0], qt[0]), min(qa[-1], qt[-1])
    for method, curve in (
        ("pchip", scipy.interpolate.PchipInterpolator),
        ("akima", scipy.interpolate.Akima1DInterpolator),
    ):
        if low < high:
            gap = curve(qt, np.log10(rt)).integrate(low, high) - curve(qa, np.log10(ra)).integrate(low, high)
            expected = 100 * (10 ** (gap / (high - low)) - 1)
            assert bd_rate(ra, qa, rt, qt, method=method) == pytest.approx(expected, rel=1e-9, abs=1e-9)
        else:
            with pytest.raises(DataError, match="share no qualities"):
                bd_rate(ra, qa, rt, qt, method=method)


def test_the_polynomial_in_exact_arithmetic() -> None:
    """Lagrange's polynomials through four points, integrated in fractions: no digit is lost to the fit."""

    def average(points: tuple[Any, Any], low: float, high: float) -> Fraction:
        x, y = [Fraction(q) for q in points[1]], [Fraction(math.log10(r)) for r in points[0]]
        total = Fraction(0)
        for i in range(4):
            terms = [Fraction(1)]
            for j in (j for j in range(4) if j != i):
                shifted = [Fraction(0), *terms]
                terms = [s - x[j] * t for s, t in zip(shifted, [*terms, Fraction(0)], strict=True)]
                terms = [t / (x[i] - x[j]) for t in terms]
            steps = [Fraction(high) ** (k + 1) - Fraction(low) ** (k + 1) for k in range(4)]
            total += y[i] * sum(t * s / (k + 1) for k, (t, s) in enumerate(zip(terms, steps, strict=True)))
        return total / (Fraction(high) - Fraction(low))

    low, high = 34.987, 40.037
    exact = 100 * (10 ** float(average(TEST, low, high) - average(ANCHOR, low, high)) - 1)
    assert bd_rate(*ANCHOR, *TEST, method="cubic") == pytest.approx(exact, rel=1e-12)


def test_more_than_four_points_are_fitted_by_the_polynomial() -> None:
    (ra, qa), (rt, qt) = a_curve(7, 5), a_curve(6, 8)
    low, high = max(qa[0], qt[0]), min(qa[-1], qt[-1])
    fits = [np.polynomial.Polynomial.fit(q, np.log10(r), 3).integ() for r, q in ((ra, qa), (rt, qt))]
    gap = [(fit(high) - fit(low)) / (high - low) for fit in fits]
    expected = 100 * (10 ** (gap[1] - gap[0]) - 1)
    assert bd_rate(ra, qa, rt, qt, method="cubic") == pytest.approx(expected, rel=1e-9)


@settings(max_examples=30)
@given(st.sampled_from(METHODS), st.integers(4, 8), st.integers(0, 2**31), st.floats(0.2, 5.0))
def test_laws(method: Any, p: int, seed: int, factor: float) -> None:
    rate, quality = a_curve(p, seed)
    scaled = bd_rate(rate, quality, factor * rate, quality, method=method)
    assert scaled == pytest.approx(100 * (factor - 1), rel=1e-9, abs=1e-9)
    assert bd_psnr(rate, quality, rate, quality + factor, method=method) == pytest.approx(factor, rel=1e-9)
    # the other codec reaches other qualities
    other, other_quality = a_curve(p, seed + 1)
    other_quality = other_quality + (quality[0] + quality[-1] - other_quality[0] - other_quality[-1]) / 2
    there = bd_rate(rate, quality, other, other_quality, method=method)
    back = bd_rate(other, other_quality, rate, quality, method=method)
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1, rel=1e-9)
    order = np.random.default_rng(seed).permutation(p)
    shuffled = bd_rate(rate[order], quality[order], torch.from_numpy(other), other_quality, method=method)
    assert shuffled == pytest.approx(there, rel=1e-9)


def test_exchanged_qualities_change_the_sign() -> None:
    for method in METHODS:
        there, back = bd_psnr(*ANCHOR, *TEST, method=method), bd_psnr(*TEST, *ANCHOR, method=method)
        assert there == pytest.approx(-back, rel=1e-12)


def test_points_on_a_line_are_joined_by_it() -> None:
    """Akima's weights are all zero here: the chords agree."""
    for method in METHODS:
        got = bd_rate(
            [1, 10, 100, 1000, 1e4], [30, 32, 34, 36, 38], [2, 20, 200, 2000], [30, 32, 34, 36], method=method
        )
        assert got == pytest.approx(100, rel=1e-9)


def test_between_two_lines_akimas_slope_is_half_way() -> None:
    """The weights are both zero but for rounding. Of a piece h wide, slopes s and t at its ends add h^2 (s - t) / 12 to
    what the chord has: 2.25 (0.1 - 0.2) / 12 before the bend and (0.2 - 0.3) / 12 after it."""
    quality, logs = [30, 31, 32.5, 33.5, 35.5, 36.5], [0, 0.1, 0.25, 0.55, 1.15, 1.45]
    chords = 0.1 * 2.5**2 / 2 + 0.25 * 4 + 0.3 * 4**2 / 2
    expected = (chords - 0.225 / 12 - 0.1 / 12) / 6.5 - 0.2 * 6.5 / 2
    line = [10 ** (0.2 * (q - 30)) for q in quality]
    got = bd_rate(line, quality, [10**each for each in logs], quality, method="akima")
    assert math.log10(1 + got / 100) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("function", [bd_rate, bd_psnr])
def test_what_has_no_answer(function: Any) -> None:
    rate, quality = ANCHOR
    for wrong, message in (
        (([1, 2, 3], [4, 5, 6]), r"test: a curve needs at least 4 operating points, got 3"),
        (([1, 2, 3, 4], [4, 5, 6]), r"test: expected as many rates as qualities"),
        ((np.ones((2, 4)), np.ones((2, 4))), r"test: expected as many"),
    ):
        with pytest.raises(UsageError, match=message):
            function(rate, quality, *wrong)
    for wrong, message in (
        (([1, 2, 3, 0], [4, 5, 6, 3]), r"test: expected rates above 0"),
        (([1, 2, 3, 4], [4, 5, math.nan, 7]), r"test: expected rates above 0 and finite"),
        (([1, 2, 3, 4], [33, 35, 34, 37]), r"test: expected qualities that grow .*\(3, 34\)"),
        (([1, 2, 3, 4], [33, 34, 34, 37]), r"test: expected qualities that grow"),
        (([1, 2, 2, 4], [33, 34, 35, 37]), r"test: expected qualities that grow"),
        (([1, 2, 3, 4], [-0.4, -0.5, -0.6, -0.7]), r"minus a distance"),
        (([1, 2, 3, 4], [50, 51, 52, 53]), r"share no (qualities|log10 rates): the anchor's go from"),
        # one point in common is no range to take a mean over
        (([9487.76, 2e4, 3e4, 4e4], [40.037, 41, 42, 43]), r"share no (qualities|log10 rates)"),
    ):
        with pytest.raises(DataError, match=message):
            function(rate, quality, *wrong)
    with pytest.raises(UsageError, match="method: expected one of pchip, akima, cubic"):
        function(*ANCHOR, *TEST, method="spline")
    for text in ("abcd", ["a", "b", "c", "d"], None, [True] * 4, [1j, 2, 3, 4], [[1], [2, 3]]):
        with pytest.raises(UsageError, match="test: rates: expected numbers"):
            function(rate, quality, text, [4, 5, 6, 7])
        with pytest.raises(UsageError, match="anchor: qualities: expected numbers"):
            function(rate, text, rate, quality)
