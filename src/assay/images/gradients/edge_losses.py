"""What do two images' edges lack of being equally steep, and which way do the images change it?"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..edges import FLAT, Operator, gradient_components, gradient_spread
from .similarity import Losses, loss_slopes, losses


class Edges(NamedTuple):
    """Derivatives of images and targets, (2, b, 1, h, w), and what their sizes lack of similarity."""

    across: Tensor
    down: Tensor
    terms: Losses
    operator: Operator


def edge_losses(seen: Tensor, constant: float, masking: float = 0.0, operator: Operator = "prewitt") -> Edges:
    """`losses` of the gradient magnitudes of images and targets, (2, b, 1, h, w), without a graph."""
    across, down = gradient_components(seen, operator)
    ours, target = magnitudes(across, down)
    return Edges(across, down, losses(ours, target, constant, masking), operator)


def edge_slopes(
    edges: Edges, by_loss: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Slopes by the images and by the targets, from those by the losses.

    With m = sqrt(u^2 + v^2), u and v the derivatives across and down, by matrices U and V:

        d / d image = U^T (u / m d / dm) + V^T (v / m d / dm), and 0 where m is below 1e-12
    """
    found: list[Tensor | None] = [None, None]
    sizes = (edges.terms.ours, edges.terms.target)
    for k, by_size in enumerate(loss_slopes(edges.terms, by_loss, wanted)):
        if by_size is not None:
            each = per_size(sizes[k], by_size)
            found[k] = gradient_spread(edges.across[k] * each, edges.down[k] * each, edges.operator)
    return found[0], found[1]


def magnitudes(across: Tensor, down: Tensor) -> Tensor:
    """Lengths of the gradients, as `gradient_magnitude`."""
    # no fused product and sum: it is rounded differently at an array's end, and equal images have exactly equal edges
    return (across * across).add_(down * down).clamp_min_(FLAT).sqrt_()


def per_size(size: Tensor, by_size: Tensor) -> Tensor:
    """by_size / size, and 0 where the image is flat; written over by_size."""
    steep = torch.gt(size, FLAT**0.5, out=torch.empty_like(size))
    return by_size.div_(size).mul_(steep)
