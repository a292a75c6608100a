"""How far is the filled hole from what was there?"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ...pair_laws import map_means_value
from ...pairs import pair_measure
from ..option_values import is_number


def over_masked_area(errors: Tensor, mask: Tensor) -> Tensor:
    """The errors scaled so that their mean over an image is their sum over the mask's area; 0 for an empty mask.

    Args:
        errors: (B, C, H, W), 0 outside of the mask.
        mask: (B, 1 or C, H, W).
    """
    share = mask.mean((1, 2, 3), keepdim=True)
    return errors * torch.where(share > 0, 1 / torch.where(share > 0, share, 1.0), 0.0)


def _errors(x: Tensor, y: Tensor, mask: Tensor, *, order: int, overlap: int, overlap_weight: float) -> Tensor:
    if order not in (1, 2) or isinstance(order, bool):
        raise UsageError(f"order: expected 1 (absolute) or 2 (squared), got {order!r}")
    if isinstance(overlap, bool) or not isinstance(overlap, int) or overlap < 0:
        raise UsageError(f"overlap: expected a width in whole pixels, 0 for none, got {overlap!r}")
    if not (is_number(overlap_weight) and 0 <= overlap_weight < math.inf):
        raise UsageError(f"overlap_weight: expected a number of at least 0, got {overlap_weight!r}")
    weight = mask
    if overlap:
        inner = -functional.max_pool2d(-mask, 2 * overlap + 1, stride=1, padding=overlap)
        weight = mask + (overlap_weight - 1) * (mask - inner)
    error = (x - y).abs() if order == 1 else (x - y).square()
    return over_masked_area(weight * error, mask)


def _masked_map(
    x: Tensor, y: Tensor, mask: Tensor, *, order: Literal[1, 2], overlap: int, overlap_weight: float
) -> Tensor:
    return _errors(x, y, mask, order=order, overlap=overlap, overlap_weight=overlap_weight).mean(1)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[map_means_value],
    map=_masked_map,
    reference="Pathak et al. 2016, arXiv:1604.07379",
)
def masked_reconstruction(
    x: Tensor,
    y: Tensor,
    mask: Tensor,
    *,
    order: Literal[1, 2] = 2,
    overlap: int = 0,
    overlap_weight: float = 10.0,
) -> Tensor:
    r"""Mean error within a mask, for each pair.

    $$ \frac{\sum_{c,i,j} w_{ij}\, |x_{cij} - y_{cij}|^p}{C \sum_{i,j} m_{ij}}, \qquad
       w = \begin{cases} \omega & \text{in the mask, within the overlap of its border} \\ m & \text{else} \end{cases} $$

    with p the order and omega the overlap's weight. The divisor is the mask's area, so that the value of an error
    that is alike everywhere depends on no mask's size.

    Args:
        x: (B, C, H, W) images, any number of channels.
        y: (B, C, H, W) targets.
        mask: (B, 1, H, W) or (B, C, H, W), true or 1 where the error counts (the hole), or a weight in [0, 1].
        order: p, 2 for squared differences, 1 for absolute ones.
        overlap: how many pixels within the mask, from its border inwards, overlap with the known image. 0: none.
        overlap_weight: omega, what an error in the overlap counts.

    Returns:
        (B,) at least 0; 0 for equal images; lower is better. An empty mask has nothing to reconstruct: 0, with
        gradient 0. Pixels outside of the mask have the gradient 0. `masked_reconstruction.map` gives (B, H, W),
        scaled by the mask's area so that its mean is the value.

    Raises:
        UsageError: another order, or an overlap or a weight below zero.

    Complexity: O(B C H W) time and memory, and O(B H W overlap^2) time with an overlap.

    FAQ:
        *The overlap, as published?* Context Encoders predict a square that is 7 pixels wider on each side than the
        hidden one and weigh these with 10: give the predicted square as the mask, overlap=7. Their code scales the
        gradient so and prints the unweighted error, and divides by the number of pixels in the square, as here. The
        border of the image is no border of the mask.

        *Empty masks in a data set?* Leave these pairs out before `.estimate()`: their zeros would lower the mean.
    """
    return _errors(x, y, mask, order=order, overlap=overlap, overlap_weight=overlap_weight).mean((1, 2, 3))
