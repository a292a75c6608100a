"""A symmetric matrix as its upper triangle: half the bytes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import DataError


def packed(matrix: Tensor) -> Tensor:
    """(d, d) symmetric -> (d (d + 1) / 2,), row by row from the diagonal on."""
    d = matrix.shape[0]
    return matrix[torch.ones(d, d, dtype=torch.bool, device=matrix.device).triu()]


def unpacked(triangle: Tensor, d: int) -> Tensor:
    """The whole (d, d) matrix again, symmetric to the bit."""
    if triangle.shape != (d * (d + 1) // 2,):
        side = (math.isqrt(8 * triangle.numel() + 1) - 1) // 2
        raise DataError(f"the triangle of a scatter is of {side} features, and the mean of {d}")
    matrix = triangle.new_zeros(d, d)
    matrix[torch.ones(d, d, dtype=torch.bool).triu()] = triangle
    return matrix + matrix.triu(1).T
