"""All pairs of the vectors of one image with those of another, for a batch of images, a strip of rows at a time.

Where a row's numbers are normalised by its own smallest, or by its own sum, before columns are compared, a tile does
not know its row: here every block of a few rows sees all columns. A strip is formed, reduced and forgotten, and formed
again when a gradient is asked for; small images share one.

Complexity of every function here: O(B n m d) time, O(B (n + m) d) memory, for B images of n vectors against m.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from .first_derivative import first_derivative_only
from .precision import full_precision

# pairs at once: 2 MiB of float32, which a core's cache holds; on a device enough work for every launch
PAIRS = {"cpu": 1 << 19}
DEVICE_PAIRS = 1 << 25

# (b, r, d), (b, m, d) -> (b, r, m)
Scores = Callable[[Tensor, Tensor], Tensor]


def strips(x: Tensor, y: Tensor) -> Iterator[tuple[slice, slice]]:
    """(images, rows of x) of every strip of x (B, n, d) against all of y (B, m, d)."""
    images, n, m = len(x), x.shape[1], y.shape[1]
    limit = PAIRS.get(x.device.type, DEVICE_PAIRS)
    rows = min(n, max(1, limit // m))
    together = min(images, max(1, limit // (rows * m)))
    for image in range(0, images, together):
        for row in range(0, n, rows):
            yield slice(image, min(image + together, images)), slice(row, min(row + rows, n))


def row_log_sums(x: Tensor, y: Tensor) -> Tensor:
    """log sum_j exp(x_bi . y_bj) for every row, (B, n), differentiable once.

    Args:
        x: (B, n, d).
        y: (B, m, d).
    """
    return _RowLogSums.apply(x, y)  # type: ignore[no-untyped-call,no-any-return]


def column_best(x: Tensor, y: Tensor, scores: Scores) -> Tensor:
    """max_i scores(x_b, y_b)_ij for every column, (B, m), differentiable once; of equal rows the first.

    Args:
        x: (B, n, d).
        y: (B, m, d).
        scores: differentiable, of a few rows and all columns; a row's scores depend on no other row.
    """
    return _ColumnBest.apply(x, y, scores)[0]  # type: ignore[no-untyped-call,no-any-return]


def nearest_rows(x: Tensor, y: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Which allowed row of y_b is nearest to each row of x_b, (B, n); no gradient.

    Squared distances are read off products of the centred rows: of rows that differ by less than their rounding, one.

    Args:
        x: (B, n, d).
        y: (B, m, d).
        allowed: (B, m) which rows of y take part; all where None. Where none does, row 0 is named.
    """
    x, y = x.detach(), y.detach()
    centre = y.mean(1, keepdim=True)
    x, y = x - centre, y - centre
    # the row's own norm changes no order
    ahead = y.square().sum(-1)
    if allowed is not None:
        ahead = torch.where(allowed, ahead, torch.inf)
    found = []
    for b, i in strips(x, y):
        with full_precision(x.device):
            found.append(torch.baddbmm(ahead[b, None], x[b, i], y[b].mT, alpha=-2).argmin(-1))
    return _joined(found, x, y)


def squared_distances(x: Tensor, y: Tensor, scale: float = 1.0) -> Tensor:
    """scale |x_bi - y_bj|^2, (b, r, m), as one product, whose rounding small distances are lost to."""
    one = torch.ones_like
    a, c = x.square().sum(-1, keepdim=True), y.square().sum(-1, keepdim=True)
    left = torch.cat([-2 * scale * x, scale * a, scale * one(a)], -1)
    return left @ torch.cat([y, one(c), c], -1).mT


class _RowLogSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        with full_precision(x.device):
            parts = [(x[b, i] @ y[b].mT).logsumexp(-1) for b, i in strips(x, y)]
        sums = _joined(parts, x, y)
        ctx.save_for_backward(x, y, sums)
        return sums

    @staticmethod
    @first_derivative_only("a softmax over patches")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor]:
        x, y, sums = ctx.saved_tensors
        to_x, to_y = torch.zeros_like(x), torch.zeros_like(y)
        with full_precision(x.device):
            for b, i in strips(x, y):
                shares = (x[b, i] @ y[b].mT - sums[b, i, None]).exp() * slope[b, i, None]
                to_x[b, i] = shares @ y[b]
                to_y[b] += shares.mT @ x[b, i]
        return to_x, to_y


class _ColumnBest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, scores: Scores) -> tuple[Tensor, Tensor]:
        best = x.new_full(y.shape[:2], -torch.inf)
        row = torch.zeros(y.shape[:2], dtype=torch.int64, device=x.device)
        for b, i in strips(x, y):
            with full_precision(x.device):
                value, where = scores(x[b, i], y[b]).max(1)
            better = value > best[b]
            best[b] = torch.where(better, value, best[b])
            row[b] = torch.where(better, where + i.start, row[b])
        ctx.save_for_backward(x, y, row)
        ctx.scores = scores
        ctx.mark_non_differentiable(row)
        return best, row

    @staticmethod
    @first_derivative_only("the best match of every patch")
    def backward(ctx: Any, slope: Tensor, _row: Tensor) -> tuple[Tensor, Tensor, None]:
        x, y, row = ctx.saved_tensors
        to_x, to_y = torch.zeros_like(x), torch.zeros_like(y)
        for b, i in strips(x, y):
            size = i.stop - i.start
            inside = (row[b] >= i.start) & (row[b] < i.stop)
            cotangent = x.new_zeros(len(inside), size, y.shape[1])
            cotangent.scatter_(
                1, (row[b] - i.start).clamp(0, size - 1)[:, None], (slope[b] * inside)[:, None]
            )
            with full_precision(x.device):
                pulled = torch.func.vjp(ctx.scores, x[b, i], y[b])[1](cotangent)
            to_x[b, i] = pulled[0]
            to_y[b] += pulled[1]
        return to_x, to_y, None


def _joined(parts: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """What the strips gave, (b, r) each, in the order of `strips`, as (B, n)."""
    if len(parts) == 1:
        return parts[0]
    out = parts[0].new_empty(x.shape[:2])
    for (b, i), part in zip(strips(x, y), parts, strict=True):
        out[b, i] = part
    return out
