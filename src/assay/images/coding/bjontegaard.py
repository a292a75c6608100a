"""Bjontegaard delta: how much less rate, or how much more quality, between two rate-distortion curves?"""

from __future__ import annotations

from typing import Any, get_args

import torch
from torch import Tensor

from ...errors import DataError, UsageError
from .curve_average import Interpolation, curve_average
from .number_table import number_table

FEWEST = 4


def bd_rate(
    rate_anchor: Any,
    quality_anchor: Any,
    rate_test: Any,
    quality_test: Any,
    *,
    method: Interpolation = "pchip",
) -> float:
    r"""Bjontegaard delta rate: how many percent more bits the tested codec needs for the same quality, on average.

    With $r_A(q)$ and $r_T(q)$ the decadic logarithm of the rate as a curve through each codec's points, and
    $[q_0, q_1]$ the qualities that both reach,

    $$ \Delta = 100 \Big( 10^{\frac{1}{q_1 - q_0} \int_{q_0}^{q_1} r_T(q) - r_A(q) \, dq} - 1 \Big) $$

    Args:
        rate_anchor: (p,) rates of the codec compared against, in any unit, above 0; at least 4, in any order.
        quality_anchor: (p,) its qualities there: PSNR, or any measure that grows with the rate (minus a distance).
        rate_test: (k,) rates of the tested codec, in the same unit.
        quality_test: (k,) its qualities.
        method: the curve. "pchip", piecewise cubic, is that of the common test conditions of HEVC and VVC (JCTVC-L1100,
            JVET-T2010); "cubic", one polynomial of third degree, that of the original proposal (VCEG-M33); "akima" that
            of Herglotz et al. 2022 (arXiv:2202.12565).

    Returns:
        Percent, above -100: below 0 the tested codec saves bits. Rates scaled by c give exactly (c - 1) 100.

    Raises:
        UsageError: rates and qualities of different lengths, fewer than 4 points, an unknown method.
        DataError: a rate not above 0, NaN; qualities that do not grow with the rate; curves whose qualities do not
            overlap.

    Complexity: O(p).

    FAQ:
        *Is A against B minus B against A?* In the logarithm only: -20 % one way is +25 % the other.

        *Which method was my paper's?* Tools named "BD-rate" use "cubic" or "pchip"; on four well-spaced points they
        differ by some hundredths of a percent, on bent curves by far more. With more than four points "cubic" is a fit
        and does not meet them. The bjontegaard package (1.3.0) gives the same numbers by all three names; its "cubic"
        bd_rate loses up to seven digits, for it fits powers of the quality as it comes.

        *Why an error where other tools give a number?* A curve that bends back has no rate for a quality, and without
        overlap there is nothing to integrate: a number would be extrapolation.

        *How sure is it?* `RateDistortion.bd_rate` gives an interval from the images' own points.
    """
    anchor, test = as_curve(rate_anchor, quality_anchor, "anchor"), as_curve(rate_test, quality_test, "test")
    return percent(float(log_rate_gap(*anchor, *test, method)))


def bd_psnr(
    rate_anchor: Any,
    quality_anchor: Any,
    rate_test: Any,
    quality_test: Any,
    *,
    method: Interpolation = "pchip",
) -> float:
    r"""Bjontegaard delta quality: how much better the tested codec is at the same rate, on average.

    With $q_A(r)$ and $q_T(r)$ the quality as a curve over the decadic logarithm of the rate, and $[r_0, r_1]$ the rates
    that both reach,

    $$ \Delta = \frac{1}{r_1 - r_0} \int_{r_0}^{r_1} q_T(r) - q_A(r) \, dr $$

    Args:
        rate_anchor, quality_anchor, rate_test, quality_test, method: as for `bd_rate`.

    Returns:
        The mean difference in the quality's unit (decibels for PSNR): above 0 the tested codec is better. Exchanging
        both changes the sign.

    Raises:
        UsageError, DataError: as `bd_rate`, where the rates do not overlap.

    Complexity: O(p).
    """
    anchor, test = as_curve(rate_anchor, quality_anchor, "anchor"), as_curve(rate_test, quality_test, "test")
    return float(quality_gap(*anchor, *test, method))


