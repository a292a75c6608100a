"""MDSI: how unevenly do gradients and colours agree with the target's?"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ...pair_laws import value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ..colour import LMN, Matrix, grey_or_rgb, in_colours
from ..data_range import positive_range
from ..edges import FLAT, gradient_components, gradient_magnitude, gradient_spread
from .edge_losses import magnitudes, per_size
from .seen_pairs import Sight, Slopes, Wanted, each_seen_pair
from .shrink import at_least, both, factor_to_256, halves, shrunk
from .similarity import dissimilarity, loss_slopes, losses, positive_power

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
        return _log_size(loss), _half_turn(loss)
    size = GRADIENT_EXPONENT * _log_size(gradient) + COLOUR_EXPONENT * _log_size(colour)
    return size, GRADIENT_EXPONENT * _half_turn(gradient) + COLOUR_EXPONENT * _half_turn(colour)


def _half_turn(loss: Tensor) -> Tensor:
    """The angle of 1 - loss: pi, in the loss's own precision, where that is negative."""
    return (loss > 1).to(loss) * math.pi


def _value(x: Tensor, y: Tensor, *, data_range: float, combination: Combination) -> Tensor:
    size, angle = _combined(*_losses(x, y, data_range=data_range), combination)
    beyond = torch.expm1(EXPONENT * size)  # the power's size less 1, exact next to 1
    cosine, sine = (EXPONENT * angle).cos(), (EXPONENT * angle).sin()
    real, imaginary = beyond * cosine + (cosine - 1), (beyond + 1) * sine
    places = (1, 2, 3)
    squares = (real - real.mean(places, keepdim=True)).square()
    squares = squares + (imaginary - imaginary.mean(places, keepdim=True)).square()
    return positive_power(positive_power(squares, 0.5).mean(places), EXPONENT)


def _value_and_slopes(seen: Tensor, wanted: Wanted, *, data_range: float) -> tuple[Tensor, Slopes]:
    r"""Of the sum, with z = (1 - loss)^(1/4), D the mean of |z - mean z| and u = (z - mean z) / |z - mean z|:

        d D^(1/4) / d D = D^(1/4) / (4 D)
        d D / d z_i = (u_i - mean u) / N
        d |1 - loss|^(1/4) / d loss = -|1 - loss|^(1/4) / (4 (1 - loss))

    and z = |1 - loss|^(1/4) where loss < 1, (1 + i) / sqrt(2) times that elsewhere. The loss is 0.6 that of edges,
    l(x, y) + l(x, f) - l(y, f), whose f = (x + y) / 2 has half of its slope from each image, and 0.4 that of colours.
    """
    unit = (data_range / 255) ** 2
    across, down = gradient_components(seen[:, :, :1], "prewitt")
    ours, target = sizes = magnitudes(across, down)
    middle = (across[0] + across[1]).mul_(0.5), (down[0] + down[1]).mul_(0.5)
    fused = magnitudes(*middle)
    pair = losses(ours, target, CONSTANT * unit)
    with_ours, with_target = (losses(z, fused, FUSED_CONSTANT * unit) for z in (ours, target))
    gap = seen[0, :, 1:] - seen[1, :, 1:]
    total = (seen[:, :, 1:] * seen[:, :, 1:]).sum((0, 2)).add_(COLOUR_CONSTANT * unit).unsqueeze_(1)
    colour = (gap * gap).sum(1, keepdim=True).div_(total)
    loss = (pair.loss + with_ours.loss).sub_(with_target.loss).mul_(GRADIENT_SHARE)
    loss.add_(colour, alpha=1 - GRADIENT_SHARE)
    value, by_loss = _pooled(loss, any(wanted))
    if by_loss is None:
        return value, (None, None)
    by_edges = by_loss * GRADIENT_SHARE
    by_sizes = loss_slopes(pair, by_edges, wanted)
    by_ours = loss_slopes(with_ours, by_edges, (wanted[0], True))
    by_target = loss_slopes(with_target, by_edges.neg_(), (wanted[1], True))
    assert by_ours[1] is not None and by_target[1] is not None
    both = per_size(fused, by_ours[1].add_(by_target[1])).mul_(0.5)
    by_colour = by_loss.mul_(2 * (1 - GRADIENT_SHARE)).div_(total)
    found: list[Tensor | None] = [None, None]
    for k, (first, second, sign) in enumerate(
        ((by_sizes[0], by_ours[0], 1.0), (by_sizes[1], by_target[0], -1.0))
    ):
        if first is None or second is None:
            continue
        own = per_size(sizes[k], first.add_(second))
        found[k] = slope = torch.empty_like(seen[k])
        slope[:, :1] = gradient_spread(
            (across[k] * own).add_(middle[0] * both), (down[k] * own).add_(middle[1] * both), "prewitt"
        )
        torch.mul(gap, sign, out=slope[:, 1:]).addcmul_(seen[k, :, 1:], colour, value=-1).mul_(by_colour)
    return value, (found[0], found[1])


def _pooled(loss: Tensor, wanted: bool) -> tuple[Tensor, Tensor | None]:
    """The value, and its slope by the loss."""
    places = (1, 2, 3)
    rest = 1 - loss
    size = rest.abs().clamp_min_(NEXT_TO_ZERO)
    root = size.sqrt()
    fourth = root.sqrt()
    # (1 - loss)^(1/4) - 1, exact next to 1: 1 - s = (1 - s^(1/4)) (1 + s^(1/4)) (1 + s^(1/2))
    real = loss.neg().div_(root.add_(1)).div_(fourth + 1)
    negative = loss > 1
    turned = bool(negative.any())
    if turned:
        real = torch.where(negative, fourth * math.sqrt(0.5) - 1, real)
        imaginary = torch.where(negative, fourth * math.sqrt(0.5), 0.0)
        imaginary -= imaginary.mean(places, keepdim=True)
    real -= real.mean(places, keepdim=True)
    away = positive_power((real * real).add_(imaginary * imaginary), 0.5) if turned else real.abs()
    deviation = away.mean(places)
    value = positive_power(deviation, EXPONENT)
    if not wanted:
        return value, None
    factor = torch.where(value > 0, EXPONENT * value / deviation, 0.0) / loss[0].numel()
    factor = (EXPONENT * factor)[:, None, None, None]
    # -|1 - loss|^(1/4) / (1 - loss), and 0 next to a loss of 1
    slope = fourth.div_(size).mul_(torch.gt(size, NEXT_TO_ZERO, out=size)).neg_()
    if turned:
        inverse = torch.where(away > 0, 1 / away, 0.0)
        real.mul_(inverse), imaginary.mul_(inverse)
        real -= real.mean(places, keepdim=True)
        imaginary -= imaginary.mean(places, keepdim=True)
        real = torch.where(negative, (real + imaginary).mul_(-math.sqrt(0.5)), real)
    else:
        real = functional.hardshrink(real, FLAT**0.5).sign_()
        real -= real.mean(places, keepdim=True)
    return value, real.mul_(slope).mul_(factor)


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
    data_range = positive_range(data_range)
    plain = partial(_value, data_range=data_range, combination=combination)
    if combination == "mult":
        return each_pair(plain, x, y)
    if x.shape[1] == 1:
        x, y = x.expand(-1, 3, -1, -1), y.expand(-1, 3, -1, -1)
    compare = partial(_value_and_slopes, data_range=data_range)
    return each_seen_pair(compare, plain, Sight(LHM, factor_to_256(x)), x, y)
