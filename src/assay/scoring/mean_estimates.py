"""How sure is a mean over pairs, and a difference of two means over the same pairs?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..estimate import Estimate
from ..note import Note
from ..pairs import PairMeasure
from ..spread import student_reach


def mean_of(
    values: NDArray[np.float64],
    clusters: NDArray[np.int64] | None,
    level: float,
    measure: PairMeasure | None = None,
) -> Estimate:
    """The mean with Student's interval for the population's mean; see `PairMeasure.estimate`.

    Args:
        values: (n,) one a pair.
        clusters: (n,) numbers of groups of pairs that belong together.
        level: the interval's coverage.
        measure: whose bounds the interval keeps to; None for differences.

    One pair, one cluster, or a value that is infinite have no interval: its ends are NaN.

    Raises:
        DataError: no values.
    """
    n = len(values)
    if n == 0:
        raise DataError("no pair is left to score")
    with np.errstate(invalid="ignore"):
        mean = float(values.mean())
        groups = n if clusters is None else len(np.unique(clusters))
        how = "spread of the values" if clusters is None else f"spread of {groups:,} clusters"
        sums = (values - mean) if clusters is None else np.bincount(clusters, values - mean)
        error = math.sqrt(groups / max(1, groups - 1) * float(np.square(sums).sum())) / n
    method = f"mean; {how}, Student's t"
    notes: tuple[Note, ...] = ()
    if groups < 2 or not math.isfinite(error):
        error = low = high = math.nan
        method = "mean; one value has no spread" if groups < 2 else "mean; an infinite value has no spread"
        if groups < 2 <= n:
            notes = (Note("one cluster", "all pairs belong to one cluster, so there is no interval"),)
    else:
        reach = student_reach(level, groups - 1) * error
        low, high = mean - reach, mean + reach
        if error == 0:
            notes = (Note("no spread", "all values are equal, so the interval has no width"),)
    if measure is not None and measure.lower is not None:
        low = max(low, measure.lower)
    if measure is not None and measure.upper is not None:
        high = min(high, measure.upper)
    return Estimate(mean, mean, 0.0, error, low, high, level, method, float(n), float(n), notes)


def difference_of(
    a: NDArray[np.float64], b: NDArray[np.float64], clusters: NDArray[np.int64] | None, level: float
) -> Estimate:
    """The mean of b - a over the same pairs; two values that are infinite alike differ by 0."""
    with np.errstate(invalid="ignore"):
        apart = np.where(a == b, 0.0, b - a)
    return mean_of(apart, clusters, level)
