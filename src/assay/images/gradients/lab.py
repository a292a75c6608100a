"""L*a*b* under D50 of sRGB, with its slopes found beside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...scale.first_derivative import first_derivative_only
from ...scale.precision import full_precision
from ..colour import D50, XYZ, Matrix, in_colours, rgb_to_lab

RELATIVE: Matrix = tuple((a / w, b / w, c / w) for (a, b, c), w in zip(XYZ, D50, strict=True))
OPPOSED: Matrix = ((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))
DARK, LOW = 0.04045, 216 / 24389


def lab_under_d50(x: Tensor) -> Tensor:
    """`rgb_to_lab` under D50, but for L*, which is 16 larger; differentiable once: (B, 3, H, W) -> (B, 3, H, W)."""
    if torch.compiler.is_compiling():
        return rgb_to_lab(x, D50)
    found: Tensor = _Lab.apply(x)  # type: ignore[no-untyped-call]
    return found


class _Lab(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """With A and B the two matrices, p the curve of sRGB and q the cube root, each with a straight line below:

        lab = B q(A p(x)),    d / d x = p'(x) A^T (q'(A p(x)) B^T d / d lab)
        p = u^2.4, u = (x + 0.055) / 1.055, p' = 2.4 p / (x + 0.055);    q = r^(1/3), q' = q / (3 r)
        """
        wanted = ctx.needs_input_grad[0]
        dark = torch.le(x, DARK, out=torch.empty_like(x))
        above = x.clamp_min(DARK).add_(0.055)
        u = above / 1.055
        # u^2.4 by one logarithm and one exponential, a third of a general power's time
        curve = torch.log(u).mul_(0.4).exp_().mul_(u).mul_(u)
        linear = torch.lerp(curve, x / 12.92, dark)
        relative = in_colours(linear, RELATIVE)
        low = torch.le(relative, LOW, out=torch.empty_like(relative))
        high = relative.clamp_min(LOW)
        root = torch.log(high).div_(3).exp_()
        ends = torch.lerp(root, relative.mul_(24389 / 27 / 116).add_(16 / 116), low)
        if wanted:
            by_x = curve.mul_(2.4).div_(above)
            by_x.addcmul_(dark, 1 / 12.92 - by_x)
            # below LOW too: the straight line has the slope of the curve where they meet
            by_relative = root.div_(high).div_(3)
            ctx.save_for_backward(x, by_x, by_relative)
        return in_colours(ends, OPPOSED)

    @staticmethod
    @first_derivative_only("L*a*b*")
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        _, by_x, by_relative = ctx.saved_tensors
        with full_precision(slope.device):  # a backward pass may be called from within autocast
            by_root = in_colours(slope, _transposed(OPPOSED)).mul_(by_relative)
            return in_colours(by_root, _transposed(RELATIVE)).mul_(by_x)


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))
