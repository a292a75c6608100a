"""Moments of many samples of which a few move: the value is everybody's, the gradient theirs, in O(rows d^2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..scale.first_derivative import first_derivative_only
from .moments import Moments


@dataclass(frozen=True, eq=False)
class MovingMoments(Moments):
    """Moments whose scatter is  constant + sum_i c_i r_i r_i^T,  with a gradient in the rows r only.

    `scatter` is right for whoever reads it, gradient included, which then goes through (d, d). Where the derivative by
    the scatter is known as a product, `slope_through` takes the few rows through that product instead.

    Attributes:
        moving: (r, d) rows with gradient.
        signs: (r,) their coefficients c, of either sign.
    """

    moving: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    signs: Tensor = field(default_factory=lambda: torch.zeros(0))

    def slope_through(self, product: Callable[[Tensor], Tensor]) -> Tensor:
        """Zero, with the gradient of  sum_i c_i |product(r_i)|^2  by the rows."""
        energy = (product(self.moving).square().sum(1) * self.signs).sum()
        return energy - energy.detach()

    def variance_sum(self) -> Tensor:
        assert self.scatter is not None
        value = self.scatter.detach().diagonal().sum()
        return (value + self.slope_through(lambda rows: rows)) / (self.weight - 1)

    def whole(self) -> Moments:
        """The same moments as any others are."""
        return Moments(self.weight, self.mean, scatter=self.scatter)


class _WithRows(torch.autograd.Function):
    """A scatter that is known already, with the gradient of  sum_i c_i r_i r_i^T  by the rows."""

    @staticmethod
    def forward(ctx: Any, scatter: Tensor, rows: Tensor, signs: Tensor) -> Tensor:
        ctx.save_for_backward(rows, signs)
        return scatter.view_as(scatter)

    @staticmethod
    @first_derivative_only("a scatter")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        rows, signs = ctx.saved_tensors
        both = rows @ (slope + slope.T)
        by_signs = 0.5 * (both * rows).sum(1) if ctx.needs_input_grad[2] else None
        return None, both * signs[:, None], by_signs


def moved(kept: Moments, added: Tensor, taken: Tensor | None = None) -> Moments:
    """The moments with samples added (a, d) and others taken out (t, d), in O((a + t) d^2).

    About the old mean m every change is a sum over rows r = x - m: with  s = sum_added r - sum_taken r  and the new
    weight W the mean is m + s / W and the scatter S + sum_added r r^T - sum_taken r r^T - s s^T / W, one product.

    Args:
        kept: moments with a scatter.
        added: with gradient, or without.
        taken: samples that the moments hold.

    Returns:
        `MovingMoments` where the added samples have a gradient, else `Moments`.
    """
    assert kept.scatter is not None
    rows = added.to(kept.mean.device).to(torch.float64) - kept.mean
    ones = rows.new_ones(len(rows))
    total, signed, signs = ones @ rows, [rows], [ones]
    weight = kept.weight + float(len(rows))
    if taken is not None and len(taken):
        gone = taken.to(kept.mean.device).to(torch.float64) - kept.mean
        minus = -gone.new_ones(len(gone))
        total, weight = total + minus @ gone, weight - float(len(gone))
        signed.append(gone)
        signs.append(minus)
    between = -weight.reciprocal()[None]
    with torch.no_grad():
        every, sign = torch.cat([*signed, total[None]]), torch.cat([*signs, between])
        scatter = torch.addmm(kept.scatter, (every * sign[:, None]).T, every)
    mean = kept.mean + total / weight
    if not rows.requires_grad:
        return Moments(weight, mean, scatter=scatter)
    moving, sign = torch.cat([rows, total[None]]), torch.cat([ones, between])
    scatter = _WithRows.apply(scatter, moving, sign)  # type: ignore[no-untyped-call]
    return MovingMoments(weight, mean, scatter=scatter, moving=moving, signs=sign)
