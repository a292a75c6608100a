"""Expected costs under softmax plans along rows and along columns, over tiles: each sample is sent where it is close.

For closeness s_ij = -d_ij / T the forward part is  sum_i a_i sum_j pi_ij c_ij  with
pi_ij = softmax_j(s_ij + log b_j), the backward part the same along columns.
O(n + m) memory; derivatives are formed from tiles visited again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..first_derivative import first_derivative_only
from ..precision import full_precision
from ..tiles import tiles

CUT = -60.0  # exponentials below are denormal numbers after a few products: slow, and nothing
Distance = Literal["sqeuclidean", "cosine"]


def conditional_costs(
    x: Tensor,
    y: Tensor,
    near_x: Tensor,
    near_y: Tensor,
    a: Tensor,
    b: Tensor,
    sharpness: Tensor,
    *,
    cost: Distance,
    closeness: Distance,
) -> tuple[Tensor, Tensor]:
    """Forward and backward expected costs, two float64 scalars, differentiable in all tensors.

    Args:
        x, y: (n, d) and (m, d), between which the cost is.
        near_x, near_y: (n, e) and (m, e), between which the distance of the softmax is.
        a, b: (n,) and (m,) float64 weights that sum to 1.
        sharpness: 1 / T, a float64 scalar.
        cost, closeness: "sqeuclidean", |x - y|^2, or "cosine", 1 - cos(x, y).

    Complexity: O(n m (d + e)) time, O((n + m) (d + e)) memory.
    """
    forward, backward, *_ = _conditional_costs(
        *_ready(x, y, cost), *_ready(near_x, near_y, closeness), a, b, sharpness
    )
    return forward, backward


def _ready(x: Tensor, y: Tensor, distance: Distance) -> tuple[Tensor, Tensor]:
    """Sets whose half squared distances, doubled or not, are what is asked for: a cosine distance is half of one
    between unit vectors."""
    dtype = torch.promote_types(x.dtype, y.dtype)
    if distance == "cosine":
        return tuple(_unit(s.to(dtype)) * 0.5**0.5 for s in (x, y))
    centre = x.detach().to(torch.float64).mean(0)
    return (x.to(torch.float64) - centre).to(dtype), (y.to(torch.float64) - centre).to(dtype)


def _unit(x: Tensor) -> Tensor:
    squared = x.square().sum(1, keepdim=True)
    return x * torch.where(squared > 0, torch.where(squared > 0, squared, 1.0).rsqrt(), 0.0)


@torch.library.custom_op("assay::conditional_costs", mutates_args=())
def _conditional_costs(
    x: Tensor, y: Tensor, near_x: Tensor, near_y: Tensor, a: Tensor, b: Tensor, sharpness: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Forward and backward parts; each row's and column's mean cost and log of its sum of exponentials."""
    pairs = _Pairs(x, y, near_x, near_y, float(sharpness))
    rows, columns = _Softmax.over(a), _Softmax.over(b)
    log_a, log_b = a.log().to(x.dtype), b.log().to(x.dtype)
    with full_precision(x.device):
        for i, j, _ in tiles(len(x), len(y), symmetric=False, what="pairs"):
            cost, close = pairs.tile(i, j)
            rows.add(i, close + log_b[j], cost)
            columns.add(j, (close + log_a[i, None]).T, cost.T)
    mean_rows, mean_columns = rows.mean(), columns.mean()
    return a @ mean_rows, b @ mean_columns, mean_rows, mean_columns, rows.log_sum(), columns.log_sum()


