"""Images of half the size by bicubic kernels, as the published programs make them."""

from __future__ import annotations

import torch
from torch import Tensor


def _keys(t: float, a: float) -> float:
    """Keys' cubic kernel."""
    t = abs(t)
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


# an output lies in the middle between two inputs: MATLAB's kernel is widened twofold, so that nothing folds
_WIDE = tuple(_keys((k - 3.5) / 2, -0.5) for k in range(8))
WIDE = tuple(tap / sum(_WIDE) for tap in _WIDE)
NARROW = tuple(_keys(k - 1.5, -0.75) for k in range(4))


def half_size_smooth(images: Tensor) -> Tensor:
    """(..., H, W) -> (..., ceil(H / 2), ceil(W / 2)), the border mirrored with its edge: MATLAB's imresize(x, 0.5)."""
    return _mirrored(_mirrored(images).mT).mT


def half_size_sharp(images: Tensor) -> Tensor:
    """(..., H, W) -> (..., floor(H / 2), floor(W / 2)), without a filter: OpenCV's INTER_CUBIC, of even sides."""
    return _repeated(_repeated(images).mT).mT


def _mirrored(x: Tensor) -> Tensor:
    size = x.shape[-1]
    outputs = (size + 1) // 2
    after = 2 * outputs + 3 - size
    padded = torch.cat([x[..., :3].flip(-1), x, x[..., size - after :].flip(-1)], -1)
    return _every_second(padded, WIDE, outputs)


def _repeated(x: Tensor) -> Tensor:
    padded = torch.cat([x[..., :1], x, x[..., -1:]], -1)
    return _every_second(padded, NARROW, x.shape[-1] // 2)


def _every_second(padded: Tensor, taps: tuple[float, ...], outputs: int) -> Tensor:
    span = 2 * outputs - 1
    total = taps[0] * padded[..., 0:span:2]
    for k, tap in enumerate(taps[1:], start=1):
        total = total + tap * padded[..., k : k + span : 2]
    return total
