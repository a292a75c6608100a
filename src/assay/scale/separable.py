"""Windows that slide over images, as products with banded matrices.

A separable window is two products, one along each axis. Convolutions of one channel with eleven taps leave a processor
waiting for memory; the same sums as products of matrices, most of whose entries are zero, are several times faster, as
long as the bands are cut into blocks that are not much wider than the window.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from .kept import kept

BLOCK = 48  # outputs a block, at least: its product has BLOCK + taps - 1 inputs an output


def gaussian_taps(size: int, sigma: float) -> tuple[float, ...]:
    """exp(-k^2 / (2 sigma^2)) for the `size` whole or half numbers k around 0, of sum 1."""
    taps = [math.exp(-((k - (size - 1) / 2) ** 2) / (2 * sigma**2)) for k in range(size)]
    return tuple(tap / sum(taps) for tap in taps)


def uniform_taps(size: int) -> tuple[float, ...]:
    """`size` equal taps of sum 1."""
    return (1.0 / size,) * size


def windowed(images: Tensor, taps: tuple[float, ...]) -> Tensor:
    """sum_kl t_k t_l images[..., i + k, j + l] wherever the window fits: (..., H, W) -> (..., H - K + 1, W - K + 1).

    Args:
        images: (..., H, W) of at least K x K, floating-point.
        taps: the K taps of the window along each axis.

    Complexity: O(H W (K + 48)) multiplications an image, as matrix products.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return _along(_along(images, taps, -1), taps, -2)
    return _in_place(images, taps)


def window_spread(maps: Tensor, taps: tuple[float, ...]) -> Tensor:
    """The transpose of `windowed`: every value spread over its window, (..., H, W) -> (..., H + K - 1, W + K - 1)."""
    edge = len(taps) - 1
    return windowed(functional.pad(maps, (edge,) * 4), taps[::-1])


def _along(z: Tensor, taps: tuple[float, ...], axis: int) -> Tensor:
    outputs = z.shape[axis] - len(taps) + 1
    block = max(BLOCK, len(taps))
    parts = []
    for start in range(0, outputs, block):
        size = min(block, outputs - start)
        band = _band(size, taps, z.dtype, str(z.device))
        piece = z.narrow(axis, start, size + len(taps) - 1)
        parts.append(piece @ band.mT if axis == -1 else band @ piece)
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _in_place(images: Tensor, taps: tuple[float, ...]) -> Tensor:
    """The same where no graph is wanted: every block is written to where it belongs."""
    edge, block = len(taps) - 1, max(BLOCK, len(taps))
    height, width = images.shape[-2] - edge, images.shape[-1] - edge
    planes = images.reshape(-1, *images.shape[-2:])
    rows = images.new_empty(len(planes), height, images.shape[-1])
    for start in range(0, height, block):
        size = min(block, height - start)
        band = _band(size, taps, images.dtype, str(images.device)).expand(len(planes), -1, -1)
        torch.bmm(band, planes[:, start : start + size + edge], out=rows[:, start : start + size])
    lines = rows.view(-1, images.shape[-1])
    out = images.new_empty(len(lines), width)
    for start in range(0, width, block):
        size = min(block, width - start)
        band = _band(size, taps, images.dtype, str(images.device))
        torch.mm(lines[:, start : start + size + edge], band.mT, out=out[:, start : start + size])
    return out.view(*images.shape[:-2], height, width)


@kept(64)
def _band(size: int, taps: tuple[float, ...], dtype: torch.dtype, device: str) -> Tensor:
    """(size, size + K - 1): row i holds the taps from column i on."""
    at = torch.arange(size + len(taps) - 1)[None] - torch.arange(size)[:, None]
    values = torch.tensor(taps, dtype=dtype)[at.clamp(0, len(taps) - 1)]
    return torch.where((at >= 0) & (at < len(taps)), values, 0.0).to(device)
