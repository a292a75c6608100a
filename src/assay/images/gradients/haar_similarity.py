"""HaarPSI: do the coefficients of a Haar wavelet agree?"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..colour import YIQ_THREE_DIGITS, grey_or_rgb, in_colours
from ..data_range import positive_range
from ..option_values import true_or_false
from .haar_coefficients import LARGEST, haar_coefficients, haar_spread
from .seen_pairs import Sight, Slopes, Wanted, each_seen_pair
from .shrink import at_least, both, halves, shrunk
from .similarity import Losses, dissimilarity, every_place, loss_slopes, losses, weighted_mean

# C on the range 0 to 255, and alpha: Reisenhofer et al. 2018, section 3
CONSTANT, STEEPNESS = 30.0, 4.2

EVERYWHERE = 1e-6  # on the range 0 to 255

# sigmoid(-alpha) and sigmoid(alpha): what the curve lacks of 1 and what it has where nothing is lost
LEAST = 1 / (1 + math.exp(STEEPNESS))
MOST = 1 - LEAST

# times the range and the resolution of a number: the colours of grey pixels are rounding, whose sign means nothing
GREY = 2


def _terms(x: Tensor, y: Tensor, *, data_range: float, subsample: bool) -> tuple[Tensor, Tensor]:
    """What local similarities lack of 1, and their weights, (B, 2 or, with colour, 3, H', W') each."""
    constant = CONSTANT * (data_range / 255) ** 2
    seen = (
        both(x, y)
        if x.shape[1] == 1
        else both(in_colours(x, YIQ_THREE_DIGITS), in_colours(y, YIQ_THREE_DIGITS))
    )
    if subsample:
        seen = shrunk(seen, 2)
    lost, weights = [], []
    for scales in haar_coefficients(seen[:, :1]):
        fine, middle, coarse = (halves(c.abs()) for c in scales)
        lost.append((dissimilarity(*fine, constant) + dissimilarity(*middle, constant)) / 2)
        weights.append(torch.maximum(*coarse))
    if x.shape[1] == 3:
        means = _coloured(colour_means(seen[:, 1:]), data_range).abs()
        lost.append(dissimilarity(*halves(means), constant).mean(1, keepdim=True))
        weights.append((weights[0] + weights[1]) / 2)
    return torch.cat(lost, 1), torch.cat(weights, 1)


def _coloured(means: Tensor, data_range: float) -> Tensor:
    """The colours' means, and 0 where there is only grey."""
    return functional.hardshrink(means, GREY * torch.finfo(means.dtype).eps * data_range)


def colour_means(colours: Tensor) -> Tensor:
    """Means over 2 x 2 pixels from each pixel on, zeros outside."""
    padded = functional.pad(colours, (0, 1, 0, 1))
    rows = padded[..., :-1, :] + padded[..., 1:, :]
    return (rows[..., :-1] + rows[..., 1:]) / 4


def colour_spread(slopes: Tensor) -> Tensor:
    """The transpose of `colour_means`."""
    padded = functional.pad(slopes, (1, 0, 1, 0))
    rows = padded[..., :-1, :] + padded[..., 1:, :]
    return (rows[..., :-1] + rows[..., 1:]) / 4


def _value(x: Tensor, y: Tensor, *, data_range: float, subsample: bool) -> Tensor:
    lost, weights = _terms(x, y, data_range=data_range, subsample=subsample)
    return _root(weighted_mean(_short(lost), weights, EVERYWHERE * data_range / 255)).square()


def _short(loss: Tensor) -> Tensor:
    """sigmoid(alpha) - sigmoid(alpha (1 - loss)), without the rounding of two numbers next to 1."""
    grown = torch.expm1(STEEPNESS * loss) * LEAST
    return grown * MOST / (grown + 1)


def _root(short: Tensor) -> Tensor:
    """logit(sigmoid(alpha) - short) / alpha, at most 1, and exactly 1 where nothing is short."""
    return 1 - (torch.log1p(short / LEAST) - torch.log1p(-short / MOST)) / STEEPNESS


