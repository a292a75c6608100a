"""MDSI: how unevenly do gradients and colours agree with the target's?"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ..colour import LMN, Matrix, grey_or_rgb, in_colours
from ..data_range import positive_range
from ..edges import gradient_magnitude
from .shrink import at_least, both, factor_to_256, halves, shrunk
from .similarity import dissimilarity, positive_power

Combination = Literal["sum", "mult"]

# C1, C2 and C3 on the range 0 to 255, and the exponents: Nafchi et al. 2016, section III
CONSTANT, FUSED_CONSTANT, COLOUR_CONSTANT = 140.0, 55.0, 550.0
GRADIENT_SHARE = 0.6
GRADIENT_EXPONENT, COLOUR_EXPONENT = 0.2, 0.1
EXPONENT = 0.25

# brightness to four digits, and the opponent colours of LMN
LHM: Matrix = ((0.2989, 0.5870, 0.1140), *LMN[1:])

NEXT_TO_ZERO = 1e-12


def _losses(x: Tensor, y: Tensor, *, data_range: float) -> tuple[Tensor, Tensor]:
    """1 - gradient similarity and 1 - colour similarity, (B, 1, H', W') each, both exactly 0 for equal images."""
    unit, factor = (data_range / 255) ** 2, factor_to_256(x)
    if x.shape[1] == 1:
        x, y = x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)
    seen = shrunk(both(in_colours(x, LHM), in_colours(y, LHM)), factor)
    ours, target = halves(seen)
    fused = (ours[:, :1] + target[:, :1]) / 2
    a, b, f = gradient_magnitude(torch.cat((ours[:, :1], target[:, :1], fused)), "prewitt").chunk(3)
    gradient = dissimilarity(a, b, CONSTANT * unit)
    gradient = (
        gradient + dissimilarity(a, f, FUSED_CONSTANT * unit) - dissimilarity(b, f, FUSED_CONSTANT * unit)
    )
    difference = (ours[:, 1:] - target[:, 1:]).square().sum(1, keepdim=True)
    colours = ours[:, 1:].square().sum(1, keepdim=True) + target[:, 1:].square().sum(1, keepdim=True)
    return gradient, difference / (colours + COLOUR_CONSTANT * unit)


def _log_size(loss: Tensor) -> Tensor:
    """log |1 - loss|, without the rounding of 1 - loss, with gradient 0 where it is next to minus infinity."""
    below = loss < 1 - NEXT_TO_ZERO
    above = loss > 1 + NEXT_TO_ZERO
    inside = torch.log1p(-torch.where(below, loss, 0.0))
    outside = torch.log(torch.where(above, loss - 1, 1.0))
    return torch.where(below, inside, torch.where(above, outside, math.log(NEXT_TO_ZERO)))


def _combined(gradient: Tensor, colour: Tensor, combination: Combination) -> tuple[Tensor, Tensor]:
    """Logarithm of the size, and the angle, of the combined similarity: negative ones have complex powers."""
    if combination == "sum":
        loss = GRADIENT_SHARE * gradient + (1 - GRADIENT_SHARE) * colour
        return _log_size(loss), torch.where(loss > 1, math.pi, 0.0).to(loss)
    size = GRADIENT_EXPONENT * _log_size(gradient) + COLOUR_EXPONENT * _log_size(colour)
    angle = torch.where(gradient > 1, GRADIENT_EXPONENT * math.pi, 0.0).to(size)
    return size, angle + torch.where(colour > 1, COLOUR_EXPONENT * math.pi, 0.0).to(size)


def _value(x: Tensor, y: Tensor, *, data_range: float, combination: Combination) -> Tensor:
    size, angle = _combined(*_losses(x, y, data_range=data_range), combination)
    beyond = torch.expm1(EXPONENT * size)  # the power's size less 1, exact next to 1
    cosine, sine = (EXPONENT * angle).cos(), (EXPONENT * angle).sin()
    real, imaginary = beyond * cosine + (cosine - 1), (beyond + 1) * sine
    places = (1, 2, 3)
    squares = (real - real.mean(places, keepdim=True)).square()
    squares = squares + (imaginary - imaginary.mean(places, keepdim=True)).square()
    return positive_power(positive_power(squares, 0.5).mean(places), EXPONENT)


def _fits(x: Tensor, combination: Combination) -> None:
    if combination not in get_args(Combination):
        raise UsageError(f'combination: expected "sum" or "mult", got {combination!r}')
    grey_or_rgb(x)
    at_least(x, 3, "a gradient needs 3 pixels a side")


def _map(x: Tensor, y: Tensor, *, data_range: float, combination: Combination) -> Tensor:
    _fits(x, combination)
    size, angle = _combined(*_losses(x, y, data_range=positive_range(data_range)), combination)
    return (size.exp() * angle.cos())[:, 0]


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[value_on_equal(0.0)],
    map=_map,
    reference="Nafchi, Shahkolaei, Hedjam and Cheriet 2016, IEEE Access 4, arXiv:1608.07433",
)
def mdsi(x: Tensor, y: Tensor, *, data_range: float = 1.0, combination: Combination = "sum") -> Tensor:
    r"""Mean deviation similarity index, for each pair.

    $$ \mathrm{MDSI} = \left( \frac{1}{N} \sum_i \left| S_i^{1/4} - \overline{S^{1/4}} \right| \right)^{1/4}, \qquad
       S = 0.6\,G + 0.4\,C \quad\text{or}\quad S = G^{0.2} C^{0.1} $$

    with G = G(x, y) + G(x, f) - G(y, f) from gradient magnitudes by Prewitt's operators over 3, f the mean of both
    images' brightness, each G(a, b) = (2 ab + c) / (a^2 + b^2 + c), and C the joint similarity of two opponent
    colours. The constants are 140 (x with y), 55 (with f) and 550 (colours) on a range of 255. Before, F x F pixels are
    averaged, F the whole number nearest to the short side over 256.

    Args:
        x: (B, C, H, W) images, RGB; grey ones count as three equal channels.
        y: (B, C, H, W) targets. Exchanging x and y changes the value: gradients that x has lost count differently
            from those it has gained.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.
        combination: "sum", the default, or "mult", the paper's second proposal.

    Returns:
        (B,) at least 0; 0 for equal images, lower is better. `.map` gives S (its real part),
        (B, ceil(H / F), ceil(W / F)).

    Raises:
        UsageError: other than one or three channels, sides below 3 pixels, an unknown combination, a data range that is
            not above zero.

    Complexity: O(B C H W) time and, beyond images and gradients, the memory of a few pairs.

    FAQ:
        *Negative similarities?* Their powers are complex, of the principal value, and | | is the size of a complex
        number, as in the authors' program. piq's "mult" multiplies the real parts and adds the imaginary ones, which is
        no product: where G or C is negative somewhere, its value is another.
        *Tiny differences?* Two fourth roots magnify them: a difference of 1e-8 in S can show as 0.01. Everything is
        computed from 1 - S, which is exact for equal images.
        *The gradient?* Zero for equal images and where S is 0, where roots have infinite slopes; very large next to
        them. As an objective, MDSI needs a clipped gradient.
    """
    _fits(x, combination)
    return each_pair(partial(_value, data_range=positive_range(data_range), combination=combination), x, y)
