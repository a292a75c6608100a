"""How alike are two values at a place, and how are the places pooled?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..edges import FLAT

# share of every place in a weighted mean, so that an image without any weight (a constant one) has a mean at all
EVERYWHERE = 1e-8

# below it, a fractional power's slope would overflow
NEXT_TO_ZERO = 1e-30


def dissimilarity(a: Tensor, b: Tensor, constant: float) -> Tensor:
    """(a - b)^2 / (a^2 + b^2 + constant): 1 - similarity, exactly 0 where a = b."""
    return (a - b).square() / (a.square() + b.square() + constant)


def similarity(a: Tensor, b: Tensor, constant: float) -> Tensor:
    """(2 a b + constant) / (a^2 + b^2 + constant), at most 1."""
    return 1 - dissimilarity(a, b, constant)


def real_power(base: Tensor, exponent: float) -> Tensor:
    """The real part of base ** exponent, principal value; 0 with gradient 0 at 0, where the slope is infinite."""
    size = base.abs()
    away = size > NEXT_TO_ZERO
    power = torch.where(away, size, 1.0) ** exponent
    return torch.where(away, torch.where(base < 0, math.cos(math.pi * exponent) * power, power), 0.0)


def positive_power(base: Tensor, exponent: float) -> Tensor:
    """base ** exponent; 0 with gradient 0 where it is not above 1e-24: its slope at 0 is infinite."""
    above = base > FLAT
    return torch.where(above, torch.where(above, base, 1.0) ** exponent, 0.0)


def weighted_mean(values: Tensor, amounts: Tensor, everywhere: float = EVERYWHERE) -> Tensor:
    """Mean over all axes but the first; the plain mean where there is no weight: (B, ...) -> (B,)."""
    amounts = (amounts + everywhere).flatten(1)
    return (values.flatten(1) * amounts).sum(1) / amounts.sum(1)
