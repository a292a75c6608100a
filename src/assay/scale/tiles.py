"""Sums over all pairs of two sets, in O(n) memory, forward and backward.

One engine: pairs are visited a tile (a block of rows by a block of columns) at a time; a tile's kernel values are
formed, reduced and forgotten, and formed again when a gradient is asked for. A set against itself visits each tile
once, for both of its halves. Values within a tile are of the samples' precision, sums over tiles float64.

Complexity of every function here: O(n m d) time, O((n + m) d) memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .first_derivative import first_derivative_only
from .kernels import Kernel
from .precision import full_precision
from .progress import tick

# a float32 tile of 4 MiB: large enough for the product, small enough for the cache
ROWS, COLUMNS, SQUARE = 512, 2048, 1024


def spans(n: int, size: int) -> list[tuple[int, int]]:
    """(start, stop) of consecutive blocks of at most `size` that cover 0 to n."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def tiles(
    n: int, m: int, *, symmetric: bool, what: str, shape: tuple[int, int] | None = None
) -> Iterator[tuple[slice, slice, bool]]:
    """Row and column slices of every tile, and whether its mirror image is to be counted with it.

    For a symmetric problem the tiles are square and only those on or above the diagonal come, those above with True.
    """
    if symmetric:
        blocks = spans(n, SQUARE if shape is None else shape[1])
        total = len(blocks) * (len(blocks) + 1) // 2
        done = 0
        for i, (a, b) in enumerate(blocks):
            for c, e in blocks[i:]:
                yield slice(a, b), slice(c, e), c > a
                done += 1
                tick(what, done, total)
        return
    rows, columns = (
        spans(n, ROWS if shape is None else shape[0]),
        spans(m, COLUMNS if shape is None else shape[1]),
    )
    done = 0
    for a, b in rows:
        for c, e in columns:
            yield slice(a, b), slice(c, e), False
            done += 1
            tick(what, done, len(rows) * len(columns))


def bilinear(
    x: Tensor, y: Tensor | None, weights_x: Tensor, weights_y: Tensor | None, kernel: Kernel
) -> Tensor:
    """sum_ij u_i v_j k(x_i, y_j), float64, differentiable in all four; `y=None` pairs x with itself.

    Args:
        x: (n, d) samples.
        y: (m, d) samples, or None for x.
        weights_x: (n,) u.
        weights_y: (m,) v; with `y=None` None for u.
        kernel: symmetric where `y` is None.

    The derivatives by the weights are row and column sums of the same pass: they cost nothing more. Those by the
    samples visit the tiles again.
    """
    if y is not None:
        x, y = of_one_precision(x, y)
    if kernel.shift_invariant:
        x, y = _centred(x, y)
    if y is None:
        return _Quadratic.apply(x, weights_x.to(torch.float64), kernel)  # type: ignore[no-untyped-call,no-any-return]
    assert weights_y is not None
    return _Bilinear.apply(  # type: ignore[no-untyped-call,no-any-return]
        x, y, weights_x.to(torch.float64), weights_y.to(torch.float64), kernel
    )


def quadratic_forms(x: Tensor, weights: Tensor, kernel: Kernel) -> tuple[Tensor, Tensor]:
    """u_b^T K u_b for every column u_b of weights (n, B), and the row sums K 1, in one pass; no gradient.

    Returns:
        (B,) float64 forms and (n,) float64 row sums.
    """
    if kernel.shift_invariant:
        x, _ = _centred(x, None)
    a = _norms(x)
    forms = torch.zeros(weights.shape[1], dtype=torch.float64, device=x.device)
    rows = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for i, j, mirrored in tiles(len(x), len(x), symmetric=True, what="relabellings over pairs"):
        values = _values(kernel, x[i], x[j], a[i], a[j])
        part = ((values @ weights[j]) * weights[i]).sum(0, dtype=torch.float64)
        forms += 2 * part if mirrored else part
        rows[i] += values.sum(1)
        if mirrored:
            rows[j] += values.sum(0)
    return forms, rows


