"""Is the overall score bought by a group that fares worse?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError, UsageError
from ...estimate import Estimate
from ...note import Note
from ...spread import student_reach
from ..option_values import is_number

ROUNDING = 1e-6


@dataclass(frozen=True)
class EquityScaled:
    """A score, the groups', and the score scaled down by how far they are apart.

    Attributes:
        scaled: the equity-scaled score.
        overall: the mean over all pairs.
        groups: group -> the mean over its pairs, in the order of the sorted labels.
    """

    scaled: Estimate
    overall: Estimate
    groups: Mapping[Any, Estimate]

    def __str__(self) -> str:
        lines = [f"equity-scaled {self.scaled}", f"overall {self.overall}"]
        lines += [f"{label} {estimate}" for label, estimate in self.groups.items()]
        return "\n".join(lines)


def equity_scaled(values: Any, groups: Any, *, level: float = 0.95) -> EquityScaled:
    r"""Equity-scaled performance: the overall mean, divided by one plus the sum of the groups' distances from it.

    $$ \mathrm{ES} = \frac{I}{1 + \sum_a |I - I_a|} $$

    with I the mean over all pairs (pooled: large groups weigh more) and I_a the mean over the pairs of group a. It is I
    where all groups are alike, and less otherwise.

    The standard error is the delta method's: with n_a of the n pairs in group a and s_a the sign of I - I_a, a pair of
    value v in group a moves the score by

    $$ \frac{\partial \mathrm{ES}}{\partial I} (v - I)
       + \frac{\partial \mathrm{ES}}{\partial I_a} \frac{n}{n_a} (v - I_a),
       \qquad \frac{\partial \mathrm{ES}}{\partial I_a} = \frac{I s_a}{(1 + \sum_b |I - I_b|)^2} $$

    and the interval is Student's t with n - 1 degrees of freedom, within [0, 1].

    Args:
        values: (B,) of a pair measure in [0, 1] whose best is 1: `dice(prediction, target)`, `iou(...)`. The gaps are
            compared with 1, so that a score in percent would mean something else.
        groups: (B,) the group of each pair: numbers, strings, truth values.
        level: the intervals' coverage.

    Returns:
        `EquityScaled` with three kinds of `Estimate`. A group of one pair has a value and no interval (infinite).
        Values above I are impossible for ES; higher is better.

    Raises:
        UsageError: values that are not (B,), as many labels as values, a level outside (0, 1).
        DataError: fewer than two pairs, values that are NaN, infinite or outside [0, 1], or a label that is missing
            (None, NaN). A group is never empty: groups are those of the labels.

    FAQ:
        *Groups that are nearly alike?* The gaps |I - I_a| of finite samples are never 0, so ES of equal groups comes
        out below I, by about the sum of their standard errors: the interval is for clear gaps, and a note says so where
        a gap is within two of its standard errors.

        *Over which mean are the gaps taken?* The paper's code divides the overall mean over all test images, as here.
        An earlier version of the paper divided by one plus the standard deviation of the groups' means.

        *And the paper's fair error-bound scaling?* Left out: paper and code disagree. The paper reweights the loss by
        the groups' upper error bounds; its code multiplies the predictions of a group, not its loss, by
        tanh((least group loss / group loss)^gamma), which is the smaller the higher the group's loss.
    """
    numbers = _values(values)
    names, inverse, counts = _labels(groups, len(numbers))
    if not is_number(level) or not 0 < level < 1:
        raise UsageError(f"level: expected a number between 0 and 1, got {level!r}")
    overall = float(numbers.mean())
    means = np.bincount(inverse, weights=numbers) / counts
    gaps = overall - means
    scale = 1.0 + float(np.abs(gaps).sum())
    score = overall / scale
    signs = np.sign(gaps)
    by_overall = 1.0 / scale - overall * float(signs.sum()) / scale**2
    by_group = overall * signs / scale**2
    share = len(numbers) / counts
    own = numbers - means[inverse]
    moves = by_overall * (numbers - overall) + (by_group * share)[inverse] * own
    unsure = _unsure(names, inverse, counts, numbers, means, gaps)
    estimates = {
        name: _estimate(float(means[k]), own[inverse == k], level, "mean; spread of the values")
        for k, name in enumerate(names)
    }
    return EquityScaled(
        scaled=_estimate(score, moves, level, "equity-scaled mean; delta method over the pairs", unsure),
        overall=_estimate(overall, numbers - overall, level, "mean; spread of the values"),
        groups=estimates,
    )


def _values(values: Any) -> Any:
    array = values.detach().cpu().to(torch.float64).numpy() if isinstance(values, Tensor) else values
    try:
        array = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"values: expected (B,) numbers, got {type(values).__name__}") from None
    if array.ndim != 1:
        raise UsageError(f"values: expected one number a pair, shape (B,), got {array.shape}")
    if len(array) < 2:
        raise DataError(f"equity_scaled: a spread needs at least two pairs, got {len(array)}")
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise DataError(
            f"values: {len(bad)} of {len(array)} are NaN or infinite (rows {', '.join(map(str, bad[:5]))})"
        )
    low, high = float(array.min()), float(array.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise DataError(
            f"values: from {low:.4g} to {high:.4g}, expected [0, 1] with 1 the best; divide percentages by 100"
        )
    return array


def _labels(groups: Any, n: int) -> tuple[list[Any], Any, Any]:
    """The sorted groups, each pair's number among them and each group's number of pairs."""
    array = _label_array(groups)
    if array.shape != (n,):
        raise UsageError(f"groups: expected one label a pair, shape ({n},), got {array.shape}")
    if array.dtype == object:
        missing = [k for k, label in enumerate(array) if label is None or label != label]
        array = array.astype(str)
    else:
        missing = list(np.flatnonzero(array != array))
    if missing:
        rows = ", ".join(map(str, missing[:5]))
        raise DataError(
            f"groups: {len(missing)} of {n} labels are missing (rows {rows}); leave these pairs out, or name a "
            "group for them"
        )
    names, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    return names.tolist(), inverse, counts


def _label_array(groups: Any) -> Any:
    if isinstance(groups, Tensor):
        return groups.detach().cpu().numpy()
    try:
        array = np.asarray(groups)
        # among strings numpy spells NaN and None out, and they would be groups of these names
        return np.asarray(groups, dtype=object) if array.dtype.kind in "US" else array
    except ValueError:
        raise UsageError(
            "groups: expected one label a pair, shape (B,), got labels of several shapes"
        ) from None


def _unsure(
    names: list[Any], inverse: Any, counts: Any, numbers: Any, means: Any, gaps: Any
) -> tuple[Note, ...]:
    """A note where a gap is no larger than the noise in it."""
    n = len(numbers)
    near = []
    for k, name in enumerate(names):
        inside = inverse == k
        moves = (numbers - numbers.mean()) - np.where(inside, n / counts[k] * (numbers - means[k]), 0.0)
        if len(names) > 1 and abs(gaps[k]) <= 2 * math.sqrt(float(np.square(moves).sum())) / n:
            near.append(str(name))
    if not near:
        return ()
    return (
        Note(
            "near a tie",
            f"the gap of {', '.join(near)} is within two of its standard errors: noise is part of the gaps, and the "
            "value is below the population's",
            numbers={"groups": len(near)},
        ),
    )


def _estimate(value: float, moves: Any, level: float, method: str, notes: tuple[Note, ...] = ()) -> Estimate:
    n = len(moves)
    if n < 2:
        error = reach = math.inf
        notes = (*notes, Note("no spread", "one pair has a value and no spread"))
    else:
        error = math.sqrt(float(np.square(moves).sum()) / (n * (n - 1)))
        reach = student_reach(level, n - 1) * error
    return Estimate(
        value=value,
        corrected=value,
        bias=0.0,
        std_error=error,
        low=max(0.0, value - reach),
        high=min(1.0, value + reach),
        level=level,
        method=f"{method}, Student's t",
        n_x=float(n),
        n_y=float(n),
        notes=notes,
    )
