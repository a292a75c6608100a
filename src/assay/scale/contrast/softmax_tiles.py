"""Log partitions of a batch's softmaxes, log sum_j w_ij exp(x_i . y_j), in O(n) memory, forward and backward.

Both directions of two sets come from one sweep over the tiles of products, and a set against itself visits each tile
once for both of its halves. A tile is formed, exponentiated and summed in place, in one buffer that the cache holds;
the backward pass forms it again, weighs it by both softmaxes at once and multiplies it into both gradients.

Inverse temperatures, norms and other factors belong into x and y before they come here: their gradients then cost
O(n d), and a tile is nothing but a product and an exponential. Where the products are known to stay within what
exponentials of the precision can hold, no running maximum is kept either.

Complexity: O(n m d) time, O((n + m) d) memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..first_derivative import first_derivative_only
from ..precision import full_precision
from ..tiles import of_one_precision, tiles
from .pair_weights import PairWeights

SIDE = {"cpu": 512}  # rows and columns of a tile: 1 MiB of float32, what a core's own cache holds
WIDE = 4096  # elsewhere: enough work for every launch
# largest |product| whose exponentials are summed as they are: sums over a million columns do not overflow, and no term
# is so small beside its sum that it falls below the normal numbers, which processors multiply slowly
PLAIN = {torch.float32: 44.0, torch.float64: 340.0}
# logarithms below this are raised to it, for the same reason: nothing beside a largest term of 0
FLOOR = {torch.float32: -80.0, torch.float64: -650.0}


def row_log_partition(
    x: Tensor, y: Tensor, *, bound: float | None = None, weights: PairWeights | None = None
) -> Tensor:
    """log sum_j w_ij exp(x_i . y_j) for every row i, (n,) float64, differentiable in x, y and a matrix of weights.

    Args:
        x: (n, d).
        y: (m, d).
        bound: a number that no |x_i . y_j| is above, where one is known; found from the norms if None.
        weights: of the terms; all 1 if None.
    """
    x, y = of_one_precision(x, y)
    return _partitions(x, y, bound, weights, columns=False)[0]


def log_partitions(
    x: Tensor, y: Tensor, *, bound: float | None = None, weights: PairWeights | None = None
) -> tuple[Tensor, Tensor]:
    """Over the columns for every row, (n,), and over the rows for every column, (m,), from one sweep.

    Weights are of (anchor, other): w_ij under the sum of row i, w_ji under that of column j.
    """
    x, y = of_one_precision(x, y)
    return _partitions(x, y, bound, weights, columns=True)


def log_partition_within(
    x: Tensor, *, bound: float | None = None, weights: PairWeights | None = None
) -> Tensor:
    """log sum_{j != i} w_ij exp(x_i . x_j) for every row i, (n,) float64; minus infinity where there is no other."""
    return _partitions(x, None, bound, weights, columns=True)[0]


def _partitions(
    x: Tensor, y: Tensor | None, bound: float | None, weights: PairWeights | None, *, columns: bool
) -> tuple[Tensor, Tensor]:
    x = x.contiguous()
    y = None if y is None else y.contiguous()
    if bound is None:
        other = x if y is None else y
        bound = float(x.detach().norm(dim=1).max() * other.detach().norm(dim=1).max())
    careful = weights is not None or not bound <= PLAIN[x.dtype]
    sweep = _Sweep(y is None, columns, careful, weights)
    dense = None if weights is None else weights.matrix
    return _Partition.apply(x, y, dense, sweep)  # type: ignore[no-untyped-call,no-any-return]


@dataclass(frozen=True)
class _Sweep:
    """One pass over the tiles of x y^T.

    Attributes:
        within: y is x, and no row meets itself.
        columns: whether the softmax over the rows is asked for beside that over the columns.
        careful: whether a running maximum is kept and every softmax exponentiated for itself.
        weights: of the terms.
    """

    within: bool
    columns: bool
    careful: bool
    weights: PairWeights | None

    def products(self, x: Tensor, y: Tensor, what: str) -> Iterator[tuple[slice, slice, bool, Tensor]]:
        """Rows, columns, whether the columns' softmax takes part, and the products, in a buffer used again."""
        side = SIDE.get(x.device.type, WIDE)
        buffer = _spare(x, y)
        for i, j, mirrored in tiles(len(x), len(y), symmetric=self.within, what=what, shape=(side, side)):
            tile = _part(buffer, x[i], y[j])
            torch.mm(x[i], y[j].T, out=tile)
            yield i, j, mirrored or (self.columns and not self.within), tile


