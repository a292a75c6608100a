"""The cost of transport along lines: sorted projections of two weighted sets, a block of directions at a time.

Within a block everything is exact: cumulative counts of both sides are merged into one grid of levels, between which
both quantile functions are constant. The derivatives by samples and counts are known in closed form and are summed up
in the same pass, so that no block is kept for a backward pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..first_derivative import first_derivative_only
from ..precision import full_precision
from ..progress import tick
from ..tiles import of_one_precision, spans

NUMBERS = 2**19  # projected values of both sides in one block


@torch.library.custom_op("assay::unit_directions", mutates_args=())
def _unit_directions(count: int, width: int, seed: int) -> Tensor:
    # on the CPU, so that every process and device has the same ones; an operator, so that a traced graph keeps it
    drawn = torch.randn(
        count, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed), device="cpu"
    )
    unit: Tensor = drawn / drawn.norm(dim=1, keepdim=True)
    return unit


@_unit_directions.register_fake
def _(count: int, width: int, seed: int) -> Tensor:
    return torch.empty(count, width, dtype=torch.float64, device="cpu")


def random_directions(count: int, like: Tensor, seed: int) -> Tensor:
    """(count, d) unit vectors, uniform on the sphere, of the device and precision of samples (n, d)."""
    drawn: Tensor = _unit_directions(count, like.shape[1], seed)
    return drawn.to(device=like.device, dtype=like.dtype)


def mean_line_cost(
    x: Tensor, y: Tensor, weights_x: Tensor, weights_y: Tensor, directions: Tensor, p: float
) -> Tensor:
    """Mean over directions of the one-dimensional W_p^p, a float64 scalar differentiable in samples and weights.

    Args:
        x: (n, d) samples.
        y: (m, d) samples.
        weights_x: (n,) counts.
        weights_y: (m,) counts.
        directions: (P, d) unit vectors.
        p: at least 1.
    """
    x, y = _centred(*of_one_precision(x, y))
    return _MeanLineCost.apply(x, y, weights_x, weights_y, directions.to(x.dtype), p)  # type: ignore[no-untyped-call,no-any-return]


def line_costs(
    x: Tensor, y: Tensor, weights_x: Tensor, weights_y: Tensor, directions: Tensor, p: float
) -> Tensor:
    """(P,) the one-dimensional W_p^p along each direction, float64, without gradient."""
    x, y = _centred(*of_one_precision(x, y))
    alike = _alike(weights_x, weights_y)
    parts = [
        _lines(x @ block.T, y @ block.T, weights_x, weights_y, p, alike).costs()
        for block in _blocks(x, y, directions.to(x.dtype))
    ]
    return torch.cat(parts)


def _centred(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    # a common shift changes no distance; it would cost digits in float32
    centre = x.detach().mean(0)
    return x - centre, y - centre


def _blocks(x: Tensor, y: Tensor, directions: Tensor) -> list[Tensor]:
    size = max(1, NUMBERS // (len(x) + len(y)))
    return [directions[a:b] for a, b in spans(len(directions), size)]


def _alike(u: Tensor, v: Tensor) -> bool:
    """Whether each side's samples count alike, as far as a look costs nothing: the grid is then that of all lines."""
    if torch.compiler.is_compiling() or u.device.type != "cpu" or v.device.type != "cpu":
        return False
    return bool((u == u[0]).all()) and bool((v == v[0]).all()) and float(u[0]) > 0 and float(v[0]) > 0


class _MeanLineCost(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, u: Tensor, v: Tensor, directions: Tensor, p: float) -> Tensor:
        samples = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        counts = ctx.needs_input_grad[2] or ctx.needs_input_grad[3]
        alike = not counts and _alike(u, v)
        total = torch.zeros((), dtype=torch.float64, device=x.device)
        to_x, to_y = torch.zeros_like(x), torch.zeros_like(y)
        to_u, to_v = torch.zeros_like(u), torch.zeros_like(v)
        blocks = _blocks(x, y, directions)
        for k, block in enumerate(blocks):
            with full_precision(x.device):
                along_x, along_y = x @ block.T, y @ block.T
                lines = _lines(along_x, along_y, u, v, p, alike)
                total = total + lines.costs().sum()
                if samples:
                    by_x, by_y = lines.by_samples(p)
                    to_x = to_x + by_x.T @ block
                    to_y = to_y + by_y.T @ block
            if counts:
                # where levels of both sides coincide the cost has two slopes: their mean
                for one in (lines, _lines(along_x, along_y, u, v, p, False, x_first=False)):
                    by_u, by_v = one.by_counts(u, v)
                    to_u, to_v = to_u + 0.5 * by_u, to_v + 0.5 * by_v
            tick("directions", k + 1, len(blocks))
        share = 1.0 / len(directions)
        ctx.save_for_backward(to_x * share, to_y * share, to_u * share, to_v * share, x, y, u, v)
        return total * share

    @staticmethod
    @first_derivative_only("transport along lines")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        to_x, to_y, to_u, to_v, *_ = ctx.saved_tensors
        narrow = slope.to(to_x.dtype)
        return narrow * to_x, narrow * to_y, slope * to_u, slope * to_v, None, None


