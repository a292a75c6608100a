"""Visual information fidelity: how much of what an eye could learn from the target does the image still tell?"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ...scale.separable import gaussian_taps, windowed
from ..colour import luma
from ..data_range import positive_range

# of the finest to the coarsest scale: 2^(5 - s) + 1 taps, of a fifth as deviation
WINDOWS = tuple(gaussian_taps(size, size / 5) for size in (17, 9, 5, 3))
SMALLEST = 41  # pixels a side: the coarsest window fits once
NOISE = 2.0  # variance of the noise in the eye, on the scale of 255
FLAT = 1e-8  # variances below it are none


def _draw(n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    y = torch.rand(n, 3, 42, 45, dtype=torch.float64, generator=generator)
    return 0.7 * y + 0.3 * torch.rand(y.shape, dtype=torch.float64, generator=generator), y


@pair_measure(
    domain="images",
    best="max",
    lower=0.0,
    laws=[value_on_equal(1.0)],
    draw=_draw,
    reference="Sheikh and Bovik 2006, IEEE TIP 15(2); the authors' form in the pixel domain (VIFp)",
)
def vif(
    x: Tensor, y: Tensor, *, data_range: float = 1.0, channels: Literal["luma", "each"] = "luma"
) -> Tensor:
    r"""Visual information fidelity in the pixel domain (VIFp), for each pair.

    The image is taken for the target attenuated by g, with noise of variance v, window by window. What an eye with
    noise of variance n = 2 (on values of 0 to 255) learns of the target from the image, over what it learns from the
    target itself, sums over the windows of four scales:

    $$ \mathrm{VIF} = \frac{\sum_s \sum \log(1 + g^2 \sigma_y^2 / (v + n))}{\sum_s \sum \log(1 + \sigma_y^2 / n)},
       \qquad g = \frac{\sigma_{xy}}{\sigma_y^2}, \quad v = \sigma_x^2 - g \sigma_{xy} $$

    with Gaussian windows of 17, 9, 5 and 3 pixels and a fifth of that as deviation; before each scale but the first,
    the images are smoothed by its window and every second pixel is taken. Where g is negative, nothing is learnt.

    Args:
        x: (B, C, H, W) restored or distorted images.
        y: the targets. The measure is not symmetric.
        data_range: the difference between the largest and the smallest value a pixel can have: 1 or 255.
        channels: "luma", the default: of the brightness 0.299 R + 0.587 G + 0.114 B, for grey or RGB images. "each":
            the mean over the channels, any number of them.

    Returns:
        (B,) at least 0; 1 for equal images, above 1 where the image has more contrast than the target without new
        noise; higher is better.

    Raises:
        UsageError: images smaller than 41 x 41, for "luma" other than 1 or 3 channels, an unknown choice of channels,
            a data range that is not above zero.

    Complexity: O(B C H W); the memory of a few pairs.

    FAQ:
        *Which package has the same value?* piq's `vif_p` with "luma", to 1e-9: piq adds 1e-8 to the variances that it
        divides by, and so has 0.75 for two equal images of a deviation of 0.0003 grey levels. torchmetrics'
        `visual_information_fidelity` and sewar's `vifp` take "each"; torchmetrics knows no data range, takes the noise
        on the scale it is given and so needs values of 0 to 255. Both divide 0 by 0 on a flat target.

        *And the measure of the paper?* Works on the subbands of a steerable pyramid, as pyiqa's `vif`; its values
        differ. The authors published this form as the faster one, and it is what is usually reported.

        *A flat target?* Has nothing to tell: the value is 1, with no gradient. A flat image of another target: 0.

        *The gradient on equal, flat or black images?* Finite everywhere. The variances of windows below 1e-8 count as
        0 and have no slope; two equal images have the slope of raising the contrast.
    """
    if channels not in ("luma", "each"):
        raise UsageError(f'channels: expected "luma" or "each", got {channels!r}')
    if min(x.shape[-2:]) < SMALLEST:
        raise UsageError(
            f"x: expected images of at least {SMALLEST} x {SMALLEST} pixels, four scales, got {x.shape[-2]} x "
            f"{x.shape[-1]}"
        )
    if channels == "luma":
        x, y = luma(x), luma(y)
    return each_pair(partial(_vif, scale=255.0 / positive_range(data_range)), x, y)


def _vif(x: Tensor, y: Tensor, *, scale: float) -> Tensor:
    # variances do not change with the mean, but their rounding does
    x, y = ((z - z.mean((2, 3), keepdim=True).detach()) * scale for z in (x, y))
    learnt, known = x.new_zeros(x.shape[:2]), x.new_zeros(x.shape[:2])
    for level, taps in enumerate(WINDOWS):
        if level:
            x, y = windowed(torch.stack([x, y]), taps)[..., ::2, ::2]
        mean_x, mean_y, square_x, square_y, product = windowed(torch.stack([x, y, x * x, y * y, x * y]), taps)
        var_x, var_y = (square_x - mean_x * mean_x).relu(), (square_y - mean_y * mean_y).relu()
        covariance = product - mean_x * mean_y
        related = (var_x >= FLAT) & (var_y >= FLAT) & (covariance > 0)
        gain = torch.where(related, covariance / torch.where(related, var_y, 1.0), 0.0)
        noise = torch.where(related, var_x - gain * covariance, 0.0).clamp_min(FLAT)
        learnt = learnt + torch.log1p(gain * gain * var_y / (noise + NOISE)).sum((2, 3))
        known = known + torch.log1p(torch.where(var_y >= FLAT, var_y, 0.0) / NOISE).sum((2, 3))
    # the field's constant is on sums of decimal logarithms
    least = FLAT * 2.302585092994046
    return ((learnt + least) / (known + least)).mean(1)