def _part(buffer: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return buffer[: len(rows) * len(columns)].view(len(rows), len(columns))


class _Partition(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor | None, dense: Tensor | None, sweep: _Sweep
    ) -> tuple[Tensor, Tensor | None]:
        other = x if y is None else y
        with full_precision(x.device):
            rows, columns = (_careful_sums if sweep.careful else _plain_sums)(x, other, sweep)
        ctx.save_for_backward(x, y, rows, columns, dense)
        ctx.sweep = sweep
        return rows, None if sweep.within or not sweep.columns else columns

    @staticmethod
    @first_derivative_only("a softmax over tiles")
    def backward(ctx: Any, u: Tensor | None, v: Tensor | None) -> tuple[Tensor | None, ...]:
        x, y, rows, columns, _ = ctx.saved_tensors
        sweep: _Sweep = ctx.sweep
        other = x if y is None else y
        u = torch.zeros_like(rows) if u is None else u
        v = u if sweep.within else torch.zeros_like(columns) if v is None else v
        # cotangents of about 1: beside a tile's exponentials those of a mean over many rows could vanish
        unit = torch.maximum(u.abs().max(), v.abs().max())
        safe = torch.where(unit > 0, unit, 1.0)
        with full_precision(x.device):
            pull = _careful_gradients if sweep.careful else _plain_gradients
            wanted = ctx.needs_input_grad[0], ctx.needs_input_grad[1] or sweep.within
            to_x, to_y, to_dense = pull(x, other, rows, columns, u / safe, v / safe, sweep, wanted)
            to_x *= safe
            if not sweep.within:
                to_y *= safe
            if to_dense is not None:
                to_dense *= safe
        return to_x, None if y is None else to_y, to_dense, None


def _plain_sums(x: Tensor, y: Tensor, sweep: _Sweep) -> tuple[Tensor, Tensor]:
    rows = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    columns = rows if sweep.within else torch.zeros(len(y), dtype=torch.float64, device=x.device)
    for i, j, both, tile in sweep.products(x, y, "softmax over pairs"):
        tile.exp_()
        if sweep.within and not both:
            tile.fill_diagonal_(0)
        rows[i] += tile.sum(1)
        if both:
            columns[j] += tile.sum(0)
    return (rows.log_(), rows) if sweep.within else (rows.log_(), columns.log_())


def _plain_gradients(
    x: Tensor,
    y: Tensor,
    rows: Tensor,
    columns: Tensor,
    u: Tensor,
    v: Tensor,
    sweep: _Sweep,
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor, None]:
    """exp(s_ij) (u_i / R_i + v_j / C_j), multiplied into both sides."""
    p = _over(u, rows).to(x.dtype)
    q = p if sweep.within else _over(v, columns).to(x.dtype)
    to_x = torch.zeros_like(x)
    to_y = to_x if sweep.within else torch.zeros_like(y)
    spare = _spare(x, y)
    for i, j, both, tile in sweep.products(x, y, "gradient of a softmax over pairs"):
        tile.exp_()
        if sweep.within or both:
            if sweep.within and not both:
                tile.fill_diagonal_(0)
            tile.mul_(torch.add(p[i, None], q[None, j], out=_part(spare, x[i], y[j])))
        else:
            tile.mul_(p[i, None])
        if wanted[0]:
            to_x[i].addmm_(tile, y[j])
        if wanted[1] and (both or not sweep.within):
            to_y[j].addmm_(tile.T, x[i])
    return to_x, to_y, None


def _careful_sums(x: Tensor, y: Tensor, sweep: _Sweep) -> tuple[Tensor, Tensor]:
    rows = _Running.of(len(x), x.device)
    columns = rows if sweep.within else _Running.of(len(y), x.device)
    spare = _spare(x, y)
    for i, j, both, tile in sweep.products(x, y, "softmax over pairs"):
        if sweep.within and not both:
            tile.fill_diagonal_(-torch.inf)
        logits = _part(spare, x[i], y[j])
        if both:
            columns.add(j, _weighed(tile, sweep, j, i, logits, 0), 0, logits)
        rows.add(i, _weighed(tile, sweep, i, j, logits, 1), 1, logits)
    return rows.logarithm(), rows.logarithm() if sweep.within else columns.logarithm()


def _careful_gradients(
    x: Tensor,
    y: Tensor,
    rows: Tensor,
    columns: Tensor,
    u: Tensor,
    v: Tensor,
    sweep: _Sweep,
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor, Tensor | None]:
    """u_i exp(s_ij - log R_i) + v_j exp(s_ij - log C_j), each exponential for itself."""
    weights = sweep.weights
    to_x = torch.zeros_like(x)
    to_y = to_x if sweep.within else torch.zeros_like(y)
    matrix = None if weights is None else weights.matrix
    to_dense = None if matrix is None else torch.zeros_like(matrix)
    rows, columns = (torch.where(r.isfinite(), r, torch.inf).to(x.dtype) for r in (rows, columns))
    u, v = u.to(x.dtype), v.to(x.dtype)
    spare, floor = _spare(x, y), FLOOR[x.dtype]
    for i, j, both, tile in sweep.products(x, y, "gradient of a softmax over pairs"):
        slope = torch.sub(tile, rows[i, None], out=_part(spare, x[i], y[j]))
        slope.clamp_(min=floor).exp_().mul_(u[i, None])
        if weights is not None:
            slope = weights.pull(slope, i, j, to_dense)
        if both:
            tile.sub_(columns[None, j]).clamp_(min=floor).exp_().mul_(v[None, j])
            slope += tile if weights is None else weights.pull(tile.T, j, i, to_dense).T
        elif sweep.within:
            slope = slope.fill_diagonal_(0) + slope.T
        if wanted[0]:
            to_x[i].addmm_(slope, y[j])
        if wanted[1] and (both or not sweep.within):
            to_y[j].addmm_(slope.T, x[i])
    return to_x, to_y, to_dense


def _spare(x: Tensor, y: Tensor) -> Tensor:
    side = SIDE.get(x.device.type, WIDE)
    return x.new_empty(min(side, len(x)) * min(side, len(y)))


def _over(cotangent: Tensor, log_partition: Tensor) -> Tensor:
    """u / R; 0 where there is nothing under the logarithm."""
    return cotangent * torch.where(log_partition.isfinite(), -log_partition, -torch.inf).exp()


def _weighed(tile: Tensor, sweep: _Sweep, anchors: slice, others: slice, out: Tensor, dim: int) -> Tensor:
    """The products plus the logarithm of their weights, into `out`; the others are along `dim`."""
    if sweep.weights is None:
        return tile
    logs = sweep.weights.block(anchors, others, tile).log_()
    return torch.add(tile, logs if dim == 1 else logs.T, out=out)


@dataclass(frozen=True)
class _Running:
    """Sums of exponentials above a running maximum, one a row."""

    total: Tensor
    top: Tensor

    @classmethod
    def of(cls, n: int, device: torch.device) -> _Running:
        total = torch.zeros(n, dtype=torch.float64, device=device)
        return cls(total, torch.full_like(total, -torch.inf))

    def add(self, at: slice, logits: Tensor, dim: int, out: Tensor) -> None:
        """Take in the logits along `dim`; `out` is room for their exponentials."""
        high = torch.maximum(self.top[at], logits.amax(dim))
        shift = torch.where(high > -torch.inf, high, 0.0)  # a row without a term so far
        self.total[at] *= torch.exp(self.top[at] - shift)
        torch.sub(logits, shift.to(logits.dtype).unsqueeze(dim), out=out)
        sums = out.clamp_(min=FLOOR[out.dtype]).exp_().sum(dim)
        self.total[at] += torch.where(high > -torch.inf, sums, 0.0)
        self.top[at] = high

    def logarithm(self) -> Tensor:
        return self.top + self.total.log()