class _Grid(NamedTuple):
    """The levels at which either side's quantile function jumps, and what the segments below them hold.

    Attributes:
        i: (P or 1, S) which of the sorted samples of x is the quantile on a segment.
        j: (P or 1, S) likewise for y.
        widths: (P or 1, S) the segments' lengths, float64.
        place_x: (P, n) which segment ends at the level of each sorted sample of x; empty where all lines share a grid.
        place_y: (P, m) likewise for y.
    """

    i: Tensor
    j: Tensor
    widths: Tensor
    place_x: Tensor
    place_y: Tensor


def _common_grid(n: int, m: int, device: torch.device) -> _Grid:
    """The grid of n and m samples that count alike: whole numbers, so that levels coincide exactly."""
    levels = torch.unique(torch.cat([torch.arange(1, n + 1) * m, torch.arange(1, m + 1) * n])).to(device)
    widths = levels.diff(prepend=levels.new_zeros(1))
    ends = levels - 1  # the last whole number within a segment
    none = levels.new_zeros(0)
    share = widths.to(torch.float64) / (n * m)
    return _Grid((ends // m)[None], (ends // n)[None], share[None], none, none)


def _grid(u: Tensor, v: Tensor, x_first: bool) -> _Grid:
    """The grids of counts (P, n), (P, m) in the order of the sorted samples; ties put the one side's levels first."""
    n, m = u.shape[1], v.shape[1]
    levels_x, levels_y = (w.cumsum(1) / w.sum(1, keepdim=True) for w in (u, v))
    sides = (levels_x, levels_y) if x_first else (levels_y, levels_x)
    merged, order = torch.cat(sides, 1).sort(dim=1, stable=True)
    of_x = order < n if x_first else order >= m
    below = of_x.cumsum(1) - of_x.to(torch.int64)  # levels of x under the segment
    place = torch.empty_like(order).scatter(1, order, torch.arange(n + m, device=u.device).expand_as(order))
    place_x, place_y = (place[:, :n], place[:, n:]) if x_first else (place[:, m:], place[:, :m])
    number = torch.arange(n + m, device=u.device)
    return _Grid(
        below.clamp_max(n - 1),
        (number - below).clamp_max(m - 1),
        merged.diff(dim=1, prepend=merged.new_zeros(len(merged), 1)),
        place_x,
        place_y,
    )


class _Lines(NamedTuple):
    """A block of directions: sorted projections' order (P, n), (P, m), gaps of the quantiles and costs by segment."""

    grid: _Grid
    order_x: Tensor
    order_y: Tensor
    gap: Tensor
    each: Tensor

    def costs(self) -> Tensor:
        """(P,)"""
        return (self.grid.widths * self.each).sum(1)

    def by_samples(self, p: float) -> tuple[Tensor, Tensor]:
        """(P, n), (P, m) derivatives of each line's cost by the projected samples."""
        slope = self.grid.widths.to(self.gap.dtype) * _power_slope(self.gap, p)
        by_x = torch.zeros_like(self.order_x, dtype=slope.dtype)
        by_y = torch.zeros_like(self.order_y, dtype=slope.dtype)
        by_x = by_x.scatter_add(1, self.grid.i.expand_as(slope), slope)
        by_y = by_y.scatter_add(1, self.grid.j.expand_as(slope), -slope)
        return _unsorted(by_x, self.order_x), _unsorted(by_y, self.order_y)

    def by_counts(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """(n,), (m,) derivatives of the sum of the costs by the counts."""
        # raising a level lengthens the segment below it and shortens the one above
        by_level = self.each - torch.cat([self.each[:, 1:], torch.zeros_like(self.each[:, :1])], 1)
        return (
            _by_weights(by_level.gather(1, self.grid.place_x), u, self.order_x),
            _by_weights(by_level.gather(1, self.grid.place_y), v, self.order_y),
        )


def _lines(x: Tensor, y: Tensor, u: Tensor, v: Tensor, p: float, alike: bool, x_first: bool = True) -> _Lines:
    """Costs along lines, from projections (n, P), (m, P)."""
    a, order_x = x.T.sort(dim=1)
    b, order_y = y.T.sort(dim=1)
    grid = _common_grid(len(u), len(v), x.device) if alike else _grid(u[order_x], v[order_y], x_first)
    shape = (len(a), grid.i.shape[1])
    gap = a.gather(1, grid.i.expand(shape)) - b.gather(1, grid.j.expand(shape))
    return _Lines(grid, order_x, order_y, gap, _power(gap, p).to(torch.float64))


def _by_weights(by_level: Tensor, weights: Tensor, order: Tensor) -> Tensor:
    """(n,) derivatives by weights from those by levels (P, n), a level being a cumulative weight over the total."""
    ordered = weights[order]
    total = weights.sum()
    levels = ordered.cumsum(1) / total
    each = by_level.flip(1).cumsum(1).flip(1)  # a weight raises its own level and all above
    return _unsorted((each - (by_level * levels).sum(1, keepdim=True)) / total, order).sum(0)


def _unsorted(values: Tensor, order: Tensor) -> Tensor:
    return torch.zeros_like(values).scatter(1, order, values)


def _power(gap: Tensor, p: float) -> Tensor:
    if p == 2:
        return gap.square()
    return gap.abs() if p == 1 else gap.abs() ** p


def _power_slope(gap: Tensor, p: float) -> Tensor:
    if p == 2:
        return 2 * gap
    return gap.sign() if p == 1 else p * gap.abs() ** (p - 1) * gap.sign()
