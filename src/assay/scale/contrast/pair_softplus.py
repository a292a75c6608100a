"""Sums over pairs of softplus of a signed score: every pair is a small classification of its own.

The score of a pair is  s_ij = scale <x_i, y_j> + bias,  and its value  softplus(-s_ij)  where the pair is positive,
softplus(s_ij)  where it is not. A tile of scores is formed, reduced and forgotten.

Complexity of every function here: O(n m d) time, O((n + m) d) memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..first_derivative import first_derivative_only
from ..precision import full_precision
from ..tiles import tiles

# from here on softplus is the identity to the last bit of float64, and the exponential is still far from overflow
IDENTITY_FROM = 50.0


@dataclass(frozen=True)
class Positives:
    """Which pairs are positive.

    Attributes:
        labels: (n,) and (m,) whole numbers: pairs of equal ones.
        diagonal: pairs (i, i + diagonal).

    With neither, none is.
    """

    labels: tuple[Tensor, Tensor] | None = None
    diagonal: int | None = None

    def negated(self, values: Tensor, rows: slice, columns: slice) -> Tensor:
        """A tile of values with the sign of the positive pairs turned; may write into `values`."""
        if self.labels is not None:
            same = self.labels[0][rows, None] == self.labels[1][None, columns]
            return torch.where(same, -values, values)
        if self.diagonal is not None:
            offset = rows.start + self.diagonal - columns.start
            if -values.shape[0] < offset < values.shape[1]:
                values.diagonal(offset).neg_()
        return values


@dataclass(frozen=True)
class Slopes:
    """The derivative of the sum over pairs; the tensors are written to as pairs are visited.

    Attributes:
        x: (n, d), before its product with the scale.
        y: (m, d).
        bias: () float64.
    """

    x: Tensor
    y: Tensor
    bias: Tensor

    @staticmethod
    def none_yet(x: Tensor, y: Tensor) -> Slopes:
        """Zeros."""
        return Slopes(
            torch.zeros_like(x),
            torch.zeros_like(y),
            torch.zeros((), dtype=torch.float64, device=x.device),
        )


def visit_pairs(
    x: Tensor,
    y: Tensor,
    scale: Tensor,
    bias: Tensor,
    positives: Positives,
    *,
    rows: Tensor | None,
    slopes: Slopes | None,
    weights: Tensor | None = None,
) -> None:
    """Add every pair's value to `rows` (n,) float64, and every row's derivative times its weight to `slopes`."""
    scaled = x * scale
    with full_precision(x.device):  # a backward pass may be called from within autocast
        for i, j, _ in tiles(
            len(x), len(y), symmetric=False, what="pairs" if rows is not None else "gradient over pairs"
        ):
            scores = positives.negated(torch.addmm(bias, scaled[i], y[j].T), i, j)
            if rows is not None:
                rows[i] += torch.nn.functional.softplus(scores, threshold=IDENTITY_FROM).sum(1)
            if slopes is not None:
                slope = positives.negated(torch.sigmoid(scores), i, j)
                if weights is not None:
                    slope = slope * weights[i, None]
                slopes.bias.add_(slope.sum())
                slopes.x[i] += slope @ y[j]
                slopes.y[j] += slope.T @ scaled[i]


def row_softplus(x: Tensor, y: Tensor, scale: Tensor, bias: Tensor, positives: Positives) -> Tensor:
    """sum_j of the pairs' values for every i, (n,) float64, differentiable in x, y, scale and bias.

    Args:
        x: (n, d).
        y: (m, d), of the same precision.
        scale, bias: numbers, as tensors ().
        positives: which pairs are positive.

    The backward pass forms each tile again.
    """
    return _RowSoftplus.apply(x, y, scale.to(x), bias.to(x), positives)  # type: ignore[no-untyped-call,no-any-return]


def sum_softplus(x: Tensor, y: Tensor, scale: Tensor, bias: Tensor, positives: Positives) -> Tensor:
    """The sum of `row_softplus`, () float64; each tile is formed once, for the value and for the derivative."""
    wanted = torch.is_grad_enabled() and any(t.requires_grad for t in (x, y, scale, bias))
    return _SumSoftplus.apply(x, y, scale.to(x), bias.to(x), positives, wanted)  # type: ignore[no-untyped-call,no-any-return]


def by_scale(x: Tensor, slopes: Slopes) -> Tensor:
    """The derivative by the scale, () float64: the products need not be formed again for it."""
    return torch.sum(x * slopes.x, dtype=torch.float64)


class _RowSoftplus(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, scale: Tensor, bias: Tensor, positives: Positives) -> Tensor:
        rows = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        visit_pairs(x, y, scale, bias, positives, rows=rows, slopes=None)
        ctx.save_for_backward(x, y, scale, bias)
        ctx.positives = positives
        return rows

    @staticmethod
    @first_derivative_only("a sum over all pairs")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, y, scale, bias = ctx.saved_tensors
        slopes = Slopes.none_yet(x, y)
        visit_pairs(x, y, scale, bias, ctx.positives, rows=None, slopes=slopes, weights=slope.to(x.dtype))
        return slopes.x * scale, slopes.y, by_scale(x, slopes).to(scale), slopes.bias.to(bias), None


class _SumSoftplus(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, y: Tensor, scale: Tensor, bias: Tensor, positives: Positives, wanted: bool
    ) -> Tensor:
        rows = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        slopes = Slopes.none_yet(x, y) if wanted else None
        visit_pairs(x, y, scale, bias, positives, rows=rows, slopes=slopes)
        if slopes is not None:
            to_scale, to_bias = by_scale(x, slopes).to(scale), slopes.bias.to(bias)
            ctx.save_for_backward(slopes.x * scale, slopes.y, to_scale, to_bias, x, y, scale, bias)
        return rows.sum()

    @staticmethod
    @first_derivative_only("a sum over all pairs")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        slopes = [saved * slope.to(saved.dtype) for saved in ctx.saved_tensors[:4]]
        return (*slopes, None, None)
