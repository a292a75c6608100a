"""Radial spectrum error: does an image hold as much power at each frequency as its target?"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..data_range import positive_range
from ..option_values import is_number
from ..root import root
from .radial_spectrum import radial_spectrum, ring_sizes

Scale = Literal["log", "linear"]


def _bright_points(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images with power in every ring: the logarithm of a ring that happens to be empty bends within a step."""
    x = 0.02 * torch.rand(n, 2, 24, 20, dtype=torch.float64, generator=generator)
    y = 0.04 * torch.rand(x.shape, dtype=torch.float64, generator=generator)
    for image, height in ((x, 0.9), (y, 0.5)):
        image[:, :, 7, 9] += height
    return x, y


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    draw=_bright_points,
    reference="log: Harris et al. 2022, JAMES 14(10), arXiv:2204.02028",
)
def radial_spectrum_error(
    x: Tensor, y: Tensor, *, data_range: float = 1.0, scale: Scale = "log", floor: float = 1e-6
) -> Tensor:
    r"""How far apart two images' radially averaged power spectra are.

    With $P_r$ and $Q_r$ the mean powers of x and y in ring r of R rings (`radial_spectrum`), for scale "log", in
    decibels, the radially averaged log spectral distance

    $$ d = \sqrt{ \frac{1}{R} \sum_r \Big( 10 \log_{10} \frac{P_r + f}{Q_r + f} \Big)^2 } $$

    and for "linear", with $n_r$ coefficients in the ring, the power that lies in another ring, a pixel

    $$ d = \frac{1}{H W} \sum_r n_r |P_r - Q_r| $$

    Values are means over channels.

    Args:
        x: (B, C, H, W) images, in [0, data_range].
        y: (B, C, H, W) targets.
        data_range: the largest value minus the smallest; powers are those of images divided by it.
        scale: "log", in which every ring counts alike, or "linear", in which rings of much power, the low
            frequencies, do.
        floor: f, the power below which rings are not told apart, of images in [0, 1]; rounding to 8 bits alone adds a
            power of 1.3e-6.

    Returns:
        (B,) from 0; lower is better. "linear" is at most the sum of both images' mean squares.

    Raises:
        UsageError: an unknown scale, a floor not above 0, a data_range not above 0.

    Complexity: O(C H W log(H W)).

    FAQ:
        *Is 0 a perfect image?* No: images shifted, mirrored or with other phases have the same spectrum. It is a
        diagnosis of blur (power missing in the last rings) and of upsampling artefacts (power too much in some), to
        read beside a measure that sees where things are.

        *Equal images?* Value 0 and gradient 0, though the root has none there. A ring whose power is the floor's or
        less hardly pulls.
    """
    if scale not in get_args(Scale):
        raise UsageError(f"scale: expected one of {', '.join(get_args(Scale))}, got {scale!r}")
    if not is_number(floor) or not 0 < floor < math.inf:
        raise UsageError(f"floor: expected a power above 0 such as 1e-6, got {floor!r}")
    square = positive_range(data_range) ** 2
    p, q = radial_spectrum(x) / square, radial_spectrum(y) / square
    if scale == "linear":
        height, width = x.shape[-2:]
        return ((p - q).abs() @ ring_sizes(height, width, p)).mean(1) / (height * width)
    decibels = 10 * ((p + floor).log10() - (q + floor).log10())
    return root(decibels.square().mean(-1)).mean(1)
