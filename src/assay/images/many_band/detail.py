"""Is the fine detail of two images in the same places?"""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ...pair_laws import map_means_value, symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ...scale.separable import uniform_taps, windowed
from ..pixel.correlation import ROUNDINGS, standardised

SccConvention = Literal["zhou1998", "torchmetrics"]

WINDOW = 8


def laplacian(x: Tensor) -> Tensor:
    """8 times a pixel less its eight neighbours, exactly 0 on constants: (..., H, W) -> (..., H - 2, W - 2)."""
    middle = x[..., 1:-1, 1:-1]
    height, width = middle.shape[-2:]
    total = torch.zeros_like(middle)
    for down, across in ((0, 0), (0, 1), (0, 2), (1, 0)):
        before = x[..., down : down + height, across : across + width]
        after = x[..., 2 - down : 2 - down + height, 2 - across : 2 - across + width]
        total = total + ((middle - before) - (after - middle))
    return total


def _correlations(x: Tensor, y: Tensor, convention: str) -> Tensor:
    """What the value is the mean of, (B, C, H', W')."""
    if convention not in get_args(SccConvention):
        raise UsageError(f'convention: expected "zhou1998" or "torchmetrics", got {convention!r}')
    need = 3 if convention == "zhou1998" else WINDOW
    if min(x.shape[-2:]) < need:
        raise UsageError(
            f"x: images of {x.shape[-2]} x {x.shape[-1]} are too small for the filter and window, which need {need} "
            "pixels a side"
        )
    powers = [z.detach().square().mean((2, 3), keepdim=True) for z in (x, y)]
    if convention == "zhou1998":
        own = [standardised(laplacian(z), p, (2, 3)) for z, p in zip((x, y), powers, strict=True)]
        return own[0] * own[1]
    return _windowed_correlation(x, y, powers)


def _windowed_correlation(x: Tensor, y: Tensor, powers: list[Tensor]) -> Tensor:
    detail = [laplacian(functional.pad(z, (1, 1, 1, 1), mode="replicate")) for z in (x, y)]
    maps = torch.stack([*detail, detail[0].square(), detail[1].square(), detail[0] * detail[1]])
    before, after = WINDOW // 2, WINDOW - 1 - WINDOW // 2
    moments = windowed(functional.pad(maps, (before, after, before, after)), uniform_taps(WINDOW))
    mean_x, mean_y, square_x, square_y, product = moments
    rounding = ROUNDINGS * torch.finfo(x.dtype).eps
    scales, seen = [], []
    for mean, square, power in ((mean_x, square_x, powers[0]), (mean_y, square_y, powers[1])):
        variance = square - mean.square()
        varies = variance > rounding * square + rounding**2 * power
        scales.append(torch.where(varies, variance, 1.0).rsqrt())
        seen.append(varies)
    correlation = (product - mean_x * mean_y) * scales[0] * scales[1]
    return torch.where(seen[0] & seen[1], correlation, 0.0).clamp(-1.0, 1.0)


def _scc_map(x: Tensor, y: Tensor, *, convention: SccConvention) -> Tensor:
    return _correlations(x, y, convention).mean(1)


@pair_measure(
    domain="images",
    best="max",
    lower=-1.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0), map_means_value],
    map=_scc_map,
    reference="Zhou, Civco and Silander 1998, International Journal of Remote Sensing 19(4)",
)
def scc(x: Tensor, y: Tensor, *, convention: SccConvention = "zhou1998") -> Tensor:
    r"""Spatial correlation coefficient: the correlation of two images' fine detail, the mean over bands, for each pair.

    $$ \frac{1}{C} \sum_{c} \rho(\Delta x_c, \Delta y_c), \qquad
       \Delta = \begin{pmatrix} -1 & -1 & -1 \\ -1 & 8 & -1 \\ -1 & -1 & -1 \end{pmatrix} $$

    with rho Pearson's correlation over the places of a band.

    Args:
        x: (B, C, H, W) images, any number of bands, in any units.
        y: (B, C, H, W) targets, or the panchromatic image repeated for every band.
        convention: over which places. "zhou1998", the default: one correlation a band, over all pixels with eight
            neighbours. "torchmetrics", also sewar's: one within each window of 8 x 8 pixels, then the mean; images
            are mirrored for the filter, and the filtered ones continued with zeros for the window.

    Returns:
        (B,) in [-1, 1]; 1 for equal images; higher is better. A band, or window, without detail above rounding
        correlates with nothing: 0, with gradient 0, so that a flat image has 0 with itself. `scc.map` gives
        (B, H - 2, W - 2), the products of standardised detail, or (B, H, W), a value a window; its mean is the value.

    Raises:
        UsageError: images smaller than the filter or the window; an unknown convention.

    Complexity: O(B C H W) time and, beyond images and gradients, the memory of one pair.

    FAQ:
        *Which one do papers mean?* Those that cite Zhou, the first. With windows a smooth lake weighs as much as a
        town. The pansharpening toolboxes in MATLAB have a third: lengths of Sobel gradients instead of the Laplacian,
        and a cosine instead of a correlation, which is 0.8 for unrelated noise because lengths are positive; values
        are not comparable.
    """
    return each_pair(partial(_scc_of_pairs, convention=convention), x, y)


def _scc_of_pairs(x: Tensor, y: Tensor, convention: str) -> Tensor:
    return _correlations(x, y, convention).mean((1, 2, 3)).clamp(-1.0, 1.0)
