"""Where does somebody look first?

SDSP, Zhang, Gu and Li 2013, "SDSP: a novel saliency detection method by combining simple priors", with the constants
that VSI's authors gave it: what stands out in a band of frequencies, near the centre, in warm colours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...scale.kept import kept
from ..edges import root
from .lab import lab_under_d50

SIDE = 256
FREQUENCY, BANDWIDTH = 0.021, 1.34
CENTRE, WARMTH = 145.0, 0.001

# colours, and saliency, that vary less than this do not vary: a thousandth of a Lab unit
UNVARIED = 1e-3


def salience(x: Tensor) -> Tensor:
    """Saliency of RGB images in [0, 1], from 0 to 1 in every image: (B, 3, H, W) -> (B, 1, H, W); 0 if constant."""
    height, width = x.shape[-2:]
    lab = lab_under_d50(_resized(x, SIDE, SIDE))
    band, centre = _priors(x.dtype, str(x.device))
    waves = torch.fft.rfft2(lab - lab.mean((2, 3), keepdim=True))
    outstanding = root(torch.fft.irfft2(waves * band, s=(SIDE, SIDE)).square().sum(1, keepdim=True))
    warm = _from_0_to_1(lab[:, 1:]).square().sum(1, keepdim=True)
    seen = outstanding * centre * -torch.expm1(-warm / WARMTH**2)
    return _from_0_to_1(_resized(seen, height, width))


def _from_0_to_1(z: Tensor) -> Tensor:
    low = z.amin((2, 3), keepdim=True)
    return (z - low) / (z.amax((2, 3), keepdim=True) - low).clamp_min(UNVARIED)


def _resized(z: Tensor, height: int, width: int) -> Tensor:
    """Linear interpolation, over as many pixels as make one where the image shrinks: (B, C, h, w) -> that size."""
    if z.shape[-1] != width:
        z = z @ _resizing(z.shape[-1], width, z.dtype, str(z.device)).mT
    if z.shape[-2] != height:
        z = _resizing(z.shape[-2], height, z.dtype, str(z.device)) @ z
    return z


@kept(16)
def _resizing(inputs: int, outputs: int, dtype: torch.dtype, device: str) -> Tensor:
    """(outputs, inputs): a triangle around each output's place, the image mirrored at its border, as by MATLAB."""
    scale = outputs / inputs
    steep = min(scale, 1.0)
    centres = (torch.arange(outputs, dtype=torch.float64) + 0.5) / scale - 0.5
    reach = math.ceil(2 / steep) + 2
    at = torch.floor(centres - 1 / steep)[:, None] + torch.arange(reach, dtype=torch.float64)
    weights = (1 - steep * (at - centres[:, None]).abs()).clamp_min(0)
    folded = at.long() % (2 * inputs)
    folded = torch.minimum(folded, 2 * inputs - 1 - folded)
    matrix = torch.zeros(outputs, inputs, dtype=torch.float64)
    matrix.scatter_add_(1, folded, weights / weights.sum(1, keepdim=True))
    return matrix.to(dtype).to(device)


@kept(4)
def _priors(dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor]:
    """The log-Gabor band on the half spectrum, and the nearness to the centre, both on SIDE x SIDE pixels."""
    frequency = torch.fft.fftfreq(SIDE, dtype=torch.float64)
    radius = (frequency[:, None].square() + frequency.square()).sqrt()
    inside = (radius <= 0.5) & (radius > 0)
    logs = (torch.where(inside, radius, 1.0) / FREQUENCY).log()
    band = torch.where(inside, torch.exp(-logs.square() / (2 * BANDWIDTH**2)), 0.0)
    away = (torch.arange(1, SIDE + 1, dtype=torch.float64) - SIDE / 2).square()
    centre = torch.exp(-(away[:, None] + away) / CENTRE**2)
    return band[:, : SIDE // 2 + 1].to(dtype).contiguous().to(device), centre.to(dtype).to(device)
