"""How do tensors of images become the 8-bit pixels that a saved file would hold?"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.errors import DataError, UsageError

RANGES: tuple[tuple[float, float], ...] = ((0, 1), (-1, 1), (0, 255))
ValueRange = tuple[float, float]


def checked_range(value_range: ValueRange | None) -> ValueRange | None:
    """The stated range as two floats; `UsageError` for anything else than (low, high) with low < high."""
    if value_range is None:
        return None
    try:
        low, high = (float(end) for end in value_range)
    except (TypeError, ValueError):
        raise UsageError(f"value_range must be (low, high), such as (-1, 1), not {value_range!r}") from None
    if not (low < high and np.isfinite([low, high]).all()):
        raise UsageError(f"value_range must be (low, high) with low below high, not {value_range!r}")
    return low, high


def quantised(images: object, value_range: ValueRange | None, what: str) -> NDArray[np.uint8]:
    r"""A batch of images as the uint8 pixels (B, H, W, 3) that a PNG of each would hold.

    images: (B, C, H, W), C = 1 (grey, replicated) or 3 (RGB), on any device. uint8 as they are; floating-point with

    $$ \mathrm{round}\big(255\,(x - low) / (high - low)\big) $$

    half to even. Every extractor sees 8-bit pixels, because numbers of images that were never saved must equal those
    of the same images saved: networks answer to rounding. A value outside the range by less than half a level (1/510 of
    it) is that of the end; anything further is an error, and is never clipped unseen.

    what: names the batch in messages (`"batch 3 (images 192 to 255)"`).

    Raises:
        DataError: not a tensor, another shape or type, NaN or infinity, values outside the range or plainly of another.
        UsageError: floating-point values and no range stated.
    """
    if not isinstance(images, Tensor):
        raise DataError(f"{what}: expected a tensor (B, 3, H, W), got {type(images).__name__}")
    _check_shape(images, what)
    images = images.detach()
    if images.dtype is torch.uint8:
        levels = images
    elif images.is_floating_point():
        levels = _levels(images, value_range, what)
    else:
        raise DataError(
            f"{what}: expected uint8 with values 0-255 or floating-point values, got {images.dtype}; "
            "cast with .to(torch.uint8) if they are levels"
        )
    array = levels.cpu().permute(0, 2, 3, 1).numpy()
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:3], 3)))


def _check_shape(images: Tensor, what: str) -> None:
    shape = tuple(images.shape)
    if images.ndim == 4 and shape[1] in (1, 3) and 0 not in shape[1:]:
        return
    hint = ""
    if images.ndim == 4 and shape[3] in (1, 3):
        hint = "; move the channels with .permute(0, 3, 1, 2)"
    elif images.ndim == 4 and shape[1] == 4:
        hint = "; put images with alpha over one background first"
    raise DataError(f"{what}: expected images of shape (B, 3, H, W) or (B, 1, H, W), got {shape}{hint}")


def _levels(images: Tensor, value_range: ValueRange | None, what: str) -> Tensor:
    if images.dtype in (torch.float16, torch.bfloat16):
        images = images.float()  # exact, and the arithmetic below is not
    if images.numel() == 0:
        return images.to(torch.uint8)
    lowest, highest = (float(end) for end in torch.aminmax(images))
    if not np.isfinite([lowest, highest]).all():
        bad = int((~torch.isfinite(images)).flatten(1).any(1).sum())
        raise DataError(f"{what}: {bad} of {len(images)} images hold NaN or infinity")
    found = f"values from {lowest:.4g} to {highest:.4g}"
    if value_range is None:
        fits = next((r for r in RANGES if r[0] <= lowest and highest <= r[1]), None)
        guess = f"; if that is their whole range, value_range=({fits[0]:g}, {fits[1]:g})" if fits else ""
        raise UsageError(
            f"{what}: floating-point images need their range stated, value_range=(low, high); "
            f"these have {found}{guess}"
        )
    low, high = value_range
    slack = (high - low) / 510
    if lowest < low - slack or highest > high + slack:
        raise DataError(
            f"{what}: {found}, outside the stated value_range=({low:g}, {high:g}); "
            "state the true range, or clamp the images if they are meant to exceed it"
        )
    if value_range == (0.0, 255.0) and highest <= 1 and bool((images != images.round()).any()):
        raise DataError(f"{what}: {found}, which is no range of 0 to 255; state value_range=(0, 1)")
    return ((images - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)
