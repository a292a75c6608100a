"""Gradient magnitude similarity: are edges as steep as in the target, and how unevenly not?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ...pair_laws import map_means_value, symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..colour import grey_or_rgb, luma
from ..data_range import positive_range
from ..edges import gradient_magnitude
from .edge_losses import edge_losses, edge_slopes
from .seen_pairs import Sight, Slopes, Wanted, brightness, each_seen_pair
from .shrink import at_least, both, halves, shrunk
from .similarity import (
    every_place,
    inverse,
    positive_power,
    similarity,
    variance,
    variance_and_distances,
)

# 170 on the range 0 to 255: Xue et al. 2014, section III
CONSTANT = 170 / 255**2


def _one_scale(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    steepness = gradient_magnitude(shrunk(both(luma(x), luma(y)), 2), "prewitt")
    return similarity(*halves(steepness), CONSTANT * data_range**2)


def _map(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    _fits(x)
    return _one_scale(x, y, data_range=positive_range(data_range))[:, 0]


def _mean(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    return _one_scale(x, y, data_range=data_range).mean((1, 2, 3))


def _mean_and_slopes(seen: Tensor, wanted: Wanted, *, data_range: float) -> tuple[Tensor, Slopes]:
    edges = edge_losses(seen, CONSTANT * data_range**2)
    loss = edges.terms.loss
    slopes = edge_slopes(edges, torch.full_like(loss, -1 / loss[0].numel()), wanted)
    return 1 - loss.mean((1, 2, 3)), slopes


def _deviation(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    return positive_power(variance(_one_scale(x, y, data_range=data_range)), 0.5)


def _deviation_and_slopes(seen: Tensor, wanted: Wanted, *, data_range: float) -> tuple[Tensor, Slopes]:
    """d GMSD / d loss_i = (loss_i - mean) / (N GMSD): a similarity deviates as what it lacks of 1 does."""
    edges = edge_losses(seen, CONSTANT * data_range**2)
    squares, away = variance_and_distances(edges.terms.loss)
    value = positive_power(squares, 0.5)
    if not any(wanted):
        return value, (None, None)
    return value, edge_slopes(edges, away.mul_(every_place(inverse(value) / away[0].numel())), wanted)


def _compared(
    compare: Callable[..., tuple[Tensor, Slopes]],
    plain: Callable[..., Tensor],
    x: Tensor,
    y: Tensor,
    data_range: float,
) -> Tensor:
    data_range = positive_range(data_range)
    return each_seen_pair(
        partial(compare, data_range=data_range),
        partial(plain, data_range=data_range),
        Sight(brightness(x), 2),
        x,
        y,
    )


def _fits(x: Tensor) -> None:
    grey_or_rgb(x)
    at_least(x, 5, "a gradient needs 3 pixels a side after halving")


@pair_measure(
    domain="images",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0), map_means_value],
    map=_map,
    reference="Xue, Zhang, Mou and Bovik 2014, IEEE TIP 23(2), arXiv:1308.3052",
)
def gradient_magnitude_similarity(x: Tensor, y: Tensor, *, data_range: float = 1.0) -> Tensor:
    r"""Gradient magnitude similarity, the mean over the image (GMSM), for each pair.

    $$ \mathrm{GMS}(i) = \frac{2\,m_x(i)\,m_y(i) + c}{m_x(i)^2 + m_y(i)^2 + c}, \qquad
       m = \sqrt{(h_x * z)^2 + (h_y * z)^2}, \qquad c = 170\,(R / 255)^2 $$

    with z the brightness, averaged over 2 x 2 pixels and halved in size, h Prewitt's operators over 3 (zero outside the
    image) and R the data range.

    Args:
        x: (B, C, H, W) images, grey or RGB (brightness 0.299 R + 0.587 G + 0.114 B).
        y: (B, C, H, W) targets.
        data_range: R, the difference between the largest and the smallest value a pixel can have: 1 or 255.

    Returns:
        (B,) in [0, 1]; 1 for equal images, higher is better. `.map` gives GMS, (B, ceil(H / 2), ceil(W / 2)).

    Raises:
        UsageError: other than one or three channels, sides below 5 pixels, a data range that is not above zero.

    Complexity: O(B C H W) time and, beyond images and gradients, the memory of a few pairs.

    FAQ:
        *What does a constant difference of brightness cost?* Nothing but at the border, where the image meets the zeros
        outside: only edges are compared.
        *Where is the gradient zero?* Where a magnitude is below 1e-12: the root's slope is infinite at 0.
    """
    _fits(x)
    return _compared(_mean_and_slopes, _mean, x, y, data_range)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    upper=0.5,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    map=_map,
    reference="Xue, Zhang, Mou and Bovik 2014, IEEE TIP 23(2), arXiv:1308.3052",
)
def gmsd(x: Tensor, y: Tensor, *, data_range: float = 1.0) -> Tensor:
    r"""Gradient magnitude similarity deviation, for each pair.

    $$ \mathrm{GMSD} = \sqrt{\frac{1}{N} \sum_i (\mathrm{GMS}(i) - \overline{\mathrm{GMS}})^2} $$

    with GMS the map of `gradient_magnitude_similarity`: how unevenly the image is damaged.

    Args:
        x: (B, C, H, W) images, grey or RGB.
        y: (B, C, H, W) targets.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.

    Returns:
        (B,) in [0, 0.5]; 0 for equal images, lower is better. `.map` gives GMS before the deviation.

    Raises:
        UsageError: other than one or three channels, sides below 5 pixels, a data range that is not above zero.

    Complexity: O(B C H W) time and, beyond images and gradients, the memory of a few pairs.

    FAQ:
        *Can a damaged image have 0?* Yes: damage that lowers the similarity everywhere alike has no deviation, and what
        the halving of the image takes away, such as a grid of period 4, is not seen at all.
        *Which deviation?* The paper's, over N. The authors' program, pyiqa and piqa divide by N - 1, which is
        sqrt(N / (N - 1)) times this: 1.00003 for 256 x 256 pixels.
        *An odd side?* The last row or column is averaged with zeros, as by the authors' program and piq; pyiqa leaves
        it out. pyiqa also takes the brightness from the range 16 to 235.
        *The gradient for equal images?* Zero, where a root has an infinite slope.
    """
    _fits(x)
    return _compared(_deviation_and_slopes, _deviation, x, y, data_range)
