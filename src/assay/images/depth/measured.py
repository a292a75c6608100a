"""Where is a depth known, and what is the mean over those places?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UsageError

LEAST = 1e-37  # a normal number in single precision, too


def known_places(target: Tensor, min_depth: float, max_depth: float) -> Tensor:
    """(B, C, H, W) truth values: where the target holds a measurement within the limits.

    Raises:
        UsageError: limits that leave nothing between them, or a lower one below 0.
    """
    for name, limit in (("min_depth", min_depth), ("max_depth", max_depth)):
        if isinstance(limit, bool) or not isinstance(limit, (int, float)) or math.isnan(limit):
            raise UsageError(f"{name}: expected a depth in the images' unit, got {limit!r}")
    if not 0 <= min_depth < max_depth:
        raise UsageError(
            f"min_depth, max_depth: expected 0 <= min_depth < max_depth, got {min_depth} and {max_depth}"
        )
    return (target > min_depth) & (target < max_depth)


def positive(depths: Tensor) -> Tensor:
    """Depths of at least a very small number, so that quotients and logarithms are finite."""
    return depths.clamp(min=LEAST)


def logarithmic_error(prediction: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """log prediction - log target, 0 where nothing was measured."""
    inside = torch.where(known, prediction, 1.0)
    return torch.where(known, positive(inside).log() - torch.where(known, target, 1.0).log(), 0.0)


def mean_over(errors: Tensor, known: Tensor) -> Tensor:
    """(B,) means over the known places; errors are 0 elsewhere. NaN, with the gradient zero, where none is known."""
    number = known.flatten(1).sum(1)
    mean = errors.flatten(1).sum(1) / number.clamp(min=1)
    return torch.where(number > 0, mean, math.nan)