def row_sum(x: Tensor, y: Tensor, kernel: Kernel, weights_y: Tensor | None = None) -> Tensor:
    """sum_j v_j k(x_i, y_j) for every i, (n,) float64, differentiable in x, y and v."""
    x, y = of_one_precision(x, y)
    if kernel.shift_invariant:
        x, second = _centred(x, y)
        assert second is not None
        y = second
    v = (
        torch.ones(len(y), dtype=torch.float64, device=y.device)
        if weights_y is None
        else weights_y.to(torch.float64)
    )
    return _RowReduce.apply(x, y, v, kernel, False)[0]  # type: ignore[no-untyped-call,no-any-return]


def row_logsumexp(x: Tensor, y: Tensor, kernel: Kernel, weights_y: Tensor | None = None) -> Tensor:
    """log sum_j v_j exp k(x_i, y_j) for every i, (n,) float64, differentiable in x, y and v; v_j = 0 leaves j out."""
    x, y = of_one_precision(x, y)
    if kernel.shift_invariant:
        x, second = _centred(x, y)
        assert second is not None
        y = second
    v = (
        torch.ones(len(y), dtype=torch.float64, device=y.device)
        if weights_y is None
        else weights_y.to(torch.float64)
    )
    return _RowReduce.apply(x, y, v, kernel, True)[0]  # type: ignore[no-untyped-call,no-any-return]


def of_one_precision(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the wider of the two types: a reference in float64 beside float32 features is an everyday pair."""
    dtype = torch.promote_types(x.dtype, y.dtype)
    return x.to(dtype), y.to(dtype)


def _centred(x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
    # the shift cancels in the kernel, so its own gradient does too: none is recorded
    centre = x.detach().mean(0)
    return x - centre, None if y is None else y - centre


def _norms(x: Tensor) -> Tensor:
    return x.square().sum(1)


def _values(kernel: Kernel, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return kernel.form(x @ y.T, a[:, None], b[None, :])


def _pull(
    kernel: Kernel, x: Tensor, y: Tensor, a: Tensor, b: Tensor, cotangent: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients by the rows of x and of y of  sum(cotangent * k(x, y))  over one tile, from its recomputed values."""
    with full_precision(x.device):  # a backward pass may be called from within autocast
        return _pulled(kernel, x, y, a, b, cotangent)


def _pulled(
    kernel: Kernel, x: Tensor, y: Tensor, a: Tensor, b: Tensor, cotangent: Tensor
) -> tuple[Tensor, Tensor]:
    gp, ga, gb = kernel.pull(x @ y.T, a[:, None], b[None, :], cotangent)
    to_x, to_y = gp @ y, gp.T @ x
    if ga is not None:
        to_x = to_x + 2 * ga.sum(1, keepdim=True) * x
    if gb is not None:
        to_y = to_y + 2 * gb.sum(0)[:, None] * y
    return to_x, to_y


class _Bilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, u: Tensor, v: Tensor, kernel: Kernel) -> Tensor:
        a, b = _norms(x), _norms(y)
        rows, columns = torch.zeros_like(u), torch.zeros_like(v)  # K v and K^T u
        narrow_u, narrow_v = u.to(x.dtype), v.to(x.dtype)
        for i, j, _ in tiles(len(x), len(y), symmetric=False, what="pairs"):
            values = _values(kernel, x[i], y[j], a[i], b[j])
            rows[i] += values @ narrow_v[j]
            columns[j] += narrow_u[i] @ values
        ctx.save_for_backward(x, y, u, v, rows, columns)
        ctx.kernel = kernel
        return u @ rows

    @staticmethod
    @first_derivative_only("a sum over all pairs")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, y, u, v, rows, columns = ctx.saved_tensors
        to_x = to_y = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            to_x, to_y = torch.zeros_like(x), torch.zeros_like(y)
            a, b = _norms(x), _norms(y)
            left, right = (slope * u).to(x.dtype), v.to(x.dtype)
            for i, j, _ in tiles(len(x), len(y), symmetric=False, what="gradient over pairs"):
                pulled = _pull(ctx.kernel, x[i], y[j], a[i], b[j], left[i, None] * right[None, j])
                to_x[i] += pulled[0]
                to_y[j] += pulled[1]
        return to_x, to_y, slope * rows, slope * columns, None


