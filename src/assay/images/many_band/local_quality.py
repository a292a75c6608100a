"""Do two images agree in correlation, brightness and contrast around each pixel, without constants?"""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import map_means_value, symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ...scale.separable import gaussian_taps, uniform_taps, windowed

UqiConvention = Literal["wang2002", "torchmetrics"]

TAPS: dict[str, tuple[float, ...]] = {"wang2002": uniform_taps(8), "torchmetrics": gaussian_taps(11, 1.5)}

# of a window's mean square: far above the rounding of double precision, far below one step of an 8-bit pixel
NO_CONTRAST = 1e-11
# against 0 / 0 where both windows are black
BLACK = 1e-30


def _quality(x: Tensor, y: Tensor, convention: str) -> Tensor:
    """(B, C, H', W') in the precision of x."""
    if convention not in get_args(UqiConvention):
        raise UsageError(f'convention: expected "wang2002" or "torchmetrics", got {convention!r}')
    taps = TAPS[convention]
    if min(x.shape[-2:]) < len(taps):
        raise UsageError(
            f"x: images of {x.shape[-2]} x {x.shape[-1]} have no room for the window of {len(taps)} x {len(taps)}; "
            f"enlarge them to at least {len(taps)} pixels a side"
        )
    # a variance is a difference of mean squares: in single precision that of a smooth window is all rounding, and no
    # constant hides it here as in ssim
    wide, wide_y = x.to(torch.float64), y.to(torch.float64)
    moments = windowed(torch.stack([wide, wide_y, wide.square(), wide_y.square(), wide * wide_y]), taps)
    mean_x, mean_y, square_x, square_y, product = moments
    means = mean_x.square() + mean_y.square()
    small = NO_CONTRAST * (square_x + square_y) + BLACK
    contrast = (2 * (product - mean_x * mean_y) + small) / (square_x + square_y - means + small)
    brightness = (2 * mean_x * mean_y + BLACK) / (means + BLACK)
    quality: Tensor = (contrast * brightness).clamp(-1.0, 1.0)
    return quality.to(x.dtype)


def _uqi_map(x: Tensor, y: Tensor, *, convention: UqiConvention) -> Tensor:
    return _quality(x, y, convention).mean(1)


@pair_measure(
    domain="images",
    best="max",
    lower=-1.0,
    upper=1.0,
    laws=[symmetric_pairs, value_on_equal(1.0), map_means_value],
    map=_uqi_map,
    reference="Wang and Bovik 2002, IEEE Signal Processing Letters 9(3)",
)
def uqi(x: Tensor, y: Tensor, *, convention: UqiConvention = "wang2002") -> Tensor:
    r"""Universal image quality index, the mean over windows and bands, for each pair.

    $$ Q = \frac{\sigma_{xy}}{\sigma_x \sigma_y} \cdot \frac{2 \mu_x \mu_y}{\mu_x^2 + \mu_y^2} \cdot
       \frac{2 \sigma_x \sigma_y}{\sigma_x^2 + \sigma_y^2}
       = \frac{4 \sigma_{xy} \mu_x \mu_y}{(\sigma_x^2 + \sigma_y^2)(\mu_x^2 + \mu_y^2)} $$

    with means, variances and covariances within a window: `ssim` before it had constants.

    Args:
        x: (B, C, H, W) images, any number of bands, in any units.
        y: (B, C, H, W) targets.
        convention: whose window. "wang2002", the default: uniform, 8 x 8, wherever it fits. "torchmetrics": Gaussian,
            11 x 11 of deviation 1.5, wherever it fits.

    Returns:
        (B,) in [-1, 1]; 1 for equal images; higher is better. Where both windows are without contrast the second
        factor alone counts, where both are black too the value is 1, as in the authors' code; windows between are
        joined smoothly (contrast below 1e-11 of a window's mean square counts as none). The gradient is finite
        everywhere. `uqi.map` gives (B, H', W'), one value a window.

    Raises:
        UsageError: images smaller than the window; an unknown convention.

    Complexity: O(B C H W) time, in double precision, and, beyond images and gradients, the memory of one pair.

    FAQ:
        *sewar says 0.99.* It takes window means where its formula has sums, which drowns the covariance in the product
        of the means: images whose index by the definition is 0.5 read 0.99.

        *As an objective?* Use `ssim`: without constants the gradient in smooth windows is thousands of times that of
        textured ones.
    """
    return each_pair(partial(_uqi_of_pairs, convention=convention), x, y)


def _uqi_of_pairs(x: Tensor, y: Tensor, convention: str) -> Tensor:
    return _quality(x, y, convention).mean((1, 2, 3))
