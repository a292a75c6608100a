"""How many bits does a pixel cost?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...errors import DataError, UsageError
from ..option_values import is_number
from .number_table import number_table


def bits_per_pixel(sizes: Any, height: int | Sequence[int], width: int | Sequence[int]) -> Tensor:
    r"""Bits a pixel of compressed files: $8 b / (H W)$ for b bytes.

    Args:
        sizes: (n,) sizes of the files in bytes.
        height, width: of the images: a number for all, or one an image. Pixels, whatever the number of channels.

    Returns:
        (n,) float64.

    Raises:
        UsageError: other shapes; sides that are not whole numbers from 1.
        DataError: a size that is negative, NaN or infinite.

    FAQ:
        *The mean of these, or all bits over all pixels?* For images of one size both are the same. For several sizes
        the mean counts every image alike, and the ratio of sums every pixel: say which a curve is of.
    """
    bytes_ = number_table(sizes, "sizes")
    if bytes_.ndim != 1 or not len(bytes_):
        raise UsageError(
            f"sizes: expected one number of bytes an image, shape (n,), got {tuple(bytes_.shape)}"
        )
    bad = ~(bytes_.isfinite() & (bytes_ >= 0))
    if bool(bad.any()):
        row = int(bad.nonzero()[0, 0])
        raise DataError(f"sizes: expected bytes from 0, got {float(bytes_[row]):g} in row {row}")
    return 8 * bytes_ / (_side(height, "height", len(bytes_)) * _side(width, "width", len(bytes_)))


def likelihood_bits_per_pixel(
    likelihoods: Tensor | Sequence[Tensor], height: int, width: int, *, floor: float = 1e-9
) -> Tensor:
    r"""Bits a pixel that an entropy model promises: $-\frac{1}{H W} \sum \log_2 \max(p, f)$ for each image.

    Args:
        likelihoods: (B, ...) probabilities of the coded symbols, or several such tensors (latents and hyperlatents),
            whose bits add up.
        height, width: of the images, in pixels (of the image, not of the latents).
        floor: f; a symbol thought impossible costs $-\log_2 f$ bits (29.9), and no gradient comes from it.

    Returns:
        (B,), differentiable; float32 for narrower likelihoods. An arithmetic coder's files are larger by well under
        a hundredth and a few bytes.

    Raises:
        UsageError: no tensor, tensors of different B or not floating point, sides below 1, a floor outside (0, 1).
            Values are not looked at: probabilities above 1 would count as negative bits.
    """
    given = [likelihoods] if isinstance(likelihoods, Tensor) else likelihoods
    if not isinstance(given, (list, tuple)) or not given:
        raise UsageError(f"likelihoods: expected a tensor (B, ...) or a list of several, got {given!r}")
    for k, each in enumerate(given):
        if not isinstance(each, Tensor) or not each.is_floating_point() or each.ndim < 2:
            shown = f"{each.dtype} {tuple(each.shape)}" if isinstance(each, Tensor) else type(each).__name__
            raise UsageError(
                f"likelihoods: expected floating-point tensors (B, ...), got {shown} in place {k}"
            )
        if len(each) != len(given[0]):
            raise UsageError(
                f"likelihoods: expected {len(given[0])} images in each tensor, got {len(each)} in {k}"
            )
    if not is_number(floor) or not 0 < floor < 1:
        raise UsageError(f"floor: expected a probability between 0 and 1, got {floor!r}")
    pixels = _side(height, "height", 1) * _side(width, "width", 1)
    bits: Tensor | None = None
    for each in given:
        wide = each if each.dtype == torch.float64 else each.to(torch.float32)
        likely = wide > floor
        # a floor below the least number of the precision must not become 0
        own = torch.where(likely, -torch.where(likely, wide, 1.0).log2(), -math.log2(floor)).flatten(1).sum(1)
        own = own + 0.0 * wide.detach().flatten(1).sum(1)
        bits = own if bits is None else bits + own
    assert bits is not None
    return bits / float(pixels)


def _side(value: Any, name: str, n: int) -> Tensor:
    sides = number_table(value, name)
    if sides.ndim and sides.shape != (n,):
        raise UsageError(
            f"{name}: expected one number, or one an image, shape ({n},), got {tuple(sides.shape)}"
        )
    if not bool(((sides >= 1) & (sides == sides.floor()) & (sides < math.inf)).all()):
        raise UsageError(f"{name}: expected whole numbers of pixels from 1, got {value}")
    return sides
