"""What does each scale of an image add to the coarser ones? Burt and Adelson's Laplacian pyramid."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# binomial, of sum sqrt(2): the coarse image's values are twice the fine one's at every level
OUTER, INNER, MIDDLE = (c / 16 * math.sqrt(2) for c in (1, 4, 6))


def split(fine: Tensor) -> tuple[Tensor, Tensor]:
    """(..., H, W) -> the image at half the size, rounded up, twice as bright, and what it lacks of the fine one.

    Borders are mirrored without repeating the border pixel, as by the pyramid tools that information-weighted SSIM was
    published with.
    """
    coarse = _halved(_halved(fine, -1), -2)
    back = _doubled(_doubled(coarse, -2, fine.shape[-2]), -1, fine.shape[-1])
    return coarse, fine - back


def _halved(z: Tensor, axis: int) -> Tensor:
    """Smoothed along one axis, every second value."""
    size = z.shape[axis]
    even = z[..., ::2] if axis == -1 else z[..., ::2, :]
    odd = z[..., 1::2] if axis == -1 else z[..., 1::2, :]
    count = even.shape[axis]
    # mirrored at both ends: what is missing on one side is the value on the other
    right = odd if odd.shape[axis] == count else torch.cat([odd, odd.narrow(axis, count - 2, 1)], axis)
    left = torch.cat([odd.narrow(axis, 0, 1), right.narrow(axis, 0, count - 1)], axis)
    before = torch.cat([even.narrow(axis, 1, 1), even.narrow(axis, 0, count - 1)], axis)
    last = even.narrow(axis, count - 1 if size % 2 == 0 else count - 2, 1)
    after = torch.cat([even.narrow(axis, 1, count - 1), last], axis)
    return OUTER * (before + after) + INNER * (left + right) + MIDDLE * even


def _doubled(z: Tensor, axis: int, size: int) -> Tensor:
    """Zeros between the values along one axis, smoothed: `size` values, twice as many as there are or one less."""
    count = z.shape[axis]
    before = torch.cat([z.narrow(axis, 1, 1), z.narrow(axis, 0, count - 1)], axis)
    after = torch.cat([z.narrow(axis, 1, count - 1), z.narrow(axis, count - 1, 1)], axis)
    even = OUTER * (before + after) + MIDDLE * z
    odd = INNER * (z + after)
    both = torch.stack([even, odd], -1 if axis == -1 else -2).flatten(axis - 1, axis)
    return both.narrow(axis, 0, size)
