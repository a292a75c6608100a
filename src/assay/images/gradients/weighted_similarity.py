"""VSI's mean of local similarities, weighted by where somebody looks, with its slopes found beside it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...scale.first_derivative import first_derivative_only
from .edge_losses import edge_losses, edge_slopes
from .similarity import EVERYWHERE, NEXT_TO_ZERO, loss_slopes, losses


class Constants(NamedTuple):
    """Of the four similarities and of their powers."""

    saliency: float
    steepness: float
    colour: float
    steepness_exponent: float
    colour_exponent: float


def weighted_similarity(
    looked_at: tuple[Tensor, Tensor], colours: tuple[Tensor, Tensor], constants: Constants
) -> Tensor:
    """(b,) of both images' saliency (b, 1, h, w), and brightness and opponent colours (b, 3, h, w).

    Differentiable once.
    """
    found: Tensor = _WeightedSimilarity.apply(*looked_at, *colours, constants)  # type: ignore[no-untyped-call]
    return found


class _WeightedSimilarity(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, seen_x: Tensor, seen_y: Tensor, colours_x: Tensor, colours_y: Tensor, constants: Constants
    ) -> Tensor:
        r"""With s = V G^alpha Re (M N)^beta, each of the four 1 - loss, w the larger saliency and m = sum w s / sum w:

        d m / d w = (s - m) / sum w
        d m / d loss_V = -w s / (V sum w), and with alpha for G, with beta for M and N: logarithms have such slopes
        """
        by_saliency, by_colours = ctx.needs_input_grad[:2], ctx.needs_input_grad[2:4]
        c = constants
        looked = losses(seen_x, seen_y, c.saliency)
        edges = edge_losses(torch.stack((colours_x[:, :1], colours_y[:, :1])), c.steepness, operator="scharr")
        opponents = losses(colours_x[:, 1:], colours_y[:, 1:], c.colour)
        likeness = [1 - looked.loss, 1 - edges.terms.loss, 1 - opponents.loss]
        product = likeness[2][:, :1] * likeness[2][:, 1:]
        size = product.abs()
        # the real part of a power; 0 with slope 0 next to 0
        real = (
            torch.lt(product, 0, out=torch.empty_like(size))
            .mul_(math.cos(math.pi * c.colour_exponent) - 1)
            .add_(1)
        )
        real.mul_(torch.gt(size, NEXT_TO_ZERO, out=torch.empty_like(size)))
        powers = torch.log(size.clamp_min_(NEXT_TO_ZERO)).mul_(c.colour_exponent)
        powers.add_(torch.log(likeness[1]), alpha=c.steepness_exponent).exp_()
        local = powers.mul_(real).mul_(likeness[0])
        weights = torch.maximum(seen_x, seen_y).add_(EVERYWHERE)
        amount = weights.sum((1, 2, 3), keepdim=True)
        value = (local * weights).sum((1, 2, 3), keepdim=True).div_(amount)
        slopes: list[Tensor | None] = [None] * 4
        if any(by_saliency) or any(by_colours):
            by_weight = (local - value).div_(amount)
            by_log = local.mul_(weights).div_(-amount)
        if any(by_saliency):
            slopes[:2] = loss_slopes(looked, by_log / likeness[0], by_saliency)
            larger = (seen_x - seen_y).sign_()
            for k, sign in enumerate((0.5, -0.5)):
                own = slopes[k]
                if own is not None:
                    own.add_((larger * sign).add_(0.5).mul_(by_weight))
        if any(by_colours):
            bright = edge_slopes(edges, (by_log * c.steepness_exponent).div_(likeness[1]), by_colours)
            # a factor of 0 has the product 0, whose slope is 0
            away = torch.where(likeness[2] == 0, 1.0, likeness[2])
            opposed = loss_slopes(opponents, (by_log * c.colour_exponent) / away, by_colours)
            for k in range(2):
                first, second = bright[k], opposed[k]
                if first is not None and second is not None:
                    slopes[2 + k] = torch.cat((first, second), 1)
        ctx.save_for_backward(seen_x, seen_y, colours_x, colours_y, *(s for s in slopes if s is not None))
        return value.flatten()

    @staticmethod
    @first_derivative_only("vsi")
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        kept = iter(ctx.saved_tensors[4:])
        wanted = ctx.needs_input_grad[:4]
        return *(next(kept) * slope[:, None, None, None] if w else None for w in wanted), None
