"""Amplitude distance: does an image hold each frequency as strongly as its target, wherever it lies?"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ...errors import UsageError
from ...pair_laws import symmetric_pairs, value_on_equal
from ...pairs import pair_measure
from ..data_range import positive_range
from ..root import root
from .half_plane import column_counts, power

Window = Literal["hann", "none"]


def _fainter(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images whose amplitudes are apart: the slope jumps where two meet, as some of thousands do within a step."""
    x = torch.rand(n, 1, 16, 16, dtype=torch.float64, generator=generator)
    return x, 0.4 * x + 0.02 * torch.rand(x.shape, dtype=torch.float64, generator=generator)


@pair_measure(
    domain="images",
    best="min",
    lower=0.0,
    laws=[symmetric_pairs, value_on_equal(0.0)],
    draw=_fainter,
    exceptions={
        "second_derivative_is_right_or_refused": "the slope jumps where an amplitude meets its target's, which among "
        "thousands of coefficients some do within a step"
    },
    reference="Fuoli et al. 2021, ICCV, arXiv:2106.00783",
)
def amplitude_distance(x: Tensor, y: Tensor, *, data_range: float = 1.0, window: Window = "hann") -> Tensor:
    r"""Mean absolute difference of the spectra's amplitudes: the amplitude part of the Fourier space loss.

    $$ d = \frac{1}{H W} \sum_{u, v} \Big| |F(h x)_{uv}| - |F(h y)_{uv}| \Big| $$

    with F the orthonormal two-dimensional Fourier transform and h the window. Values are means over channels.

    Args:
        x: (B, C, H, W) images, in [0, data_range].
        y: (B, C, H, W) targets.
        data_range: the largest value minus the smallest; differences are taken of images divided by it.
        window: "hann", the published one, falls to 0 at the edges, so that the step between opposite edges is no
            frequency; "none".

    Returns:
        (B,) from 0; lower is better. At most the mean of the windowed difference's own amplitudes.

    Raises:
        UsageError: an unknown window, a data_range not above 0.

    Complexity: O(C H W log(H W)).

    FAQ:
        *Is 0 a perfect image?* No: without a window, images shifted around their edges are at distance 0. As published
        it stands beside losses that see where things are.

        *Where is the phase part?* It is left out: a coefficient's phase turns without bound near amplitude 0, so that
        its gradient is infinite just where it means nothing.

        *Why is my loss larger by sqrt(H W)?* Unnormalised transforms are. The published sum over half the plane counts
        its first row once and the left-out half's row not at all; here every coefficient of the plane counts once.

        *Equal images, black images?* Value 0 and gradient 0; a coefficient of amplitude 0 has no gradient.
    """
    if window not in get_args(Window):
        raise UsageError(f"window: expected one of {', '.join(get_args(Window))}, got {window!r}")
    scale = positive_range(data_range)
    height, width = x.shape[-2:]
    amplitudes = []
    for image in (x, y):
        if window == "hann":
            down, across = (torch.hann_window(n, dtype=x.dtype, device=x.device) for n in (height, width))
            image = image * down[:, None] * across
        amplitudes.append(root(power(torch.fft.rfft2(image / scale, norm="ortho"))))
    difference = (amplitudes[0] - amplitudes[1]).abs().sum(-2) @ column_counts(width, x)
    return difference.mean(1) / (height * width)
