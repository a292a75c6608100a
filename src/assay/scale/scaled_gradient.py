"""The same values with a gradient that is a multiple of theirs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .first_derivative import first_derivative_only


def scaled_gradient(x: Tensor, factor: float) -> Tensor:
    """x itself, through which the gradient flows back times a factor."""
    if factor == 1.0 or not x.requires_grad or not torch.is_grad_enabled():
        return x
    return _ScaledGradient.apply(x, factor)  # type: ignore[no-untyped-call,no-any-return]


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    @first_derivative_only("a gradient scaled to a population")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return slope * ctx.factor, None
