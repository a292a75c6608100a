"""Logarithms of sums of exponentials over all pairs, where the sums themselves would be 0 or infinite.

Rows of one set against another come from `row_logsumexp`; here a set against itself, each tile visited once for both
of its halves, and the sum over all pairs. The product of two Gaussian kernels of paired rows needs no engine of its
own: it is the Gaussian kernel of the rows joined, each divided by its width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .first_derivative import first_derivative_only
from .kernels import Kernel
from .tiles import _centred, _norms, _pull, _values, row_logsumexp, tiles


def row_logsumexp_within(x: Tensor, kernel: Kernel, weights: Tensor | None = None) -> Tensor:
    """log sum_j w_j exp k(x_i, x_j) for every i, itself among the j, (n,) float64, differentiable in x and w.

    Args:
        x: (n, d) samples.
        kernel: a symmetric one.
        weights: (n,) w, all 1 if None; 0 leaves a sample out of the sums.

    Complexity: O(n^2 d) time, each pair's kernel value once; O(n d) memory.
    """
    if kernel.shift_invariant:
        x, _ = _centred(x, None)
    w = torch.ones(len(x), device=x.device) if weights is None else weights
    return _RowsWithin.apply(x, w.to(torch.float64), kernel)  # type: ignore[no-untyped-call,no-any-return]


def logsumexp_pairs(
    x: Tensor, y: Tensor | None, weights_x: Tensor, weights_y: Tensor | None, kernel: Kernel
) -> Tensor:
    """log sum_ij u_i v_j exp k(x_i, y_j), a float64 scalar differentiable in all four; `y=None` pairs x with itself."""
    u = weights_x.to(torch.float64)
    rows = row_logsumexp_within(x, kernel, u) if y is None else row_logsumexp(x, y, kernel, weights_y)
    return weighted_logsumexp(rows, u)


def weighted_logsumexp(values: Tensor, weights: Tensor) -> Tensor:
    """log sum_i w_i exp a_i of (n,), differentiable in both, also by a weight of 0."""
    present = weights.detach() > 0
    top = torch.where(present, values.detach(), -torch.inf).amax()
    above = torch.where(present, values - top, (values - top).clamp_max(0))
    return top + (weights @ above.exp()).log()


class _RowsWithin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, kernel: Kernel) -> Tensor:
        a = _norms(x)
        narrow = w.to(x.dtype)
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        top = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)

        def add(rows: slice, values: Tensor, columns: slice) -> None:
            values = torch.where(narrow[None, columns] > 0, values, -torch.inf)
            high = torch.maximum(top[rows], values.amax(1).to(torch.float64))
            # a row of nothing but absent columns stays at minus infinity
            safe = torch.where(high > -torch.inf, high, 0.0)
            new = torch.exp(values - safe[:, None].to(x.dtype)) @ narrow[columns]
            total[rows] = total[rows] * torch.exp(top[rows] - safe) + new
            top[rows] = high

        for i, j, mirrored in tiles(len(x), len(x), symmetric=True, what="pairs within"):
            values = _values(kernel, x[i], x[j], a[i], a[j])
            add(i, values, j)
            if mirrored:
                add(j, values.T, i)
        out = top + total.log()
        ctx.save_for_backward(x, w, out)
        ctx.kernel = kernel
        return out

    @staticmethod
    @first_derivative_only("a sum over all pairs")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, w, out = ctx.saved_tensors
        a = _norms(x)
        narrow_slope, narrow_w = slope.to(x.dtype), w.to(x.dtype)
        # a row counted zero times may be far from all others: its exponentials would be infinite, and count for nothing
        shift = torch.where(slope != 0, out, torch.inf).to(x.dtype)
        to_x, to_w = torch.zeros_like(x), torch.zeros_like(w)
        for i, j, mirrored in tiles(len(x), len(x), symmetric=True, what="gradient over pairs"):
            values = _values(ctx.kernel, x[i], x[j], a[i], a[j])
            share = torch.exp(values - shift[i, None])  # of the row's sum, for a weight of 1
            to_w[j] += narrow_slope[i] @ share
            cotangent = share * narrow_slope[i, None] * narrow_w[None, j]
            if mirrored:
                share = torch.exp(values - shift[None, j])
                to_w[i] += share @ narrow_slope[j]
                cotangent = cotangent + share * narrow_slope[None, j] * narrow_w[i, None]
            if ctx.needs_input_grad[0]:
                left, right = _pull(ctx.kernel, x[i], x[j], a[i], a[j], cotangent)
                to_x[i] += left
                to_x[j] += right
        return to_x, to_w, None
