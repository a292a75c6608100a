"""Information-weighted structural similarity: the multi-scale index where there is something to see."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ...scale.separable import gaussian_taps, windowed
from ..colour import grey_or_rgb, luma
from ..data_range import positive_range
from .laplacian_pyramid import split
from .local_information import local_information

TAPS = gaussian_taps(11, 1.5)
# of the finest to the coarsest scale: Wang, Simoncelli and Bovik 2003; of sum 1 after division
EXPONENTS = tuple(w / 1.0001 for w in (0.0448, 0.2856, 0.3001, 0.2363, 0.1333))
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
SMALLEST = 161  # pixels a side: the window fits at the coarsest scale
NOTHING = 1e-10  # bits that every place has: where none has any, all count alike


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    y = torch.rand(n, 1, 161, 164, dtype=torch.float64, generator=generator)
    return 0.7 * y + 0.3 * torch.rand(y.shape, dtype=torch.float64, generator=generator), y


@pair_measure(
    domain="images",
    best="max",
    lower=0.0,
    upper=1.0,
    laws=[value_on_equal(1.0)],
    draw=_draw,
    reference="Wang and Li 2011, IEEE TIP 20(5)",
)
def iw_ssim(x: Tensor, y: Tensor, *, data_range: float = 1.0) -> Tensor:
    r"""Information-content-weighted structural similarity (IW-SSIM), for each pair.

    $$ \prod_{j=1}^{5} \Big( \frac{\sum_i w_{ji}\, c_{ji}}{\sum_i w_{ji}} \Big)^{\beta_j} $$

    over the bands of a Laplacian pyramid: at scale j < 5, c is the contrast-structure term of `ssim` under a Gaussian
    window of 11 x 11 pixels and deviation 1.5 on values of 0 to 255, and w the bits that an eye with noise of variance
    0.4 learns at the place from both images, from its 3 x 3 neighbourhood in the band and its parent in the next one
    (the fourth band has none), under a Gaussian scale mixture. At the coarsest scale c is the whole of `ssim` and w is
    1. A mean below zero counts as zero, where its gradient is zero too: a negative number has no fractional power.

    Args:
        x: (B, 1 or 3, H, W) restored or distorted images, grey or RGB, of which the brightness
            0.299 R + 0.587 G + 0.114 B is taken.
        y: the targets. The weights' model is the target's: the measure is not symmetric.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.

    Returns:
        (B,) in [0, 1]; 1 for equal images; higher is better.

    Raises:
        UsageError: images smaller than 161 x 161, other than 1 or 3 channels, a data range that is not above zero.

    Complexity: O(B H W), an order of magnitude more than `ssim`: ten logarithms a pixel; the memory of a few pairs.

    FAQ:
        *Which package has the same value?* piq's `information_weighted_ssim`, wherever the five means are not
        negative: piq takes their absolute values, so that an image's negative scores like the image. The authors'
        MATLAB code takes the power of the negative number, which is complex.

        *Where does piq depart from the authors' code?* In that, and in two borders: it lets images of 161 pixels a side
        pass where the authors ask for 176, and at the last row or column of a band of odd length interpolates as if
        the band were one longer. Both are followed here. The threshold below which a variance is none is the
        authors' 1e-15; in piq it is the precision of the input's dtype, and in single precision its values move by up
        to 1e-4 on photographs with flat places. Here the pyramid is built in double precision for every dtype, for a
        band beside what is clipped lies below single precision's rounding of the image.

        *The gradient by the target?* Steep where the target is all but flat: the weights change there with values far
        below a grey level. That by the image is not.

        *A flat target?* Its bands have no covariance to invert: piq raises or returns NaN. Here the weights are those
        of the image alone, and equal everywhere where both are flat: the value is then the luminance term's.

        *The gradient on equal, flat or black images?* Finite. Flat windows have no slope; two equal images have slope
        0, for 1 is the maximum.
    """
    if min(x.shape[-2:]) < SMALLEST:
        raise UsageError(
            f"x: expected images of at least {SMALLEST} x {SMALLEST} pixels, five scales, got {x.shape[-2]} x "
            f"{x.shape[-1]}; use ssim, or ms_ssim with fewer exponents"
        )
    grey_or_rgb(x)
    return each_pair(partial(_iw_ssim, scale=255.0 / positive_range(data_range)), x, y)


def _iw_ssim(x: Tensor, y: Tensor, *, scale: float) -> Tensor:
    # in double precision: beside flat places a band fades below the rounding of the image in single precision
    fine = torch.stack([luma(z.to(torch.float64))[:, 0] for z in (x, y)]) * scale
    bands: list[Tensor] = []
    for _ in EXPONENTS[1:]:
        fine, band = split(fine)
        bands.append(band.to(x.dtype))
    product = _power(_similarity(fine.to(x.dtype), coarsest=True).mean((1, 2)), EXPONENTS[-1])
    for level, (band, exponent) in enumerate(zip(bands, EXPONENTS[:-1], strict=True)):
        parent = bands[level + 1][1] if level < len(bands) - 1 else None
        margin = (len(TAPS) - 1) // 2 - 1
        bits = local_information(band[0], band[1], parent)[:, margin:-margin, margin:-margin] + NOTHING
        mean = (bits * _similarity(band, coarsest=False)).sum((1, 2)) / bits.sum((1, 2))
        product = product * _power(mean, exponent)
    # rounding may take images that are all but equal beyond 1
    return product.clamp_max(1.0)


def _similarity(pair: Tensor, *, coarsest: bool) -> Tensor:
    # variances do not change with the mean, but their rounding does
    centre = pair.mean((2, 3), keepdim=True).detach()
    x, y = pair - centre
    mean_x, mean_y, square_x, square_y, product = windowed(torch.stack([x, y, x * x, y * y, x * y]), TAPS)
    var_x, var_y = (square_x - mean_x * mean_x).relu(), (square_y - mean_y * mean_y).relu()
    contrast: Tensor = (2 * (product - mean_x * mean_y) + C2) / (var_x + var_y + C2)
    if not coarsest:
        return contrast
    mean_x, mean_y = mean_x + centre[0], mean_y + centre[1]
    luminance: Tensor = (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
    return contrast * luminance


def _power(mean: Tensor, exponent: float) -> Tensor:
    """mean ^ exponent, 0 with gradient 0 where the mean is not above zero: its slope there is infinite."""
    above = mean > 0
    return torch.where(above, torch.where(above, mean, 1.0).pow(exponent), 0.0)
