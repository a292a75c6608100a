"""How is an image's power spread over frequencies, whatever their direction?"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UsageError
from ...scale.kept import kept
from ..option_values import is_whole
from .half_plane import column_counts, power


def radial_spectrum(images: Tensor) -> Tensor:
    r"""Radially averaged power spectrum: mean power of the coefficients in each ring of frequencies.

    $$ P_r = \frac{1}{n_r} \sum_{(u, v) \in R_r} |F_{uv}|^2, \quad
       R_r = \Big\{ \mathrm{round}\Big( m \sqrt{(u / H)^2 + (v / W)^2} \Big) = r \Big\}, \quad m = \min(H, W) $$

    with F the orthonormal Fourier transform and $n_r$ the number of coefficients of ring r (`ring_sizes`). Frequencies
    are in cycles a pixel, so that rings are round in images that are not square; ring r is about r / m cycles a
    pixel.

    Args:
        images: (..., H, W), floating point; narrower than single precision is widened to it.

    Returns:
        (..., R) with R about m / sqrt(2) + 1, no ring empty; differentiable. White noise of variance s^2 has mean s^2
        in every ring but the first, which holds the image's mean. `(radial_spectrum(x) * ring_sizes(H, W)).sum(-1)` is
        the sum of x^2: nothing is left out.

    Raises:
        UsageError: fewer than two axes, a side of 0, or not floating point.

    Complexity: O(H W log(H W)) for each image.

    FAQ:
        *Why more than m / 2 rings?* Diagonal frequencies reach sqrt(2) times further than those along an axis. Other
        code stops at the axis' end and leaves the corners' power out; for square images its rings are the first ones
        here. For others it often counts whole periods a side, which makes rings ellipses.

        *Why is there no window?* An image's opposite edges differ, which the transform sees as a step: a cross of high
        frequencies. Both images of a pair share it; multiply them by a window first to be rid of it.
    """
    if (
        not isinstance(images, Tensor)
        or images.ndim < 2
        or 0 in images.shape[-2:]
        or not images.is_floating_point()
    ):
        shown = (
            f"{images.dtype} of shape {tuple(images.shape)}" if isinstance(images, Tensor) else type(images)
        )
        raise UsageError(f"images: expected floating-point (..., H, W), got {shown}")
    images = images if images.dtype == torch.float64 else images.to(torch.float32)
    height, width = images.shape[-2:]
    rings = _rings(height, width, str(images.device))
    spectrum = torch.fft.rfft2(images, norm="ortho")
    powers = (power(spectrum) * column_counts(width, images)).flatten(-2)
    sizes = ring_sizes(height, width, images)
    sums = powers.new_zeros((*powers.shape[:-1], len(sizes)))
    return sums.index_add(-1, rings.flatten(), powers) / sizes


def ring_sizes(height: int, width: int, like: Tensor | None = None) -> Tensor:
    """(R,): how many coefficients of a height x width image's whole plane lie in each ring of `radial_spectrum`.

    Args:
        height, width: of the image.
        like: whose dtype and device the numbers have; float32 by default.

    Raises:
        UsageError: sides that are not whole numbers from 1.
    """
    if not torch.compiler.is_compiling():
        for name, side in (("height", height), ("width", width)):
            if not is_whole(side) or side < 1:
                raise UsageError(f"{name}: expected a whole number of pixels from 1, got {side!r}")
    like = torch.empty(()) if like is None else like
    rings = _rings(height, width, str(like.device))
    counts = column_counts(width, like).expand(height, -1).flatten()
    return counts.new_zeros(_last_ring(height, width) + 1).index_add(-1, rings.flatten(), counts)


@kept(8)
def _rings(height: int, width: int, device: str) -> Tensor:
    """(H, W // 2 + 1): the ring of each coefficient of the half plane."""
    # whole numbers up to the root, and double precision wherever the images are: all round alike
    down = torch.arange(height)
    down = torch.minimum(down, height - down) * width
    across = torch.arange(width // 2 + 1) * height
    squares = (down.square()[:, None] + across.square()).to(torch.float64)
    return (squares.sqrt() / max(height, width)).round().to(device, torch.int64)


def _last_ring(height: int, width: int) -> int:
    return round(math.hypot(height // 2 * width, width // 2 * height) / max(height, width))
