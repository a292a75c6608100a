"""The trace of the root of a product of two covariances, with its gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..scale.first_derivative import differentiable_once, first_derivative_only
from .linalg import full_coupling, one_sided_coupling, thin_coupling
from .moments import Moments
from .moving_moments import MovingMoments

ROOT = "the trace of a matrix root"


def root_trace(x: Moments, y: Moments) -> Tensor:
    """tr (C_x^(1/2) C_y C_x^(1/2))^(1/2), differentiable in everything the moments were made of.

    It is the sum of singular values of F_x F_y^T. With T_x and T_y the optimal maps between the two Gaussians, which
    the decomposition gives, it equals (<T_x, C_x> + <T_y, C_y>) / 2, and to first order the maps do not move: they are
    twice the derivatives. No decomposition is differentiated, whose own derivative is infinite where singular values
    meet.
    """
    x = x.whole() if isinstance(x, MovingMoments) else x
    if isinstance(y, MovingMoments):
        if x.scatter is None or _varies(x):
            y = y.whole()
        else:
            return _moving_root_trace(x, y)
    need_x, need_y = _varies(x), _varies(y)
    with torch.no_grad():
        f = x.root()
        if x.scatter is not None and y.scatter is not None:
            trace, p, q = full_coupling(f, x.scatter.detach(), y.scatter.detach(), need_x, need_y)
        else:
            trace, p, q = thin_coupling(f, y.root(), need_x, need_y)
    scale = ((x.weight - 1) * (y.weight - 1)).rsqrt()
    for side, root, needed in ((x, p, need_x), (y, q, need_y)):
        if needed:
            trace = _with_slope(trace, side, root)
    coupled: Tensor = trace * scale
    return coupled


def _moving_root_trace(x: Moments, y: MovingMoments) -> Tensor:
    """The same where few of y's samples move: its derivative is taken through their rows, never formed (d, d)."""
    assert y.scatter is not None
    with torch.no_grad():
        f = x.root()
        trace, v, _ = one_sided_coupling(f, y.scatter.detach(), 0.0)
    scale = ((x.weight - 1) * (y.weight - 1)).rsqrt()
    through = differentiable_once(0.5 * y.slope_through(lambda rows: (rows @ f.mT) @ v), ROOT)
    coupled: Tensor = (trace + through) * scale
    return coupled


def _varies(side: Moments) -> bool:
    if not torch.is_grad_enabled():
        return False
    tensors = (side.scatter,) if side.scatter is not None else (side.rows, side.counts)
    return any(t is not None and t.requires_grad for t in tensors)


def _with_slope(trace: Tensor, side: Moments, root: Tensor) -> Tensor:
    """The trace unchanged, with half P P^T as its derivative by the side's scatter."""
    if side.scatter is not None:
        return _Sloped.apply(trace, side.scatter, root)  # type: ignore[no-untyped-call,no-any-return]
    assert side.rows is not None and side.counts is not None
    energy = 0.5 * ((side.rows @ root).square().sum(1) * side.counts).sum()
    return trace + differentiable_once(energy - energy.detach(), ROOT)


class _Sloped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, trace: Tensor, scatter: Tensor, root: Tensor) -> Tensor:
        ctx.save_for_backward(root, scatter)
        return trace.clone()

    @staticmethod
    @first_derivative_only(ROOT)
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        root, _ = ctx.saved_tensors
        return slope, (root * (0.5 * slope)) @ root.T, None
