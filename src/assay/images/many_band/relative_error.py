"""How large is the error of each band, relative to how bright the band is?"""

from __future__ import annotations

import math

from torch import Tensor

from ...errors import UsageError
from ...pair_laws import value_on_equal
from ...pairs import pair_measure
from ..edges import root


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[value_on_equal(0.0)],
    reference="Wald 2000, Fusion of Earth Data; Ranchin and Wald 2000, PE&RS 66(1)",
)
def ergas(x: Tensor, y: Tensor, *, ratio: float = 4.0, smallest_mean: float = 1e-6) -> Tensor:
    r"""ERGAS, the relative dimensionless global error of a synthesis, for each pair.

    $$ \frac{100}{r} \sqrt{\frac{1}{C} \sum_{c} \frac{\mathrm{RMSE}_c^2}{\mu_c^2}}, \qquad
       \mathrm{RMSE}_c^2 = \frac{1}{HW} \sum_{i,j} (x_{cij} - y_{cij})^2 $$

    with mu the mean of the target's band and r how many times finer the sharpened pixels are.

    Args:
        x: (B, C, H, W) images, any number of bands, in any units.
        y: (B, C, H, W) targets.
        ratio: r, the side of a pixel before sharpening over that after it: 4 for most satellites.
        smallest_mean: a target's band whose mean is closer to 0 counts as this bright.

    Returns:
        (B,) at least 0; 0 for equal images, with gradient 0; lower is better. Papers call values below 3 good.

    Raises:
        UsageError: a ratio or a smallest mean that is not above zero.

    Complexity: O(B C H W) time and memory.

    FAQ:
        *Times the ratio, or over it?* Wald multiplies with h / l, the fine pixel's side over the coarse one's, 1/4 for
        a factor of 4; sewar takes that number as `r`. This function and torchmetrics take l / h = 4 and divide.
        torchmetrics before 1.4 multiplied with 4, 16 times too much.

        *A black band?* Its relative error has no value; torchmetrics and sewar give infinity. With `smallest_mean` the
        value is finite, and large.

        *No map?* A root of a mean over bands is not a mean over places. `mean_squared_error.map` shows where the
        errors are.
    """
    for name, value in (("ratio", ratio), ("smallest_mean", smallest_mean)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise UsageError(f"{name}: expected a number above 0, got {value!r}")
    errors = (x - y).square().mean((2, 3))
    brightness = y.mean((2, 3)).square().clamp_min(smallest_mean**2)
    return 100 / ratio * root((errors / brightness).mean(1))
