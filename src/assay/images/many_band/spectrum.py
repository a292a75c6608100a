"""Do two images have the same spectrum at each pixel, whatever its brightness?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import value_on_equal
from ...pairs import pair_measure
from ...scale.each_pair import each_pair
from ..edges import FLAT, root


def _angles(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Angles between the pixels' spectra, (B, H, W), and where the target has a spectrum."""
    if x.shape[1] < 2:
        raise UsageError(
            "x: one band has no spectral angle, it would be 0 everywhere; use psnr or mean_squared_error"
        )
    squares_x, squares_y = x.square().sum(1, keepdim=True), y.square().sum(1, keepdim=True)
    direction_x, direction_y = x / root(squares_x), y / root(squares_y)
    # half the angle, from the sides of the rhombus: accurate at small angles, where a cosine has lost half its digits
    apart = root((direction_x - direction_y).square().sum(1))
    along = root((direction_x + direction_y).square().sum(1))
    angle = 2 * torch.atan2(apart, along)
    lit_x, lit_y = (squares_x > FLAT)[:, 0], (squares_y > FLAT)[:, 0]
    return torch.where(lit_y, torch.where(lit_x, angle, math.pi / 2), 0.0), lit_y


def _angle_map(x: Tensor, y: Tensor) -> Tensor:
    return _angles(x, y)[0]


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    upper=math.pi,
    laws=[value_on_equal(0.0)],
    map=_angle_map,
    reference="Yuhas, Goetz and Boardman 1992, JPL Airborne Workshop; Kruse et al. 1993, RSE 44",
)
def spectral_angle(x: Tensor, y: Tensor) -> Tensor:
    r"""Spectral angle (SAM), in radians: the angle between the two spectra of a pixel, the mean over pixels of a pair.

    $$ \frac{1}{HW} \sum_{i,j} \arccos \frac{\langle x_{ij}, y_{ij} \rangle}{\|x_{ij}\|\, \|y_{ij}\|} $$

    with the C values of a pixel as a vector. It does not depend on the brightness of a pixel.

    Args:
        x: (B, C, H, W) images of at least two bands, in any units.
        y: (B, C, H, W) targets. Exchanging x and y changes the value where pixels are black.

    Returns:
        (B,) in radians: in [0, pi / 2] where no value is negative, up to pi elsewhere; 0 for equal images; lower is
        better. A pixel whose target is 0 in every band has no spectrum and is left out; where only the image is 0 the
        angle is pi / 2; a target without any spectrum gives 0. The gradient is 0 at these pixels and where two spectra
        agree. `spectral_angle.map` gives (B, H, W), with 0 where a pixel is left out.

    Raises:
        UsageError: a single band.

    Complexity: O(B C H W) time and, beyond images and gradients, the memory of one pair.

    FAQ:
        *Why not through the arc cosine?* In single precision it cannot tell angles below about 3e-4 from 0, and its
        gradient at equal spectra is infinite. The same angle is 2 atan2(|u - v|, |u + v|) of the unit spectra u, v.

        *Black pixels elsewhere?* torchmetrics gives NaN for the whole pair. sewar and the pansharpening toolboxes
        leave out a pixel where either image is black; then a sharpened image gains by being black where it is wrong,
        which is why only the target's black pixels are left out here.

        *Degrees?* Multiply by 180 / pi: the toolboxes in MATLAB report degrees, torchmetrics and sewar radians.
    """
    return each_pair(_mean_angle, x, y)


def _mean_angle(x: Tensor, y: Tensor) -> Tensor:
    angle, counted = _angles(x, y)
    return angle.sum((1, 2)) / counted.sum((1, 2)).clamp_min(1)
