"""What cosines is an image made of? The orthonormal type-II transform, of whole images and of blocks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import UsageError
from ..scale.kept import kept


def cosine_transform(images: Tensor) -> Tensor:
    r"""Orthonormal two-dimensional DCT-II over the last two axes.

    $$ D_{uv} = c_u c_v \sum_{i, j} x_{ij} \cos \frac{\pi (2 i + 1) u}{2 H} \cos \frac{\pi (2 j + 1) v}{2 W}, \quad
       c_u = \sqrt{(1 + [u > 0]) / H} $$

    and c_v with W. The sum of squares is kept, the mean of an image is $D_{00} / \sqrt{H W}$, and the transposed
    product leads back.

    Args:
        images: (..., H, W), floating point.

    Returns:
        (..., H, W) coefficients, row u for the vertical frequency; differentiable.

    Complexity: O(H W (H + W)) for each image, as two matrix products; the H x H and W x W matrices are kept for the
    next call.
    """
    height, width = images.shape[-2:]
    rows, columns = cosine_matrix(height, images), cosine_matrix(width, images)
    return rows @ images @ columns.T


def block_cosine_transform(images: Tensor, size: int = 8) -> Tensor:
    """Orthonormal two-dimensional DCT-II of every size x size block, blocks side by side from the top left.

    Args:
        images: (..., H, W), floating point.
        size: of a block; rows and columns that fill no block are left out.

    Returns:
        (..., H // size, W // size, size, size): for each block its coefficients as `cosine_transform` gives them.

    Raises:
        UsageError: a size below 1 or above H or W.

    Complexity: O(H W size) for each image.
    """
    height, width = images.shape[-2:]
    if size < 1 or size > min(height, width):
        raise UsageError(
            f"size: expected blocks of 1 to {min(height, width)} pixels for {height} x {width}, got {size}"
        )
    down, across = height // size, width // size
    whole = images[..., : down * size, : across * size]
    matrix = cosine_matrix(size, images)
    bands = matrix @ whole.reshape(*images.shape[:-2], down, size, across * size)
    blocks = bands.reshape(*images.shape[:-2], down, size, across, size) @ matrix.T
    return blocks.transpose(-3, -2)


def cosine_matrix(n: int, like: Tensor) -> Tensor:
    """The (n, n) orthonormal DCT-II matrix, row u the frequency, of the dtype and on the device of `like`."""
    return _matrix(n, like.dtype, str(like.device))


@kept(8)
def _matrix(n: int, dtype: torch.dtype, device: str) -> Tensor:
    # whole numbers up to 4 n: the angle is reduced exactly before the cosine rounds it
    steps = (2 * torch.arange(n)[None, :] + 1) * torch.arange(n)[:, None] % (4 * n)
    matrix = torch.cos(steps.to(torch.float64) * (math.pi / (2 * n))) * math.sqrt(2 / n)
    return torch.cat([matrix[:1] / math.sqrt(2), matrix[1:]]).to(device, dtype)
