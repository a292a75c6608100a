"""How sure is the difference of two values whose samples are gone?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spread import normal_reach, student_reach
from ..trace import Kept

Blobs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class LaterSpread:
    """A difference's standard error, how many of those its interval reaches either way, and how it was found."""

    error: float
    reach: float
    method: str


def later_spread(a: Kept, b: Kept, error_a: float, error_b: float, level: float) -> LaterSpread:
    """The spread of b's value minus a's, from what was kept of both.

    With s_i the share I_i / n of every shared sample and r the variance that a value's own samples add:
    V = sum (s_i^b - s_i^a)^2 + r^a + r^b; for a degenerate measure max(3/2 V - 1/4 mean V(n/2), V / 2), as `estimate`
    has it. Where the two runs halved the shared samples differently this correction is left out, which makes the
    interval wider and never narrower; and a measure that is not smooth is then taken as if nothing were shared.

    Args:
        a, b: of values of one measure, whose shared sets are the same samples in the same order.
        error_a, error_b: the values' own standard errors.
        level: the interval's coverage.
    """
    alike = a.halves == b.halves
    if a.half_values or b.half_values:
        return _by_half_values(a, b, error_a, error_b, level, alike)
    variance = a.rest + b.rest + _apart(a.influences, b.influences)
    how = "influences, paired through the real samples" if a.influences and b.influences else "influences"
    if a.in_halves or a.rest_in_halves:
        if alike:
            in_halves = a.rest_in_halves + b.rest_in_halves + 0.5 * _apart(a.in_halves, b.in_halves)
            # not below half of the influences' variance: all there is where nothing of first order is left
            variance = max(1.5 * variance - 0.25 * in_halves, 0.5 * variance)
        else:
            how += "; wider than need be, as the runs halved the real set differently"
    return LaterSpread(math.sqrt(variance), normal_reach(level), how)


def _by_half_values(
    a: Kept, b: Kept, error_a: float, error_b: float, level: float, alike: bool
) -> LaterSpread:
    draws = min(len(a.half_values), len(b.half_values))
    reach = student_reach(level, draws - 1)
    if alike and len(a.half_values) == len(b.half_values):
        spread = np.subtract(b.half_values, a.half_values).std(ddof=1)
        return LaterSpread(float(spread), reach, f"{draws} half-samples, paired through the real samples")
    how = f"{draws} half-samples each, not paired, as the runs halved the real set differently"
    return LaterSpread(math.hypot(error_a, error_b), reach, how)


def _apart(a: Blobs, b: Blobs) -> float:
    """The sum over shared samples of the squared difference of shares; a side without influences has none to differ."""
    total = 0.0
    for role in {**a, **b}:
        one, other = (side[role].astype(np.float64) if role in side else 0.0 for side in (a, b))
        apart = np.asarray(other - one)
        total += float((apart**2).sum()) / len(apart) ** 2
    return total
