"""What is the mean height of a curve through a few points?

All functions take points (..., p) in which both x and y rise, and work on every curve at once.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Interpolation = Literal["pchip", "akima", "cubic"]


def curve_average(x: Tensor, y: Tensor, low: Tensor, high: Tensor, method: Interpolation) -> Tensor:
    """Mean over [low, high] of the curve through (x, y): (..., p), (..., p), (...), (...) -> (...).

    Args:
        x, y: the points.
        low, high: within the points' range.
        method: "pchip": piecewise cubic that never falls (Fritsch and Butland's slopes); "akima":
            piecewise cubic with Akima's slopes; "cubic": the one polynomial of third degree nearest to the points.
    """
    if method == "cubic":
        return _polynomial_integral(x, y, low, high) / (high - low)
    slopes = _monotone_slopes(x, y) if method == "pchip" else _akima_slopes(x, y)
    return _hermite_integral(x, y, slopes, low, high) / (high - low)


def _monotone_slopes(x: Tensor, y: Tensor) -> Tensor:
    h = x.diff()
    d = y.diff() / h
    # all chords rise: the weighted harmonic mean of two, and at an end the parabola's slope where that rises
    before, after = 2 * h[..., 1:] + h[..., :-1], h[..., 1:] + 2 * h[..., :-1]
    inner = (before + after) / (before / d[..., :-1] + after / d[..., 1:])
    first = _end_slope(h[..., :1], h[..., 1:2], d[..., :1], d[..., 1:2])
    last = _end_slope(h[..., -1:], h[..., -2:-1], d[..., -1:], d[..., -2:-1])
    return torch.cat([first, inner, last], -1)


def _end_slope(h: Tensor, next_h: Tensor, d: Tensor, next_d: Tensor) -> Tensor:
    return (((2 * h + next_h) * d - h * next_d) / (h + next_h)).clamp_min(0)


def _akima_slopes(x: Tensor, y: Tensor) -> Tensor:
    d = y.diff() / x.diff()
    # two more chords at each end, continuing the last change of slope
    first = 2 * d[..., :1] - d[..., 1:2]
    last = 2 * d[..., -1:] - d[..., -2:-1]
    m = torch.cat([2 * first - d[..., :1], first, d, last, 2 * last - d[..., -1:]], -1)
    change = m.diff().abs()
    left, right = change[..., 2:], change[..., :-2]
    total = left + right
    straight = total <= 1e-9 * total.amax(-1, keepdim=True)
    weighted = (left * m[..., 1:-2] + right * m[..., 2:-1]) / total.where(~straight, torch.ones_like(total))
    return ((m[..., 1:-2] + m[..., 2:-1]) / 2).where(straight, weighted)


def _hermite_integral(x: Tensor, y: Tensor, slopes: Tensor, low: Tensor, high: Tensor) -> Tensor:
    h = x.diff()
    bounds = torch.stack([bound.expand(x.shape[:-1]) for bound in (low, high)])[..., None]
    t = ((bounds - x[..., :-1]) / h).clamp(0, 1)
    t2, t3, t4 = t**2, t**3, t**4
    ends = h * (
        y[..., :-1] * (t - t3 + t4 / 2)
        + y[..., 1:] * (t3 - t4 / 2)
        + h * slopes[..., :-1] * (t2 / 2 - 2 * t3 / 3 + t4 / 4)
        + h * slopes[..., 1:] * (t4 / 4 - t3 / 3)
    )
    return (ends[1] - ends[0]).sum(-1)


def _polynomial_integral(x: Tensor, y: Tensor, low: Tensor, high: Tensor) -> Tensor:
    # in units of the half range: third powers of decibels are near singular
    middle, half = (x[..., :1] + x[..., -1:]) / 2, (x[..., -1:] - x[..., :1]) / 2
    powers = torch.arange(4, dtype=x.dtype, device=x.device)
    terms = ((x - middle) / half)[..., None] ** powers
    coefficients = torch.linalg.lstsq(terms, y[..., None]).solution[..., 0]
    below, above = ((bound[..., None] - middle) / half for bound in (low, high))
    steps = (above ** (powers + 1) - below ** (powers + 1)) / (powers + 1)
    integral: Tensor = half[..., 0] * (coefficients * steps).sum(-1)
    return integral
