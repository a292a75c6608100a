"""HaarPSI: do the coefficients of a Haar wavelet agree?"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ..colour import YIQ_THREE_DIGITS, grey_or_rgb, in_colours
from ..data_range import positive_range
from ..option_values import true_or_false
from .shrink import at_least, both, halves, shrunk
from .similarity import similarity, weighted_mean

# C on the range 0 to 255, and alpha: Reisenhofer et al. 2018, section 3
CONSTANT, STEEPNESS = 30.0, 4.2

LARGEST = 8  # pixels of the third scale's filter
EVERYWHERE = 1e-6  # on the range 0 to 255


def _terms(x: Tensor, y: Tensor, *, data_range: float, subsample: bool) -> tuple[Tensor, Tensor]:
    """Local similarities and their weights, (B, 2 or, with colour, 3, H', W') each."""
    constant = CONSTANT * (data_range / 255) ** 2
    seen = (
        both(x, y)
        if x.shape[1] == 1
        else both(in_colours(x, YIQ_THREE_DIGITS), in_colours(y, YIQ_THREE_DIGITS))
    )
    if subsample:
        seen = shrunk(seen, 2)
    local, weights = [], []
    for fine, middle, coarse in _coefficients(seen[:, :1]):
        alike = similarity(*halves(fine), constant) + similarity(*halves(middle), constant)
        local.append(alike / 2)
        weights.append(torch.maximum(*halves(coarse)))
    if x.shape[1] == 3:
        means = _boxes(_boxes(functional.pad(seen[:, 1:], (0, 1, 0, 1)), 2, -1), 2, -2).abs() / 4
        local.append(similarity(*halves(means), constant).mean(1, keepdim=True))
        weights.append((weights[0] + weights[1]) / 2)
    return torch.cat(local, 1), torch.cat(weights, 1)


def _coefficients(bright: Tensor) -> list[tuple[Tensor, ...]]:
    """Sizes of the Haar coefficients of 2, 4 and 8 pixels, first of edges across the height, then across the width.

    A filter of K x K pixels is 1 / K times the sum of one half less that of the other, from K / 2 - 1 pixels before.
    """
    padded = functional.pad(bright, (3, 4, 3, 4))
    found = []
    for axis, other in ((-2, -1), (-1, -2)):
        scales = []
        for size in (2, 4, LARGEST):
            start = 4 - size // 2
            kept = padded.narrow(other, start, bright.shape[other] + size - 1)
            kept = kept.narrow(axis, start, bright.shape[axis] + size - 1)
            halves = _boxes(_boxes(kept, size, other), size // 2, axis)
            count = bright.shape[axis]
            difference = halves.narrow(axis, size // 2, count) - halves.narrow(axis, 0, count)
            scales.append(difference.abs() / size)
        found.append(tuple(scales))
    return found


def _boxes(z: Tensor, size: int, axis: int) -> Tensor:
    """Sums of `size` neighbours, a power of 2, along an axis, by doubling."""
    reach = 1
    while reach < size:
        count = z.shape[axis] - reach
        z = z.narrow(axis, 0, count) + z.narrow(axis, reach, count)
        reach *= 2
    return z


def _value(x: Tensor, y: Tensor, *, data_range: float, subsample: bool) -> Tensor:
    local, weights = _terms(x, y, data_range=data_range, subsample=subsample)
    mean = weighted_mean(torch.sigmoid(STEEPNESS * local), weights, EVERYWHERE * data_range / 255)
    # rounding may take the logit of equal images beyond alpha
    return (torch.logit(mean) / STEEPNESS).clamp_max(1.0).square()


def _fits(x: Tensor, subsample: bool) -> None:
    true_or_false(subsample, "subsample")
    grey_or_rgb(x)
    at_least(
        x, LARGEST * (2 if subsample else 1), f"filters of {LARGEST} pixels{' after halving' * subsample}"
    )


def _map(x: Tensor, y: Tensor, *, data_range: float, subsample: bool) -> Tensor:
    _fits(x, subsample)
    local, weights = _terms(x, y, data_range=positive_range(data_range), subsample=subsample)
    weights = weights + EVERYWHERE * data_range / 255
    return (local * weights).sum(1) / weights.sum(1)


@pair_measure(
    domain="images",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0)],
    map=_map,
    exceptions={
        "gradient_is_right": "magnitudes of wavelet coefficients have kinks, some of which lie within the law's steps; "
        "steps of 1e-8 cross few"
    },
    reference="Reisenhofer, Bosse, Kutyniok and Wiegand 2018, SPIC 61, arXiv:1607.06140",
)
def haarpsi(x: Tensor, y: Tensor, *, data_range: float = 1.0, subsample: bool = True) -> Tensor:
    r"""Haar wavelet-based perceptual similarity index, for each pair.

    $$ \mathrm{HaarPSI} = \left( l_\alpha^{-1}\!\left(
       \frac{\sum_k \sum_i l_\alpha(S_k(i))\,W_k(i)}{\sum_k \sum_i W_k(i)} \right) \right)^2, \qquad
       l_\alpha(s) = \frac{1}{1 + e^{-\alpha s}}, \qquad \alpha = 4.2 $$

    Over edges along either axis k: S is the mean over filters of 2 and of 4 pixels of (2ab + C) / (a^2 + b^2 + C), with
    a, b the sizes of both images' Haar coefficients of the brightness and C = 30 on a range of 255; W the larger size
    for the filter of 8 pixels. RGB images have a third S, the mean similarity of I and Q averaged over 2 x 2 pixels,
    with the mean of the other weights.

    Args:
        x: (B, C, H, W) images, grey or RGB.
        y: (B, C, H, W) targets.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.
        subsample: average 2 x 2 pixels and halve the size before, as for an image seen from some distance.

    Returns:
        (B,) in [0, 1]; 1 for equal images, higher is better. `.map` gives the weighted mean of S over k,
        (B, ceil(H / 2), ceil(W / 2)), or (B, H, W) without subsampling.

    Raises:
        UsageError: other than one or three channels, sides below 16 pixels (8 without subsampling), a data range that
            is not above zero.

    Complexity: O(B C H W) time and, beyond images and gradients, the memory of a few pairs.

    FAQ:
        *Black images?* They have no weights: every place then counts alike, and two of them have 1, with gradient 0.
        The authors' program divides 0 by 0; piq gives infinity.
        *piq's digits?* Its YIQ has four digits, the authors' and this one three: up to 1e-3 apart.
    """
    _fits(x, subsample)
    return each_pair(partial(_value, data_range=positive_range(data_range), subsample=subsample), x, y)