def log_rate_gap(
    log_rate: Tensor, quality: Tensor, log_rate_test: Tensor, quality_test: Tensor, method: Interpolation
) -> Tensor:
    """Mean gap of the decadic logarithms over the shared qualities, (...,) of curves (..., p) from `as_curve`."""
    return _gap(quality, log_rate, quality_test, log_rate_test, method, "qualities")


def quality_gap(
    log_rate: Tensor, quality: Tensor, log_rate_test: Tensor, quality_test: Tensor, method: Interpolation
) -> Tensor:
    """Mean gap of the qualities over the shared logarithms of rates."""
    return _gap(log_rate, quality, log_rate_test, quality_test, method, "log10 rates")


def percent(gap: float) -> float:
    """What a gap of decadic logarithms is in percent."""
    return 100 * (10**gap - 1)


def as_curve(rate: Any, quality: Any, name: str) -> tuple[Tensor, Tensor]:
    """Logarithms of rates and qualities, (p,) float64 in increasing order, for points that make a curve.

    Raises:
        UsageError, DataError: as `bd_rate`.
    """
    rates, qualities = (
        number_table(v, f"{name}: {what}") for v, what in ((rate, "rates"), (quality, "qualities"))
    )
    if rates.ndim != 1 or rates.shape != qualities.shape:
        raise UsageError(
            f"{name}: expected as many rates as qualities, (p,) each, got {tuple(rates.shape)} and "
            f"{tuple(qualities.shape)}"
        )
    if len(rates) < FEWEST:
        raise UsageError(f"{name}: a curve needs at least {FEWEST} operating points, got {len(rates)}")
    if not bool((rates.isfinite() & qualities.isfinite() & (rates > 0)).all()):
        raise DataError(
            f"{name}: expected rates above 0 and finite qualities, got {_listed(rates, qualities)}"
        )
    order = rates.argsort()
    rates, qualities = rates[order], qualities[order]
    if not grows(rates, qualities):
        raise DataError(
            f"{name}: expected qualities that grow with the rate, got (rate, quality) {_listed(rates, qualities)}; "
            "leave out the points that bend the curve back, and give minus a distance as a quality"
        )
    return rates.log10(), qualities


def grows(rates: Tensor, qualities: Tensor) -> bool:
    """Whether (..., p) points are in strictly increasing order of both."""
    return bool((rates.diff() > 0).all()) and bool((qualities.diff() > 0).all())


def _gap(x: Tensor, y: Tensor, x_test: Tensor, y_test: Tensor, method: Interpolation, what: str) -> Tensor:
    if method not in get_args(Interpolation):
        raise UsageError(f"method: expected one of {', '.join(get_args(Interpolation))}, got {method!r}")
    low, high = torch.maximum(x[..., 0], x_test[..., 0]), torch.minimum(x[..., -1], x_test[..., -1])
    if not bool((low < high).all()):
        rows = (low >= high).reshape(-1).nonzero()[:, 0].tolist()
        where = (
            f" (images {', '.join(map(str, rows[:5]))}{', ...' if len(rows) > 5 else ''})"
            if x.ndim > 1
            else ""
        )
        k = rows[0]
        a, b = x.reshape(-1, x.shape[-1])[k], x_test.reshape(-1, x_test.shape[-1])[k]
        raise DataError(
            f"the curves share no {what}: the anchor's go from {float(a[0]):.4g} to {float(a[-1]):.4g}, the test's "
            f"from {float(b[0]):.4g} to {float(b[-1]):.4g}{where}; add operating points until they overlap"
        )
    if x.shape != x_test.shape:
        return curve_average(x_test, y_test, low, high, method) - curve_average(x, y, low, high, method)
    # small tensors cost their number of operations: both curves by one of each
    both = curve_average(torch.stack((x_test, x)), torch.stack((y_test, y)), low, high, method)
    return both[0] - both[1]


def _listed(rates: Tensor, qualities: Tensor) -> str:
    return ", ".join(f"({r:.4g}, {q:.4g})" for r, q in zip(rates.tolist(), qualities.tolist(), strict=True))
