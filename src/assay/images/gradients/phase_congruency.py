"""Where do the waves of an image agree in phase? There is an edge or a line, however faint.

Kovesi 1999, "Image features from phase congruency", with the constants of FSIM's authors: log-Gabor filters of four
scales and four orientations; the energy of their mean response, less what noise would have, over their amplitudes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...scale.kept import kept
from ..edges import root

SCALES, ORIENTATIONS = 4, 4
SHORTEST_WAVE = 6  # pixels; each scale's is twice the one before
BANDWIDTH = 0.55
SPREAD = math.pi / ORIENTATIONS / 1.2
CUTOFF, SHARPNESS = 0.45, 15
NOISE_DEVIATIONS = 2.0
NOISE_RESCALED = 1.7
SMALLEST_ENERGY = 1e-4  # on the range 0 to 255


def phase_congruency(x: Tensor, data_range: float) -> Tensor:
    """(B, 1, H, W) -> (B, 1, H, W), at least 0; 0 where an image is constant.

    Complexity: 33 real Fourier transforms an image, O(H W log(H W)).
    """
    height, width = x.shape[-2:]
    even, odd, noise = _filters(height, width, x.dtype, str(x.device))
    # the filters ignore the mean; without it, a constant image has no rounding errors to find waves in
    waves = torch.fft.rfft2(x - x.mean((2, 3), keepdim=True))
    turned = torch.complex(waves.imag, -waves.real)
    energy: Tensor | None = None
    amplitude: Tensor | None = None
    for orientation in range(ORIENTATIONS):
        e = torch.fft.irfft2(waves * even[orientation], s=(height, width))
        o = torch.fft.irfft2(turned * odd[orientation], s=(height, width))
        size = root(e.square() + o.square())
        total_e, total_o = e.sum(1, keepdim=True), o.sum(1, keepdim=True)
        squares = total_e.square() + total_o.square()
        across = (e * total_o - o * total_e).abs().sum(1, keepdim=True)
        own = (squares - across) / (root(squares) + SMALLEST_ENERGY * data_range / 255)
        threshold = noise[orientation] * _median(size[:, 0].flatten(1))
        above = (own - threshold[:, None, None, None]).relu()
        total = size.sum(1, keepdim=True)
        energy = above if energy is None else energy + above
        amplitude = total if amplitude is None else amplitude + total
    assert energy is not None and amplitude is not None
    return energy / amplitude


def _median(sizes: Tensor) -> Tensor:
    """The root of the median of the squares: (B, n) -> (B,); for even n, the median is the mean of two."""
    count = sizes.shape[1]
    low = sizes.kthvalue((count + 1) // 2, 1).values
    if count % 2:
        return low
    high = sizes.kthvalue(count // 2 + 1, 1).values
    return root((low.square() + high.square()) / 2)


@kept(8)
def _filters(height: int, width: int, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Even and odd parts of the filters on the half spectrum, (orientations, scales, H, W // 2 + 1), and what to
    multiply the root of the median square of the finest responses by to have the noise threshold.
    """
    down, across = _frequencies(height)[:, None], _frequencies(width)[None, :]
    radius = (down.square() + across.square()).sqrt()
    lowpass = 1 / (1 + (radius / CUTOFF) ** (2 * SHARPNESS))
    radius[0, 0] = 1.0
    angle = torch.atan2(-down.expand_as(radius), across.expand_as(radius))
    rings = []
    for scale in range(SCALES):
        ring = lowpass * torch.exp(
            -(radius * SHORTEST_WAVE * 2**scale).log().square() / (2 * math.log(BANDWIDTH) ** 2)
        )
        ring[0, 0] = 0.0
        rings.append(ring)
    filters = []
    for orientation in range(ORIENTATIONS):
        turn = angle - orientation * math.pi / ORIENTATIONS
        turn = torch.atan2(turn.sin(), turn.cos())
        filters.append(torch.stack(rings) * torch.exp(-turn.square() / (2 * SPREAD**2)))
    stacked = torch.stack(filters)
    mirrored = stacked.flip(2, 3).roll((1, 1), (2, 3))
    even, odd = (stacked + mirrored) / 2, (stacked - mirrored) / 2

    # expected energy of noise: Parseval turns Kovesi's sums over pixels into sums over frequencies
    summed = even.sum(1).square().sum((1, 2)) / stacked[:, 0].square().sum((1, 2))
    rayleigh = (summed / math.log(2)).sqrt()
    noise = (
        rayleigh * (math.sqrt(math.pi / 2) + NOISE_DEVIATIONS * math.sqrt(2 - math.pi / 2)) / NOISE_RESCALED
    )
    half = width // 2 + 1
    return (
        even[..., :half].to(dtype).contiguous().to(device),
        odd[..., :half].to(dtype).contiguous().to(device),
        noise.to(dtype).to(device),
    )


def _frequencies(side: int) -> Tensor:
    """Cycles a pixel in the order of a Fourier transform; an odd side counts one pixel less, as Kovesi does."""
    cycles: Tensor = torch.fft.fftfreq(side, dtype=torch.float64) * side
    return cycles / (side - side % 2)
