"""Structural similarity over several scales."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..data_range import positive_range
from ..option_values import is_number
from .local_similarity import mean_similarity
from .ssim_conventions import (
    SCALES,
    MsSsimConvention,
    Scales,
    refuse_unknown_convention,
    window_of,
)

# of the finest to the coarsest scale: Wang, Simoncelli and Bovik 2003, section 3.3
SCALE_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SIDE = 176  # of the images that laws are tried on: five scales need 161


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    first = torch.rand(n, 1, SIDE, SIDE, dtype=torch.float64, generator=generator)
    return first, 0.7 * first + 0.3 * torch.rand(first.shape, dtype=torch.float64, generator=generator)


@pair_measure(
    domain="images",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0)],
    draw=_draw,
    reference="Wang, Simoncelli and Bovik 2003, Asilomar; as an objective: Ridgeway et al. 2015, arXiv:1511.06409",
)
def ms_ssim(
    x: Tensor,
    y: Tensor,
    *,
    data_range: float = 1.0,
    exponents: tuple[float, ...] = SCALE_EXPONENTS,
    convention: MsSsimConvention = "wang2003",
) -> Tensor:
    r"""Structural similarity over several scales, for each pair.

    $$ \mathrm{MS\text{-}SSIM} = \overline{l\,cs}_M^{\,w_M} \prod_{j=1}^{M-1} \overline{cs}_j^{\,w_j} $$

    with l and cs the luminance and the contrast-structure term of `ssim`, means over the windows of scale j, and
    averages of 2 x 2 pixels between scales. A mean below zero counts as zero, where its gradient is zero too: a
    negative number has no fractional power.

    Args:
        x: (B, C, H, W) images, any number of channels, in [0, data_range].
        y: (B, C, H, W) targets.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.
        exponents: w, one a scale, the finest first.
        convention: how scales are made and put together.

            - "wang2003", the default: windows that fit, the product within each channel, then the mean over channels;
              of an odd side the last row or column is left out, as by the authors' first program;
            - "tensorflow": the same, the last row or column of an odd side repeated, as by the authors' later program
              (0.002 apart on a photograph of 181 x 199 pixels);
            - "pytorch-msssim": the same, an odd side averaged with zeros beyond its ends, which darkens the border and
              moves the third digit;
            - "piq": the same, the first row and column repeated where a side is odd;
            - "torchmetrics": means over channels before the product; the coarsest scale mirrored at its border.

    Returns:
        (B,) in [0, 1]; 1 for equal images; higher is better.

    Raises:
        UsageError: images that are smaller than the window at the coarsest scale: five scales need 176 pixels a side,
            or 161 where odd sides are filled; no exponents, or negative ones; an unknown convention.

    Complexity: 4/3 of `ssim`.

    FAQ:
        *Which size is enough?* Halved four times, a side must still hold the window's 11 pixels.

        *Nothing in common?* A pair that is anticorrelated at some scale scores 0 and gives no gradient: start such
        training with another objective beside it (`assay.total`).
    """
    known = isinstance(exponents, (tuple, list)) and all(
        is_number(w) and 0 <= w < math.inf for w in exponents
    )
    if not known or not exponents:
        raise UsageError(
            f"exponents: expected a tuple of numbers of at least 0, one a scale, got {exponents!r}"
        )
    refuse_unknown_convention(convention, SCALES)
    scales = SCALES[convention]
    span = positive_range(data_range)
    window = window_of("wang2004", *x.shape[-2:])
    _enough(x.shape[-2], x.shape[-1], len(window.taps), len(exponents), scales)
    product: Tensor | None = None
    for level, exponent in enumerate(exponents):
        last = level == len(exponents) - 1
        if level:
            x, y = scales.halved(x), scales.halved(y)
        if last and scales.mirrored_last:
            window = window_of("torchmetrics", *x.shape[-2:])
        mean = mean_similarity(x, y, window, span, luminance=last)
        factor = _power(mean.mean(1) if scales.together else mean, exponent)
        product = factor if product is None else product * factor
    assert product is not None
    return product.mean(1) if product.ndim == 2 else product


def _enough(height: int, width: int, taps: int, count: int, scales: Scales) -> None:
    """Refuse images whose coarsest scale has no room for the window."""
    if min(_coarsest(height, width, count, scales)) < taps:
        need = taps
        while min(_coarsest(need, need, count, scales)) < taps:
            need += 1
        raise UsageError(
            f"x: images of {height} x {width} are too small for {count} scales, which need {need} pixels a side; give "
            "fewer exponents, or use ssim"
        )


def _coarsest(height: int, width: int, count: int, scales: Scales) -> tuple[int, int]:
    """Sides of the last of `count` scales."""
    for _ in range(count - 1):
        height, width = scales.sides(height, width)
    return height, width


def _power(mean: Tensor, exponent: float) -> Tensor:
    """mean ^ exponent, 0 with gradient 0 where the mean is not above zero: its slope there is infinite."""
    above = mean > 0
    return torch.where(above, torch.where(above, mean, 1.0) ** exponent, 0.0)
