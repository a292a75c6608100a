"""How alike are two values at a place, and how are the places pooled?"""

from __future__ import annotations

import math
from typing import NamedTuple

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


class Losses(NamedTuple):
    """What two values lack of similarity, loss = gap^2 / total, with what its slopes are made of."""

    ours: Tensor
    target: Tensor
    gap: Tensor
    total: Tensor
    loss: Tensor
    masking: float


def losses(ours: Tensor, target: Tensor, constant: float, masking: float = 0.0) -> Losses:
    """gap = a - b, total = a^2 + b^2 - masking a b + constant: `dissimilarity` for masking 0, without a graph."""
    gap = ours - target
    # no fused product and sum: it is rounded differently at an array's end, and equal images have exactly 0
    total = (ours * ours).add_(target * target)
    if masking:
        total.sub_(ours * target, alpha=masking)
    total.add_(constant)
    return Losses(ours, target, gap, total, (gap * gap).div_(total), masking)


def loss_slopes(
    terms: Losses, by_loss: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Slopes by a and by b, from those by the loss:

    d loss / da = (2 gap - loss (2 a - masking b)) / total
    d loss / db = (-2 gap - loss (2 b - masking a)) / total
    """
    scaled = by_loss / terms.total
    found: list[Tensor | None] = [None, None]
    for k, (own, other, sign) in enumerate(
        ((terms.ours, terms.target, 2.0), (terms.target, terms.ours, -2.0))
    ):
        if wanted[k]:
            slope = (terms.gap * sign).addcmul_(terms.loss, own, value=-2.0)
            if terms.masking:
                slope.addcmul_(terms.loss, other, value=terms.masking)
            found[k] = slope.mul_(scaled)
    return found[0], found[1]


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


def variance(values: Tensor) -> Tensor:
    """Over the places of each pair, by their number: (B, 1, H, W) -> (B,)."""
    return (values - values.mean((1, 2, 3), keepdim=True)).square().mean((1, 2, 3))


def variance_and_distances(values: Tensor) -> tuple[Tensor, Tensor]:
    """`variance`, and how far each value is from the mean, whose 2 / N is the variance's slope."""
    away = values - values.mean((1, 2, 3), keepdim=True)
    return (away * away).mean((1, 2, 3)), away


def inverse(values: Tensor) -> Tensor:
    """1 / value; 0 where there is nothing to divide by and a root has the gradient 0."""
    return torch.where(values > 0, 1 / values, 0.0)


def every_place(values: Tensor) -> Tensor:
    """One number a pair for all its places: (B,) -> (B, 1, 1, 1)."""
    return values[:, None, None, None]
