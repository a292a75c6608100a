"""How does an image come to a network's size? By one good rule, or by one of the old ones that printed values are of.

The good rule is bicubic, antialiased, on floats: the Keys kernel with a = -0.5, widened by the scale when shrinking.
`resize_array` and `resize_tensor` are two forms of it that agree to 1e-4 of the range; neither rounds nor clips.
(Resizing bytes rounds twice, and without antialiasing most pixels of a large image are never looked at; both shift
distances between sets. Parmar et al. 2022, arXiv:2104.11222.) `RESIZES` has the rules by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.errors import MissingExtra, UsageError
from assay.features.did_you_mean import did_you_mean


def center_crop_box(height: int, width: int, fraction: float) -> tuple[int, int, int]:
    """(top, left, side) of the central square whose side is floor(fraction * min(height, width)), at least 1.

    Where the margin is odd, the larger half is at the top and left, as in the original EfficientNet
    evaluation.
    """
    side = max(1, int(fraction * min(height, width)))
    return (height - side + 1) // 2, (width - side + 1) // 2, side


def resize_array(image: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """uint8 (H, W, C) -> float32 (C, size, size) on the same scale; ringing may leave 0-255 a little."""
    from_array, filters = _pillow()
    channels = image.astype(np.float32).transpose(2, 0, 1)
    if channels.shape[1:] == (size, size):
        return np.ascontiguousarray(channels)
    # Mode F, a channel at a time: the RGB mode would round to bytes after each of its two passes.
    return np.stack(
        [
            np.asarray(from_array(np.ascontiguousarray(channel)).resize((size, size), filters.BICUBIC))
            for channel in channels
        ]
    )


def resize_tensor(images: Tensor, size: int) -> Tensor:
    """float (B, C, H, W) -> (B, C, size, size), differentiable; the same kernel as `resize_array`."""
    if images.shape[-2:] == (size, size):
        return images
    return torch.nn.functional.interpolate(images, size=(size, size), mode="bicubic", antialias=True)


@dataclass(frozen=True)
class Resize:
    """One rule, in two forms on the scale 0-255.

    array: uint8 (H, W, C) and a size -> float32 (C, size, size).
    tensor: float (B, C, H, W) and a size -> (B, C, size, size), differentiable; None where the rule rounds to bytes.
    what: one line for people.
    """

    array: Callable[[NDArray[np.uint8], int], NDArray[np.float32]]
    tensor: Callable[[Tensor, int], Tensor] | None
    what: str


def named_resize(name: str) -> Resize:
    """The rule of `RESIZES` called `name`; `UsageError` names the nearest where there is none."""
    if name not in RESIZES:
        hint = did_you_mean(name.lower(), RESIZES)
        raise UsageError(f"unknown resize {name!r}: {hint}known are {', '.join(RESIZES)}")
    return RESIZES[name]


def resize_clean(image: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """`resize_array`, clipped to 0-255: clean-fid's rule."""
    return np.clip(resize_array(image, size), 0, 255)


def resize_clean_tensor(images: Tensor, size: int) -> Tensor:
    """`resize_tensor` of values in 0-255, clipped to them."""
    return resize_tensor(images, size).clamp(0, 255)


def resize_two_taps(image: NDArray[np.uint8], size: int, *, half_pixel: bool) -> NDArray[np.float32]:
    """Bilinear between the two nearest rows and columns, however much is left out between: not antialiased.

    Output i lies at (i + 1/2) s - 1/2 of the input, s = inputs / outputs, where `half_pixel` (PyTorch's
    `interpolate(mode="bilinear", align_corners=False)`, at least 0), and at i s otherwise (TensorFlow 1's
    `resize_bilinear(align_corners=False)`, which moves the image by up to half a pixel).
    """
    channels = image.astype(np.float32).transpose(2, 0, 1)
    top, bottom, down = _taps(channels.shape[1], size, half_pixel)
    left, right, across = _taps(channels.shape[2], size, half_pixel)
    upper, lower = channels[:, top], channels[:, bottom]
    rows = upper + (lower - upper) * down[:, None]
    near, far = rows[:, :, left], rows[:, :, right]
    return np.ascontiguousarray(near + (far - near) * across)


