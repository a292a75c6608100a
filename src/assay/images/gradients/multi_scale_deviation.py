"""Gradient magnitude similarity deviation over several scales, with or without colour."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..colour import YIQ, grey_or_rgb, in_colours, luma, rgb_only
from ..data_range import positive_range
from ..edges import gradient_magnitude
from ..option_values import is_number, true_or_false
from .edge_losses import edge_losses, edge_slopes
from .gradient_similarity import CONSTANT
from .seen_pairs import Sight, Slopes, Wanted, brightness, each_seen_pair
from .shrink import at_least, both, halves, shrunk, spread
from .similarity import every_place, inverse, positive_power, variance, variance_and_distances

# finest scale first, masking, and the three constants of the colour term: Zhang, Sander and Bermak 2017
SCALE_WEIGHTS = (0.096, 0.596, 0.289, 0.019)
MASKING = 0.5
CHROMA_SHARE, CHROMA_SIZE, CHROMA_DECAY = 0.01, 0.32, 15.0


def _masked(steepness: Tensor, data_range: float) -> Tensor:
    """1 - (a - b)^2 / (a^2 + b^2 - masking a b + c), from the magnitudes of images and then targets."""
    a, b = halves(steepness)
    return 1 - (a - b).square() / (a.square() + b.square() - MASKING * (a * b) + CONSTANT * data_range**2)


def _map(
    x: Tensor, y: Tensor, *, data_range: float, scale_weights: tuple[float, ...], chromatic: bool
) -> Tensor:
    _fits_scales(x, scale_weights, chromatic)
    return _masked(gradient_magnitude(both(luma(x), luma(y)), "prewitt"), positive_range(data_range))[:, 0]


def _fits_scales(x: Tensor, scale_weights: tuple[float, ...], chromatic: bool) -> None:
    true_or_false(chromatic, "chromatic")
    (rgb_only if chromatic else grey_or_rgb)(x)
    finite = isinstance(scale_weights, tuple) and all(
        is_number(w) and 0 <= w < math.inf for w in scale_weights
    )
    if not finite or not sum(scale_weights) > 0:
        raise UsageError(
            f"scale_weights: expected a tuple of numbers of at least 0, one a scale, got {scale_weights!r}"
        )
    at_least(
        x,
        2 ** len(scale_weights) + 1,
        f"{len(scale_weights)} scales (scale_weights) need 3 pixels a side at the coarsest",
    )


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    map=_map,
    reference="Zhang, Sander and Bermak 2017, ICASSP, doi:10.1109/ICASSP.2017.7952357",
)
def multi_scale_gmsd(
    x: Tensor,
    y: Tensor,
    *,
    data_range: float = 1.0,
    scale_weights: tuple[float, ...] = SCALE_WEIGHTS,
    chromatic: bool = False,
) -> Tensor:
    r"""Gradient magnitude similarity deviation over several scales, with or without colour, for each pair.

    $$ \mathrm{MS} = \sqrt{\sum_j w_j \mathrm{Var}_i\, g_j(i)}, \qquad
       g = \frac{(2 - \alpha)\,m_x m_y + c}{m_x^2 + m_y^2 - \alpha\,m_x m_y + c}, \qquad \alpha = \tfrac12 $$

    with m and c as in `gradient_magnitude_similarity`, the first scale the image itself and each next one halved by
    means of 2 x 2 pixels. With colour, and r the root mean square difference of I and Q at the last scale on a range
    of 255:

    $$ \gamma\,\mathrm{MS} + (1 - \gamma)\,0.01\,r, \qquad \gamma = \frac{2}{1 + 0.32\,e^{-15\,\mathrm{MS}}} - 1 $$

    Args:
        x: (B, C, H, W) images, grey or RGB.
        y: (B, C, H, W) targets.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.
        scale_weights: w, one a scale, the finest first; divided by their sum.
        chromatic: with the term for colour (MS-GMSDc), which needs RGB images.

    Returns:
        (B,) at least 0, at most 0.5 without colour; 0 for equal images, lower is better. `.map` gives g at the finest
        scale, (B, H, W).

    Raises:
        UsageError: other than one or three channels, one channel with `chromatic`, sides of fewer than
            2^scales + 1 pixels, weights below zero, a data range that is not above zero.

    Complexity: O(B C H W) time and, beyond images and gradients, the memory of a few pairs.

    FAQ:
        *Why is the finest scale not halved, as gmsd's is?* The paper begins with the image as it is; gmsd's size is
        the second scale, which has the largest weight.
        *Who else computes the colour term at the last scale?* piq, which finds the paper's rank correlations with it;
        the paper does not say, and its authors published no program. Without colour piqa differs only in the
        deviation, over N - 1, and on odd sides.
        *The gradient for equal images?* Zero, where a root has an infinite slope.
    """
    _fits_scales(x, scale_weights, chromatic)
    total = sum(scale_weights)
    weights = tuple(w / total for w in scale_weights)
    data_range = positive_range(data_range)
    return each_seen_pair(
        partial(_value_and_slopes, data_range=data_range, scale_weights=weights),
        partial(_value, data_range=data_range, scale_weights=weights, chromatic=chromatic),
        Sight(YIQ if chromatic else brightness(x), 1),
        x,
        y,
    )


def _value(
    x: Tensor, y: Tensor, *, data_range: float, scale_weights: tuple[float, ...], chromatic: bool
) -> Tensor:
    seen = both(in_colours(x, YIQ), in_colours(y, YIQ)) if chromatic else both(luma(x), luma(y))
    squares: Tensor | None = None
    for scale, weight in enumerate(scale_weights):
        seen = shrunk(seen, 2) if scale else seen
        part = weight * variance(_masked(gradient_magnitude(seen[:, :1], "prewitt"), data_range))
        squares = part if squares is None else squares + part
    assert squares is not None
    value = positive_power(squares, 0.5)
    if not chromatic:
        return value
    ours, target = halves(seen[:, 1:])
    colour = CHROMA_SHARE * 255 * positive_power(_mean_square(ours - target, data_range), 0.5)
    share = _share(value)
    return share * value + (1 - share) * colour


def _mean_square(gap: Tensor, data_range: float) -> Tensor:
    return gap.square().mean((2, 3)).sum(1) / data_range**2


def _share(value: Tensor) -> Tensor:
    return 2 / (1 + CHROMA_SIZE * torch.exp(-CHROMA_DECAY * value)) - 1


def _value_and_slopes(
    seen: Tensor, wanted: Wanted, *, data_range: float, scale_weights: tuple[float, ...]
) -> tuple[Tensor, Slopes]:
    r"""With g_j = 1 - loss_j at scale j, k = 2.55 and r the root mean square difference of the colours:

        d MS / d loss_j = w_j (loss_j - mean_j) / (N_j MS)
        d value / d MS = gamma + 15 / 2 (1 - gamma^2) (MS - k r)
        d value / d I = (1 - gamma) k (I_x - I_y) / (N r R^2), at the last scale, and so for Q

    The slopes by a scale go back to the finer one, from the coarsest on.
    """
    squares = seen.new_zeros(seen.shape[1])
    scales: list[tuple[Slopes, Tensor]] = []
    for scale, weight in enumerate(scale_weights):
        seen = torch.stack([shrunk(z, 2) for z in seen]) if scale else seen
        edges = edge_losses(seen[:, :, :1], CONSTANT * data_range**2, MASKING)
        own, away = variance_and_distances(edges.terms.loss)
        squares += weight * own
        if any(wanted):
            scales.append((edge_slopes(edges, away.mul_(weight / away[0].numel()), wanted), seen[0]))
    value = positive_power(squares, 0.5)
    by_edges = inverse(value)
    by_colours = None
    if seen.shape[2] == 3:
        gap = seen[0, :, 1:] - seen[1, :, 1:]
        root = positive_power(_mean_square(gap, data_range), 0.5)
        share, colour = _share(value), CHROMA_SHARE * 255 * root
        by_edges *= share + CHROMA_DECAY / 2 * (1 - share.square()) * (value - colour)
        by_root = (1 - share) * CHROMA_SHARE * 255
        by_colours = gap * every_place(by_root * inverse(root) / (gap[0, 0].numel() * data_range**2))
        value = share * value + (1 - share) * colour
    found: list[Tensor | None] = [None, None]
    for k in (k for k in range(2) if wanted[k]):
        total: Tensor | None = None
        for slopes, image in reversed(scales):
            own_slope = slopes[k]
            assert own_slope is not None
            own_slope *= every_place(by_edges)
            if total is not None:
                total = spread(total, 2, *image.shape[2:]) / 4
                total[:, :1] += own_slope
            elif by_colours is not None:
                total = torch.cat((own_slope, -by_colours if k else by_colours), 1)
            else:
                total = own_slope
        found[k] = total
    return value, (found[0], found[1])
