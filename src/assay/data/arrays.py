"""Images that are already in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.data.names import RowNames
from assay.data.source import ImageSource
from assay.errors import DataError, UsageError


@dataclass(frozen=True)
class ArrayReader:
    """index -> image, of uint8 (N, H, W, C) with one or three channels."""

    images: NDArray[np.uint8]

    def __call__(self, index: int) -> NDArray[np.uint8]:
        return in_three_channels(self.images[index])


def array_images(images: NDArray[np.uint8] | Tensor, *, description: str = "array of images") -> ImageSource:
    """A uint8 array or tensor of images as an `ImageSource`, named by their row numbers.

    images: (N, C, H, W) or (N, H, W, C) with C = 1 (grey, replicated) or 3 (RGB), values 0-255. The array is
    referred to, not copied; a tensor on another device is copied to memory once.

    Raises `DataError` for a type other than uint8, another shape, an empty array, and a shape that fits both
    layouts.
    """
    if isinstance(images, Tensor):
        array = images.detach().cpu().numpy() if images.dtype is torch.uint8 else None
        given = str(images.dtype)
    elif isinstance(images, np.ndarray):
        array = images if images.dtype == np.uint8 else None
        given = str(images.dtype)
    else:
        raise UsageError(f"images must be a numpy array or a torch tensor, not {type(images).__name__}")
    if array is None:
        raise wrong_type("images", given)
    channels_last = array.transpose(0, 2, 3, 1) if has_channels_first(array.shape, "images") else array
    return ImageSource(RowNames(len(array)), description, ArrayReader(channels_last))


def has_channels_first(shape: Sequence[int], what: str) -> bool:
    """Whether images are (N, C, H, W) rather than (N, H, W, C); raises `DataError` for neither, or either."""
    shown_shape = f"({', '.join(map(str, shape))})"
    if len(shape) != 4 or 0 in shape:
        raise DataError(
            f"{what} must have the shape (N, 3, H, W) or (N, H, W, 3) and no empty axis, not {shown_shape}"
        )
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first and last:
        raise DataError(
            f"{what} of shape {shown_shape} could be (N, C, H, W) or (N, H, W, C): pad or crop the width"
        )
    if not first and not last:
        raise DataError(
            f"{what} must have 1 or 3 channels, as (N, C, H, W) or (N, H, W, C), not {shown_shape}"
        )
    return first


def in_three_channels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 1 or 3) as (H, W, 3)."""
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def wrong_type(what: str, given: str) -> DataError:
    """The error for pixels that are not uint8."""
    return DataError(
        f"{what} must be uint8 with values 0-255, not {given}: scale and round them yourself, "
        "so that the range is stated once, e.g. (x * 255).round().clip(0, 255)"
    )
