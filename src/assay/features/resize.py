"""How does an image come to a network's size? Cropped or whole, bicubic, antialiased, on floats.

Both forms below use the Keys kernel with a = -0.5, widened by the scale when shrinking, and neither rounds
nor clips: they agree to 1e-4 of the range. (Resizing bytes rounds twice, and without antialiasing most
pixels of a large image are never looked at; both shift distances between sets. Parmar et al. 2022,
arXiv:2104.11222.)
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.errors import MissingExtra


def center_crop_box(height: int, width: int, fraction: float) -> tuple[int, int, int]:
    """(top, left, side) of the central square whose side is floor(fraction * min(height, width)), at least 1.

    Where the margin is odd, the larger half is at the top and left, as in the original EfficientNet
    evaluation.
    """
    side = max(1, int(fraction * min(height, width)))
    return (height - side + 1) // 2, (width - side + 1) // 2, side


def resize_array(image: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """uint8 (H, W, C) -> float32 (C, size, size) on the same scale; ringing may leave 0-255 a little."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("pillow", "images", "resizing images") from error

    channels = image.astype(np.float32).transpose(2, 0, 1)
    if channels.shape[1:] == (size, size):
        return np.ascontiguousarray(channels)
    # Mode F, a channel at a time: the RGB mode would round to bytes after each of its two passes.
    return np.stack(
        [
            np.asarray(
                Image.fromarray(np.ascontiguousarray(channel)).resize((size, size), Image.Resampling.BICUBIC)
            )
            for channel in channels
        ]
    )


def resize_tensor(images: Tensor, size: int) -> Tensor:
    """float (B, C, H, W) -> (B, C, size, size), differentiable; the same kernel as `resize_array`."""
    if images.shape[-2:] == (size, size):
        return images
    return torch.nn.functional.interpolate(images, size=(size, size), mode="bicubic", antialias=True)