class _Quadratic(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, u: Tensor, kernel: Kernel) -> Tensor:
        a = _norms(x)
        rows = torch.zeros_like(u)  # K u
        narrow = u.to(x.dtype)
        for i, j, mirrored in tiles(len(x), len(x), symmetric=True, what="pairs within"):
            values = _values(kernel, x[i], x[j], a[i], a[j])
            rows[i] += values @ narrow[j]
            if mirrored:
                rows[j] += narrow[i] @ values
        ctx.save_for_backward(x, u, rows)
        ctx.kernel = kernel
        return u @ rows

    @staticmethod
    @first_derivative_only("a sum over all pairs")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, u, rows = ctx.saved_tensors
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = torch.zeros_like(x)
            a = _norms(x)
            left, right = (slope * u).to(x.dtype), u.to(x.dtype)
            for i, j, mirrored in tiles(len(x), len(x), symmetric=True, what="gradient over pairs"):
                cotangent = left[i, None] * right[None, j]
                pulled = _pull(ctx.kernel, x[i], x[j], a[i], a[j], 2 * cotangent if mirrored else cotangent)
                to_x[i] += pulled[0]
                to_x[j] += pulled[1]
        return to_x, 2 * slope * rows, None


class _RowReduce(torch.autograd.Function):
    """Row-wise weighted sum, or log of the weighted sum of exponentials."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, v: Tensor, kernel: Kernel, log: bool
    ) -> tuple[Tensor, Tensor]:
        a, b = _norms(x), _norms(y)
        narrow = v.to(x.dtype)
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        top = torch.full((len(x),), -torch.inf if log else 0.0, dtype=torch.float64, device=x.device)
        for i, j, _ in tiles(len(x), len(y), symmetric=False, what="pairs"):
            values = _values(kernel, x[i], y[j], a[i], b[j])
            if log:
                values = torch.where(narrow[None, j] > 0, values, -torch.inf)
                high = torch.maximum(top[i], values.amax(1).to(torch.float64))
                safe = torch.where(
                    high > -torch.inf, high, 0.0
                )  # a row of nothing but absent columns stays -inf
                total[i] = (
                    total[i] * torch.exp(top[i] - safe)
                    + torch.exp(values - safe[:, None].to(x.dtype)) @ narrow[j]
                )
                top[i] = high
            else:
                total[i] += values @ narrow[j]
        out = top + torch.log(total) if log else total
        ctx.save_for_backward(x, y, v, out)
        ctx.kernel, ctx.log = kernel, log
        ctx.mark_non_differentiable(top)
        return out, top

    @staticmethod
    @first_derivative_only("a sum over all pairs")
    def backward(ctx: Any, slope: Tensor, _top: Tensor) -> tuple[Tensor | None, ...]:
        x, y, v, out = ctx.saved_tensors
        kernel = ctx.kernel
        a, b = _norms(x), _norms(y)
        narrow_slope, narrow_v = slope.to(x.dtype), v.to(x.dtype)
        shift = torch.where(out > -torch.inf, out, 0.0).to(x.dtype)
        to_x, to_y, to_v = torch.zeros_like(x), torch.zeros_like(y), torch.zeros_like(v)
        samples = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        for i, j, _ in tiles(len(x), len(y), symmetric=False, what="gradient over pairs"):
            values = _values(kernel, x[i], y[j], a[i], b[j])
            if ctx.log:
                # a sample counted zero times may be nearer than all that count: infinite, times zero
                values = (values - shift[i, None]).clamp_max_(80.0).exp_()
            to_v[j] += narrow_slope[i] @ values
            if samples:
                cotangent = narrow_slope[i, None] * narrow_v[None, j]
                pulled = _pull(kernel, x[i], y[j], a[i], b[j], cotangent * values if ctx.log else cotangent)
                to_x[i] += pulled[0]
                to_y[j] += pulled[1]
        return to_x, to_y, to_v, None, None
