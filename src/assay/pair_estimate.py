"""The mean of a pair measure's values, with the interval for the population's mean."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .errors import DataError, UsageError
from .estimate import Estimate
from .note import Note
from .spread import student_reach
from .statistics import Moments

if TYPE_CHECKING:
    from .pairs import PairMeasure


def estimate_of_moments(measure: PairMeasure, moments: Moments, level: float) -> Estimate:
    """The mean of independent values with its interval, from their weight, mean and scatter."""
    weight = float(moments.weight)
    if not weight > 1:
        raise DataError(f"{measure.name}.estimate: a spread needs at least two pairs, got {weight:g}")
    error = math.sqrt(max(0.0, float(moments.variance_sum())) / weight)
    return estimate_of_mean(
        measure, float(moments.mean), error, weight - 1, weight, level, "spread of the values"
    )


def estimate_of_mean(
    measure: PairMeasure, mean: float, error: float, freedom: float, weight: float, level: float, how: str
) -> Estimate:
    """An `Estimate` of a mean with a known standard error and its degrees of freedom, within the measure's bounds."""
    if not 0 < level < 1:
        raise UsageError(f"level: expected a number between 0 and 1, got {level}")
    reach = student_reach(level, max(1, int(freedom))) * error
    low, high = mean - reach, mean + reach
    return Estimate(
        value=mean,
        corrected=mean,
        bias=0.0,
        std_error=error,
        low=low if measure.lower is None else max(low, measure.lower),
        high=high if measure.upper is None else min(high, measure.upper),
        level=level,
        method=f"mean; {how}, Student's t",
        n_x=weight,
        n_y=weight if len(measure.members) > 1 else None,
        notes=(Note("no spread", "all values are equal, so the interval has no width"),)
        if error == 0
        else (),
    )
