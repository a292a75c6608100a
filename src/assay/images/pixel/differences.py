"""How far apart are the values of two images' pixels: absolute, squared, and smoothly in between?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import map_means_value, symmetric_pairs, value_on_equal
from ...pairs import pair_measure

PLACES = (1, 2, 3)


def draw_apart(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pairs of images to try laws on, no value closer to its partner than 0.01: an absolute value bends at 0."""
    first, second, side = torch.rand(3, n, 3, 24, 24, dtype=torch.float64, generator=generator)
    x = 0.25 + 0.5 * first
    return x, x + (0.01 + 0.2 * second) * torch.where(side < 0.5, -1.0, 1.0)


def _absolute_map(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).abs().mean(1)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0), map_means_value],
    map=_absolute_map,
    draw=draw_apart,
    reference="Zhao, Gallo, Frosio and Kautz 2017, arXiv:1511.08861, as an objective for images",
)
def mean_absolute_error(x: Tensor, y: Tensor) -> Tensor:
    r"""Mean absolute difference over pixels and channels (MAE, L1), for each pair.

    $$ \mathrm{MAE}(x, y) = \frac{1}{CHW} \sum_{c,i,j} |x_{cij} - y_{cij}| $$

    Args:
        x: (B, C, H, W) images, any number of channels.
        y: (B, C, H, W) targets.

    Returns:
        (B,) in the images' own units, at least 0; 0 for equal images; lower is better. Pixels that are equal have the
        gradient 0. `mean_absolute_error.map` gives (B, H, W), the mean over channels.

    Complexity: O(B C H W) time and memory.
    """
    return (x - y).abs().mean(PLACES)


def _squared_map(x: Tensor, y: Tensor) -> Tensor:
    return (x - y).square().mean(1)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0), map_means_value],
    map=_squared_map,
    reference="Wang and Bovik 2009, IEEE Signal Processing Magazine 26(1)",
)
def mean_squared_error(x: Tensor, y: Tensor) -> Tensor:
    r"""Mean squared difference over pixels and channels (MSE), for each pair.

    $$ \mathrm{MSE}(x, y) = \frac{1}{CHW} \sum_{c,i,j} (x_{cij} - y_{cij})^2 $$

    Args:
        x: (B, C, H, W) images, any number of channels.
        y: (B, C, H, W) targets.

    Returns:
        (B,) in the images' own units squared, at least 0; 0 for equal images; lower is better.
        `mean_squared_error.map` gives (B, H, W), the mean over channels.

    Complexity: O(B C H W) time and memory.

    FAQ:
        *The root?* Take it of single values, `mean_squared_error(x, y).sqrt()`: the root of a mean is not the mean of
        roots, and for ranking images it changes nothing.
    """
    return (x - y).square().mean(PLACES)


def _charbonnier_map(x: Tensor, y: Tensor, *, epsilon: float) -> Tensor:
    _positive(epsilon)
    return ((x - y).square() + epsilon**2).sqrt().mean(1)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(1e-3), map_means_value],
    map=_charbonnier_map,
    reference="Charbonnier et al. 1994, ICIP; for super-resolution Lai et al. 2017, arXiv:1704.03915",
)
def charbonnier(x: Tensor, y: Tensor, *, epsilon: float = 1e-3) -> Tensor:
    r"""Charbonnier's penalty, an absolute difference that is smooth at 0, the mean over pixels and channels of a pair.

    $$ \frac{1}{CHW} \sum_{c,i,j} \sqrt{(x_{cij} - y_{cij})^2 + \varepsilon^2} $$

    Quadratic for differences well below epsilon, absolute above; its slope is never more than 1.

    Args:
        x: (B, C, H, W) images, any number of channels.
        y: (B, C, H, W) targets.
        epsilon: where the penalty bends, in the images' own units: 1e-3 for images in [0, 1] (LapSRN), 0.255 for
            images in [0, 255].

    Returns:
        (B,) at least epsilon, which is the value for equal images, with gradient 0; lower is better.
        `charbonnier.map` gives (B, H, W), the mean over channels.

    Raises:
        UsageError: an epsilon that is not above zero.

    Complexity: O(B C H W) time and memory.

    FAQ:
        *Which epsilon do others mean?* The one under the root is sometimes squared and sometimes not. LapSRN's paper
        has epsilon = 1e-3 and its code adds 1e-6: the same thing, and this function's default, though it sums where
        this takes the mean. BasicSR adds an `eps` of 1e-12 that is not squared: here epsilon=1e-6. Copies that square
        LapSRN's 1e-6 are there too: also epsilon=1e-6, which is the absolute difference for every purpose. kornia has
        epsilon = 1 and subtracts it: `charbonnier(x, y, epsilon=1.0) - 1`, close to half the squared error for images
        in [0, 1].

        *Not 0 for equal images?* No: epsilon. Subtract it where zero matters; gradients and order do not change.
    """
    _positive(epsilon)
    return ((x - y).square() + epsilon**2).sqrt().mean(PLACES)


def _positive(epsilon: float) -> None:
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or not 0 < epsilon < math.inf:
        raise UsageError(f"epsilon: expected a number above 0, such as 1e-3, got {epsilon!r}")