def resize_two_taps_tensor(images: Tensor, size: int, *, half_pixel: bool) -> Tensor:
    """float (B, C, H, W) -> (B, C, size, size), differentiable; the same rule as `resize_two_taps`."""

    def taps(inputs: int) -> tuple[Tensor, Tensor, Tensor]:
        low, high, fraction = (torch.from_numpy(t).to(images.device) for t in _taps(inputs, size, half_pixel))
        return low, high, fraction.to(images.dtype)

    top, bottom, down = taps(images.shape[2])
    left, right, across = taps(images.shape[3])
    upper, lower = images[:, :, top], images[:, :, bottom]
    rows = upper + (lower - upper) * down[:, None]
    near, far = rows[..., left], rows[..., right]
    return near + (far - near) * across


def resize_bytes(image: NDArray[np.uint8], size: int, *, bilinear: bool) -> NDArray[np.float32]:
    """Pillow's own resize of the bytes: antialiased, rounded to bytes after each of its two passes."""
    from_array, filters = _pillow()
    if image.shape[:2] != (size, size):
        chosen = filters.BILINEAR if bilinear else filters.BICUBIC
        image = np.asarray(from_array(image).resize((size, size), chosen))
    return np.ascontiguousarray(image.transpose(2, 0, 1).astype(np.float32))


def resize_short_side(image: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """Pillow's bicubic on bytes until the short side is `size`, then the central square: CLIP's and DINOv2's rule.

    The long side becomes floor(size * long / short); an odd margin is split with Python's `round`.
    """
    from_array, filters = _pillow()
    height, width = image.shape[:2]
    short = min(height, width)
    new = (size * width // short, size * height // short)
    if new != (width, height):
        image = np.asarray(from_array(image).resize(new, filters.BICUBIC))
    top, left = round((new[1] - size) / 2), round((new[0] - size) / 2)
    square = image[top : top + size, left : left + size]
    return np.ascontiguousarray(square.transpose(2, 0, 1).astype(np.float32))


def _taps(
    inputs: int, outputs: int, half_pixel: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    # float32 as the originals have it: an index may otherwise fall on the other side of a whole number
    at = np.arange(outputs, dtype=np.float32)
    scale = np.float32(inputs / outputs)
    at = np.maximum((at + np.float32(0.5)) * scale - np.float32(0.5), 0) if half_pixel else at * scale
    low = np.minimum(at.astype(np.int64), inputs - 1)
    return low, np.minimum(low + 1, inputs - 1), (at - low).astype(np.float32)


def _pillow() -> tuple[Callable[..., Any], Any]:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("pillow", "images", "resizing images") from error
    return Image.fromarray, Image.Resampling


RESIZES: Mapping[str, Resize] = {
    "clean": Resize(
        resize_clean, resize_clean_tensor, "bicubic, antialiased, on floats, clipped (clean-fid)"
    ),
    "legacy-pytorch": Resize(
        lambda image, size: resize_two_taps(image, size, half_pixel=True),
        lambda images, size: resize_two_taps_tensor(images, size, half_pixel=True),
        "bilinear, not antialiased (pytorch-fid)",
    ),
    "legacy-tensorflow": Resize(
        lambda image, size: resize_two_taps(image, size, half_pixel=False),
        lambda images, size: resize_two_taps_tensor(images, size, half_pixel=False),
        "bilinear, not antialiased, corner-aligned grid of TensorFlow 1 (the original FID, ADM, torch-fidelity)",
    ),
    "legacy-pil-bilinear": Resize(
        lambda image, size: resize_bytes(image, size, bilinear=True), None, "Pillow's bilinear on bytes"
    ),
    "legacy-pil-bicubic": Resize(
        lambda image, size: resize_bytes(image, size, bilinear=False),
        None,
        "Pillow's bicubic on bytes, the whole image (dgm-eval)",
    ),
    "legacy-pil-short-side": Resize(
        resize_short_side, None, "Pillow's bicubic on bytes to the short side, then the central square (CLIP)"
    ),
}
