"""What holds of the gradients of everything that has one: asked for a second one, it is right or it says no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from .errors import UsageError
from .law_inputs import LawBroken

STEP = 1e-5
ZERO = 1e-6  # of the largest slope: what differences cannot tell from zero
# of the moves, the largest first: a bend narrower than one, or a kink that it crosses, is left behind by a smaller one
SCALES = (1.0, 2.0**-3, 2.0**-6, 2.0**-9)
ROUNDING = 8 * torch.finfo(torch.float64).eps  # of the value: what its terms lose, far from the origin


def second_derivative(
    value_of: Callable[[Sequence[Tensor]], Tensor], points: Sequence[Tensor], generator: torch.Generator
) -> None:
    """Refused with a `UsageError`, or equal to central differences of the first gradient, for every pair of inputs.

    Args:
        value_of: a scalar of the tensors.
        points: float64 tensors, without gradient.
        generator: of the directions, along which the gradient is taken and moved.

    Raises:
        LawBroken: a second derivative that is wrong, or missing where it is not zero.
    """
    directions = [torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in points]
    moves = [STEP * torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in points]
    tensors = [p.clone().requires_grad_() for p in points]
    slopes = _slopes(value_of, tensors, directions, create_graph=True)
    size = 1 + max(abs(float(slope.detach())) for slope in slopes)
    rounding = ROUNDING * abs(float(value_of(points)))

    @cache
    def numeric(k: int, scale: float) -> list[float]:
        """By how much the slopes change along the k-th move, from differences over `scale` of it."""
        up, down = (
            _slopes(value_of, _moved(points, k, sign * scale * moves[k]), directions, create_graph=False)
            for sign in (1, -1)
        )
        return [float(a - b) / (2 * scale) for a, b in zip(up, down, strict=True)]

    for i, slope in enumerate(slopes):
        found: Sequence[Tensor | None] = [None] * len(tensors)
        if slope.requires_grad:
            try:
                found = torch.autograd.grad(slope, tensors, retain_graph=True, allow_unused=True)
            except UsageError:
                continue
        for k, (by, move) in enumerate(zip(found, moves, strict=True)):
            analytic = 0.0 if by is None else float((by * move).sum())
            if not any(
                abs(analytic - numeric(k, scale)[i])
                <= 1e-3 * abs(numeric(k, scale)[i]) + ZERO * STEP * size + rounding / scale
                for scale in SCALES
            ):
                raise LawBroken(
                    f"second_derivative_is_right_or_refused: of the gradient by input {i}, by input {k}: "
                    f"{analytic / STEP:.8g}, central difference {numeric(k, SCALES[-1])[i] / STEP:.8g}"
                )


def _moved(points: Sequence[Tensor], k: int, by: Tensor) -> list[Tensor]:
    """All points anew, with a gradient, the k-th moved."""
    return [(p + by if i == k else p.clone()).requires_grad_() for i, p in enumerate(points)]


def _slopes(
    value_of: Callable[[Sequence[Tensor]], Tensor],
    tensors: Sequence[Tensor],
    directions: Sequence[Tensor],
    *,
    create_graph: bool,
) -> list[Tensor]:
    """The value's derivative along each tensor's direction."""
    value = value_of(tensors)
    if not value.requires_grad:
        return [torch.zeros((), dtype=torch.float64) for _ in tensors]
    gradients = torch.autograd.grad(value, tensors, create_graph=create_graph, allow_unused=True)
    return [
        torch.zeros((), dtype=torch.float64) if g is None else (g * d).sum()
        for g, d in zip(gradients, directions, strict=True)
    ]