def _value_and_slopes(seen: Tensor, wanted: Wanted, *, data_range: float) -> tuple[Tensor, Slopes]:
    r"""With l = logit(M) / alpha, M = sum sigma_i w_i / sum w_i, sigma = sigmoid(alpha s):

        d l^2 / d M = 2 l / (alpha M (1 - M))
        d M / d s_i = alpha sigma_i (1 - sigma_i) w_i / sum w
        d M / d w_i = (sigma_i - M) / sum w

    where what sigma and M lack of sigmoid(alpha) takes their place: the images may be nearly equal, and differences of
    numbers next to 1 are rounding. s, the mean of two similarities, is 1 less the mean of two losses; w is the larger
    of two sizes, both half where they are equal; and a size has the slope of its coefficient's sign.
    """
    constant, everywhere = CONSTANT * (data_range / 255) ** 2, EVERYWHERE * data_range / 255
    coefficients = haar_coefficients(seen[:, :, :1])
    terms: list[list[Losses]] = []
    pooled, weights = [], []
    for scales in coefficients:
        fine, middle, coarse = (c.abs() for c in scales)
        terms.append([losses(z[0], z[1], constant) for z in (fine, middle)])
        pooled.append(terms[-1][0].loss + terms[-1][1].loss)
        weights.append(torch.maximum(coarse[0], coarse[1]))
    means = _coloured(colour_means(seen[:, :, 1:]), data_range) if seen.shape[2] == 3 else None
    if means is not None:
        sizes = means.abs()
        colours = losses(sizes[0], sizes[1], constant)
        pooled.append(colours.loss.sum(1, keepdim=True))
        weights.append((weights[0] + weights[1]).mul_(0.5))
    value, by_loss, by_weight = _pooled(
        torch.cat(pooled, 1), torch.cat(weights, 1).add_(everywhere), any(wanted)
    )
    if by_loss is None or by_weight is None:
        return value, (None, None)
    if means is not None:
        by_weight = by_weight[:, :2].add_(by_weight[:, 2:], alpha=0.5)
    edges = [
        _edge_slopes(scales, pair, by_loss[:, k : k + 1], by_weight[:, k : k + 1], wanted)
        for k, (scales, pair) in enumerate(zip(coefficients, terms, strict=True))
    ]
    by_colours = loss_slopes(colours, by_loss[:, 2:], wanted) if means is not None else (None, None)
    found: list[Tensor | None] = [None, None]
    for k in (k for k in range(2) if wanted[k]):
        whole = haar_spread([slopes[k] for slopes in edges])
        own = by_colours[k]
        if means is not None and own is not None:
            whole = torch.cat((whole, colour_spread(own.mul_(means[k].sign()))), 1)
        found[k] = whole
    return value, (found[0], found[1])


def _pooled(loss: Tensor, weights: Tensor, wanted: bool) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The value, and its slopes by two losses' sum (b, k, h, w) and by the weights."""
    grown = loss.mul_(STEEPNESS / 2).expm1_().mul_(LEAST)
    short = (grown * MOST).div_(grown.add_(1))
    amount = weights.sum((1, 2, 3))
    mean = (short * weights).sum((1, 2, 3)) / amount
    root = _root(mean)
    if not wanted:
        return root.square(), None, None
    scale = 2 * root / (STEEPNESS * (MOST - mean) * (LEAST + mean) * amount)
    by_loss = ((MOST - short) * weights).mul_(short + LEAST).mul_(every_place(-STEEPNESS / 2 * scale))
    return root.square(), by_loss, short.sub_(every_place(mean)).mul_(every_place(-scale))


def _edge_slopes(
    scales: list[Tensor], pair: list[Losses], by_loss: Tensor, by_weight: Tensor, wanted: Wanted
) -> list[list[Tensor]]:
    """Slopes by the three coefficients of edges along an axis, of the images and of the targets where wanted."""
    fine, middle = (loss_slopes(terms, by_loss, wanted) for terms in pair)
    coarse = scales[2].abs()
    larger = (coarse[0] - coarse[1]).sign_()
    found: list[list[Tensor]] = []
    for k, sign in enumerate((0.5, -0.5)):
        share = (larger * sign).add_(0.5).mul_(by_weight)
        parts = (fine[k], middle[k], share)
        found.append([p.mul_(c[k].sign()) for p, c in zip(parts, scales, strict=True) if p is not None])
    return found


def _fits(x: Tensor, subsample: bool) -> None:
    true_or_false(subsample, "subsample")
    grey_or_rgb(x)
    at_least(
        x, LARGEST * (2 if subsample else 1), f"filters of {LARGEST} pixels{' after halving' * subsample}"
    )


def _map(x: Tensor, y: Tensor, *, data_range: float, subsample: bool) -> Tensor:
    _fits(x, subsample)
    lost, weights = _terms(x, y, data_range=positive_range(data_range), subsample=subsample)
    weights = weights + EVERYWHERE * data_range / 255
    return 1 - (lost * weights).sum(1) / weights.sum(1)


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
        *The gradient?* Sizes of coefficients have a kink at 0, where the slope counts as 0, as it does for the colours
        of grey pixels, black and white ones among them. The larger of two equal sizes is half of each. In single
        precision a coefficient next to 0 may be taken for one of the other sign: a few of 100,000 are, which moves the
        gradient by up to some thousandths of its length.
    """
    _fits(x, subsample)
    data_range = positive_range(data_range)
    return each_seen_pair(
        partial(_value_and_slopes, data_range=data_range),
        partial(_value, data_range=data_range, subsample=subsample),
        Sight(YIQ_THREE_DIGITS if x.shape[1] == 3 else None, 2 if subsample else 1),
        x,
        y,
    )
