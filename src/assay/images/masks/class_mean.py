"""What does a class that nobody drew count?"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from ...errors import UsageError

Absent = Literal["one", "zero", "skip", "skip_empty_target"]


def class_mean(
    values: Tensor, in_prediction: Tensor, in_target: Tensor, absent: str, *, perfect: float = 1.0
) -> Tensor:
    """Mean over the classes of each pair, (B,).

    Args:
        values: (B, C) one a class, finite also where a class is absent.
        in_prediction, in_target: (B, C) whether the class has any mass there.
        absent: the convention; see `assay.images.masks.dice`.
        perfect: what "one" gives to a class that is in neither mask: the value of a perfect class.

    Raises:
        UsageError: an unknown convention.
    """
    if absent not in get_args(Absent):
        raise UsageError(f"absent: expected one of {', '.join(map(repr, get_args(Absent)))}, got {absent!r}")
    nowhere = ~(in_prediction | in_target)
    if absent in ("one", "zero"):
        return torch.where(nowhere, perfect if absent == "one" else 1.0 - perfect, values).mean(1)
    counted = ~nowhere if absent == "skip" else in_target
    number = counted.sum(1)
    mean = torch.where(counted, values, 0.0).sum(1) / number.clamp(min=1)
    return torch.where(number > 0, mean, math.nan)


def safe_ratio(above: Tensor, below: Tensor, otherwise: float) -> Tensor:
    """above / below, and `otherwise`, without gradient, where below is 0. NaN stays NaN, and is no perfect class."""
    some = ~(below <= 0)
    return torch.where(some, above / torch.where(some, below, 1.0), otherwise)


def smoothing(smooth: float) -> float:
    """The number that is added above and below; refused below zero."""
    if isinstance(smooth, bool) or not isinstance(smooth, (int, float)) or not 0 <= smooth < math.inf:
        raise UsageError(
            f"smooth: expected a number of places, 0 or above (1e-5 or 1.0 are common), got {smooth!r}"
        )
    return float(smooth)


def checked_threshold(threshold: float) -> float:
    """The number above which a place belongs to the mask; refused where no probability, or every one, is above it."""
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold < 1:
        raise UsageError(f"threshold: expected a number from 0 to below 1, got {threshold!r}")
    return float(threshold)