@_conditional_costs.register_fake
def _(
    x: Tensor, y: Tensor, near_x: Tensor, near_y: Tensor, a: Tensor, b: Tensor, sharpness: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return (
        a.new_empty(()), a.new_empty(()), torch.empty_like(a), torch.empty_like(b), torch.empty_like(a),
        torch.empty_like(b),
    )  # fmt: skip


@torch.library.custom_op("assay::conditional_costs_slopes", mutates_args=())
def _slopes(
    x: Tensor,
    y: Tensor,
    near_x: Tensor,
    near_y: Tensor,
    a: Tensor,
    b: Tensor,
    sharpness: Tensor,
    mean_rows: Tensor,
    mean_columns: Tensor,
    log_rows: Tensor,
    log_columns: Tensor,
    up_forward: Tensor,
    up_backward: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Derivatives by the seven arguments of `conditional_costs`."""
    wide = torch.float64
    pairs = _Pairs(x, y, near_x, near_y, float(sharpness))
    to_x, to_y, to_near_x, to_near_y = (torch.zeros_like(s, dtype=wide) for s in (x, y, near_x, near_y))
    by_a, by_b = up_forward * mean_rows, up_backward * mean_columns
    by_sharpness = torch.zeros((), dtype=wide, device=x.device)
    narrow = x.dtype
    left, right = (up_forward * a).to(narrow), (up_backward * b).to(narrow)
    share_a, share_b = a.to(narrow), b.to(narrow)
    middle_rows, middle_columns = mean_rows.to(narrow), mean_columns.to(narrow)
    with full_precision(x.device):
        for i, j, _ in tiles(len(x), len(y), symmetric=False, what="gradient over pairs"):
            cost, close = pairs.tile(i, j)
            # weight j of row i is b_j forth_ij, weight i of column j is a_i back_ij
            forth = (close - log_rows[i].to(narrow)[:, None]).clamp_(CUT, -CUT).exp_() * left[i, None]
            back = (close - log_columns[j].to(narrow)).clamp_(CUT, -CUT).exp_() * right[j]
            over_rows, over_columns = cost - middle_rows[i, None], cost - middle_columns[j]
            moved = forth * over_rows
            returned = back * over_columns
            by_b[j] += moved.sum(0)
            by_a[i] += returned.sum(1)
            by_cost = forth * share_b[j] + back * share_a[i, None]
            by_close = moved * share_b[j] + returned * share_a[i, None]
            _pull(by_cost, x, y, i, j, to_x, to_y)
            by_sharpness -= (by_close * pairs.distance(i, j)).sum(dtype=wide)
            _pull(by_close * -pairs.sharpness, near_x, near_y, i, j, to_near_x, to_near_y)
    return (
        to_x.to(x.dtype), to_y.to(y.dtype), to_near_x.to(near_x.dtype), to_near_y.to(near_y.dtype), by_a, by_b,
        by_sharpness,
    )  # fmt: skip


@_slopes.register_fake
def _(
    x: Tensor,
    y: Tensor,
    near_x: Tensor,
    near_y: Tensor,
    a: Tensor,
    b: Tensor,
    sharpness: Tensor,
    mean_rows: Tensor,
    mean_columns: Tensor,
    log_rows: Tensor,
    log_columns: Tensor,
    up_forward: Tensor,
    up_backward: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    one, two, three, four, five, six, seven = (
        torch.empty_like(s) for s in (x, y, near_x, near_y, a, b, sharpness)
    )
    return one, two, three, four, five, six, seven


def _remember(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs, *output[2:])
    ctx.mark_non_differentiable(*output[2:])


@first_derivative_only("transport along conditional plans")
def _backward(ctx: Any, up_forward: Tensor, up_backward: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
    slopes: tuple[Tensor, ...] = _slopes(*ctx.saved_tensors, up_forward, up_backward)
    return slopes


_conditional_costs.register_autograd(_backward, setup_context=_remember)


@dataclass(frozen=True)
class _Pairs:
    x: Tensor
    y: Tensor
    near_x: Tensor
    near_y: Tensor
    sharpness: float

    def tile(self, i: slice, j: slice) -> tuple[Tensor, Tensor]:
        """Costs and closeness."""
        return _squared(self.x[i], self.y[j]), self.distance(i, j) * -self.sharpness

    def distance(self, i: slice, j: slice) -> Tensor:
        return _squared(self.near_x[i], self.near_y[j])


def _squared(x: Tensor, y: Tensor) -> Tensor:
    products = x @ y.T
    return (x.square().sum(1)[:, None] - 2 * products).add_(y.square().sum(1)).clamp_min_(0)


def _pull(cotangent: Tensor, x: Tensor, y: Tensor, i: slice, j: slice, to_x: Tensor, to_y: Tensor) -> None:
    """Add the derivatives of sum(cotangent * |x - y|^2)."""
    to_x[i] += 2 * (cotangent.sum(1, keepdim=True) * x[i] - cotangent @ y[j])
    to_y[j] += 2 * (cotangent.sum(0)[:, None] * y[j] - cotangent.T @ x[i])


@dataclass(frozen=True)
class _Softmax:
    """Sums of exponentials and of costs under them, a row each, over tiles in any order."""

    top: Tensor
    total: Tensor
    cost: Tensor

    @classmethod
    def over(cls, rows: Tensor) -> _Softmax:
        zero = torch.zeros_like(rows)
        return cls(torch.full_like(rows, -torch.inf), zero, zero.clone())

    def add(self, rows: slice, exponent: Tensor, cost: Tensor) -> None:
        high = torch.maximum(self.top[rows], exponent.amax(1).to(torch.float64))
        safe = torch.where(high > -torch.inf, high, 0.0)
        shrink = (self.top[rows] - safe).exp()
        weight = (exponent - safe.to(exponent.dtype)[:, None]).clamp_min_(CUT).exp_()
        weight = torch.where(exponent > -torch.inf, weight, 0.0)
        self.total[rows] = self.total[rows] * shrink + weight.sum(1)
        self.cost[rows] = self.cost[rows] * shrink + (weight * cost).sum(1)
        self.top[rows] = high

    def mean(self) -> Tensor:
        return self.cost / self.total

    def log_sum(self) -> Tensor:
        return self.top + self.total.log()
