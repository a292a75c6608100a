"""The law of second derivatives passes what is right beside bends and kinks, and passes nothing that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from assay.gradient_laws import second_derivative
from assay.law_inputs import LawBroken


class Wrong(torch.autograd.Function):
    """Sum of a cube, whose second derivative is `factor` times the right one; of none, it is zero without a word."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x.pow(3).sum()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        right = 3 * x.square()
        return slope * (ctx.factor * right + (1 - ctx.factor) * right.detach()), None


def kinked(x: Tensor) -> Tensor:
    return (x.abs() * x.sin()).sum() + x.abs().sum()  # |x| alone has the slope's jump


def bent(x: Tensor) -> Tensor:
    return (x.square() + 1e-10).sqrt().sum()  # the bend is as wide as a move


def drawn(n: int, seed: int) -> tuple[Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dtype=torch.float64, generator=generator), generator


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("function", [kinked, bent])
def test_what_is_right_beside_kinks_and_bends_is_passed(
    function: Callable[[Tensor], Tensor], seed: int
) -> None:
    """So many places that in some draws a move crosses a kink."""
    point, generator = drawn(30_000, seed)
    second_derivative(lambda z: function(z[0]), [point], generator)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", [0.0, 0.9, 0.99, 1.01])
@pytest.mark.parametrize("beside", [torch.zeros_like, kinked, bent])
def test_what_is_wrong_is_caught_beside_kinks_too(
    beside: Callable[[Tensor], Tensor], factor: float, seed: int
) -> None:
    (cubed, near), generator = drawn(2, seed)[0].view(2, 1), drawn(200, seed)[1]

    def value(points: Any) -> Tensor:
        return Wrong.apply(points[0], factor) + beside(points[1]).sum()  # type: ignore[no-untyped-call,no-any-return]

    with pytest.raises(LawBroken, match="second_derivative_is_right_or_refused"):
        second_derivative(value, [cubed, near], generator)


def test_what_is_right_to_the_law_s_digits_is_passed() -> None:
    point, generator = drawn(4, 0)
    second_derivative(lambda z: Wrong.apply(z[0], 1.0), [point], generator)  # type: ignore[no-untyped-call,no-any-return]
