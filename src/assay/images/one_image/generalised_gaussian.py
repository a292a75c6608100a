"""Which generalised Gaussian has the moments that were found?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LEAST, LARGEST = 0.2, 10.0  # the shapes that the published tables hold
STARTS = 256
STEPS = 4


def log_moment_ratio(shape: Tensor) -> Tensor:
    """log of E[x^2] / E[|x|]^2 of a generalised Gaussian: log Gamma(1/a) Gamma(3/a) / Gamma(2/a)^2."""
    inverse = 1 / shape
    return torch.lgamma(inverse) + torch.lgamma(3 * inverse) - 2 * torch.lgamma(2 * inverse)


def shape_of_ratio(ratio: Tensor) -> Tensor:
    """The shape a in [0.2, 10] with `log_moment_ratio(a) == ratio`; its end, with a gradient of 0, beyond.

    Args:
        ratio: of any shape. float64: near a = 10 the ratio hardly moves.
    """
    return _Shape.apply(ratio)  # type: ignore[no-untyped-call,no-any-return]


def _slope(shape: Tensor) -> Tensor:
    inverse = 1 / shape
    digamma = torch.digamma(inverse) + 3 * torch.digamma(3 * inverse) - 4 * torch.digamma(2 * inverse)
    return -digamma * inverse.square()


class _Shape(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ratio: Tensor) -> Tensor:
        # the ratio falls as the shape grows: a coarse table says where, Newton's steps how far
        table = torch.linspace(LEAST**-0.5, LARGEST**-0.5, STARTS, dtype=ratio.dtype, device=ratio.device)
        table = table.square().reciprocal()
        at = torch.searchsorted(-log_moment_ratio(table), -ratio.detach().contiguous())
        shape = table[at.clamp_max(STARTS - 1)]
        for _ in range(STEPS):
            shape = (shape - (log_moment_ratio(shape) - ratio) / _slope(shape)).clamp(LEAST, LARGEST)
        ctx.save_for_backward(shape)
        return shape

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Tensor:
        (shape,) = ctx.saved_tensors
        inside = (shape > LEAST) & (shape < LARGEST)
        return torch.where(inside, cotangent / _slope(shape), 0.0)
