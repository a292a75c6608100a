"""Gradient magnitude similarity: are edges as steep as in the target, and how unevenly not?"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import map_means_value, symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ..colour import YIQ, grey_or_rgb, in_colours, luma, rgb_only
from ..data_range import positive_range
from ..edges import gradient_magnitude
from ..option_values import is_number, true_or_false
from .shrink import at_least, both, halves, shrunk
from .similarity import positive_power, similarity

# 170 on the range 0 to 255: Xue et al. 2014, section III
CONSTANT = 170 / 255**2

# finest scale first, masking, and the three constants of the colour term: Zhang, Sander and Bermak 2017
SCALE_WEIGHTS = (0.096, 0.596, 0.289, 0.019)
MASKING = 0.5
CHROMA_SHARE, CHROMA_SIZE, CHROMA_DECAY = 0.01, 0.32, 15.0


def _one_scale(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    steepness = gradient_magnitude(shrunk(both(luma(x), luma(y)), 2), "prewitt")
    return similarity(*halves(steepness), CONSTANT * data_range**2)


def _map(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    _fits(x)
    return _one_scale(x, y, data_range=positive_range(data_range))[:, 0]


def _mean(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    return _one_scale(x, y, data_range=data_range).mean((1, 2, 3))


def _deviation(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    return positive_power(_variance(_one_scale(x, y, data_range=data_range)), 0.5)


def _variance(values: Tensor) -> Tensor:
    return (values - values.mean((1, 2, 3), keepdim=True)).square().mean((1, 2, 3))


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
    return each_pair(partial(_mean, data_range=positive_range(data_range)), x, y)


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
    return each_pair(partial(_deviation, data_range=positive_range(data_range)), x, y)


def _masked(steepness: Tensor, data_range: float) -> Tensor:
    """1 - (a - b)^2 / (a^2 + b^2 - masking a b + c), from the magnitudes of images and then targets."""
    a, b = halves(steepness)
    return 1 - (a - b).square() / (a.square() + b.square() - MASKING * (a * b) + CONSTANT * data_range**2)


def _multi_scale_map(
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
    map=_multi_scale_map,
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
    compare = partial(
        _multi_scale,
        data_range=positive_range(data_range),
        scale_weights=tuple(w / total for w in scale_weights),
        chromatic=chromatic,
    )
    return each_pair(compare, x, y)


def _multi_scale(
    x: Tensor, y: Tensor, *, data_range: float, scale_weights: tuple[float, ...], chromatic: bool
) -> Tensor:
    seen = both(in_colours(x, YIQ), in_colours(y, YIQ)) if chromatic else both(luma(x), luma(y))
    variance: Tensor | None = None
    for scale, weight in enumerate(scale_weights):
        seen = shrunk(seen, 2) if scale else seen
        part = weight * _variance(_masked(gradient_magnitude(seen[:, :1], "prewitt"), data_range))
        variance = part if variance is None else variance + part
    assert variance is not None
    value = positive_power(variance, 0.5)
    if not chromatic:
        return value
    ours, target = halves(seen[:, 1:])
    squares = (ours - target).square().mean((2, 3)).sum(1) / data_range**2
    colour = CHROMA_SHARE * 255 * positive_power(squares, 0.5)
    share = 2 / (1 + CHROMA_SIZE * torch.exp(-CHROMA_DECAY * value)) - 1
    return share * value + (1 - share) * colour
