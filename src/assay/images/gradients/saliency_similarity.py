"""VSI: do two images draw the eye to the same places, and are edges and colours there alike?"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ...scale.first_derivative import differentiable_once
from ..colour import LMN, grey_or_rgb, rgb_to_lmn
from ..data_range import positive_range
from ..edges import gradient_magnitude
from .saliency import SIDE, salience
from .shrink import at_least, both, factor_to_256, halves, shrunk, shrunk_colours
from .similarity import real_power, similarity, weighted_mean
from .weighted_similarity import Constants, weighted_similarity

# C1, C2 and C3 (the last two on the range 0 to 255), alpha and beta: Zhang, Shen and Li 2014, section III
SALIENCY, STEEPNESS, COLOUR = 1.27, 386.0, 130.0
STEEPNESS_EXPONENT, COLOUR_EXPONENT = 0.40, 0.02


def _terms(x: Tensor, y: Tensor, *, data_range: float) -> tuple[Tensor, Tensor]:
    """The local similarity and its weight, (B, 1, H', W') each."""
    unit, factor = (data_range / 255) ** 2, factor_to_256(x)
    seen = both(x, y)
    if x.shape[1] == 1:
        seen = seen.expand(-1, 3, -1, -1)
    looked_at = halves(shrunk(salience(seen / data_range), factor))
    colours = shrunk(rgb_to_lmn(seen), factor)
    steepness = halves(gradient_magnitude(colours[:, :1], "scharr"))
    local = similarity(*looked_at, SALIENCY) * similarity(*steepness, STEEPNESS * unit) ** STEEPNESS_EXPONENT
    pair = similarity(*halves(colours[:, 1:]), COLOUR * unit)
    return local * real_power(pair[:, :1] * pair[:, 1:], COLOUR_EXPONENT), torch.maximum(*looked_at)


def _value(_worked: Tensor, x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    if torch.compiler.is_compiling():
        return weighted_mean(*_terms(x, y, data_range=data_range))
    unit, factor = (data_range / 255) ** 2, factor_to_256(x)
    if x.shape[1] == 1:
        x, y = x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)
    # one after the other: the target has a way back only where its gradient is asked for
    ours, target = (shrunk(salience(z / data_range), factor) for z in (x, y))
    colours, other = (shrunk_colours(z, LMN, factor) for z in (x, y))
    constants = Constants(SALIENCY, STEEPNESS * unit, COLOUR * unit, STEEPNESS_EXPONENT, COLOUR_EXPONENT)
    return weighted_similarity((ours, target), (colours, other), constants)


def _fits(x: Tensor) -> None:
    grey_or_rgb(x)
    at_least(x, 3, "a gradient needs 3 pixels a side")


def _map(x: Tensor, y: Tensor, *, data_range: float) -> Tensor:
    _fits(x)
    return _terms(x, y, data_range=positive_range(data_range))[0][:, 0]


@pair_measure(
    domain="images",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0)],
    map=_map,
    exceptions={
        "gradient_is_right": "the coldest pixel is told from the others by a thousandth of the range of colours, in "
        "which the law's steps are not small; steps of 1e-8 are"
    },
    reference="Zhang, Shen and Li 2014, IEEE TIP 23(10)",
)
def vsi(x: Tensor, y: Tensor, *, data_range: float = 1.0) -> Tensor:
    r"""Visual saliency-induced index, for each pair.

    $$ \mathrm{VSI} = \frac{\sum_i S_{VS}\,S_G^{0.4}\,\mathrm{Re}\left[(S_M S_N)^{0.02}\right] \max(VS_x, VS_y)}
                           {\sum_i \max(VS_x, VS_y)}, \qquad S = \frac{2ab + C}{a^2 + b^2 + C} $$

    VS is the SDSP saliency of an image, from 0 to 1, C = 1.27; G the gradient magnitude by Scharr's operators over 16
    of the brightness L, C = 386 on a range of 255; M and N opponent colours, C = 130. Before the comparison, F x F
    pixels are averaged, F the whole number nearest to the short side over 256.

    Args:
        x: (B, C, H, W) images, RGB; grey ones count as three equal channels.
        y: (B, C, H, W) targets.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.

    Returns:
        (B,) in [0, 1]; 1 for equal images, higher is better. `.map` gives the similarity before the weights,
        (B, ceil(H / F), ceil(W / F)).

    Raises:
        UsageError: other than one or three channels, sides below 3 pixels, a data range that is not above zero.

    Complexity: O(B H W) time, 12 Fourier transforms of 256 x 256 pixels a pair, and the memory of a few pairs.

    FAQ:
        *piq's digits?* Equal to 1e-6 for images of 256 x 256 pixels. For other sizes, saliency is computed at 256 x 256
        and resized back: the authors' program, and this, smooth an image before it shrinks and put the first pixel's
        centre at half a pixel both times; piq takes single pixels and the corners' centres for the way back. From 384
        pixels on, piq's averages also begin a pixel earlier.
        *Constant images?* Nothing stands out in them, and the plain mean over places takes the weighted one's place: 1
        for equal ones. The authors' program divides 0 by 0 there; piq gives 1 for any two.
        *The gradient?* Finite everywhere; zero where the image is flat. Saliency is scaled by its smallest and largest
        value in the image, whose pixels have most of the gradient. There is no second one: it refuses.
    """
    _fits(x)
    # saliency is worked out on SIDE x SIDE pixels: as many pairs at a time as if they came in this size
    worked = x.new_empty(()).expand(len(x), 3, max(x.shape[-2], SIDE), max(x.shape[-1], SIDE))
    values = each_pair(partial(_value, data_range=positive_range(data_range)), worked, x, y)
    return values if torch.compiler.is_compiling() else differentiable_once(values, "vsi")
