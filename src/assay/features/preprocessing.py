"""How do image networks of other packages want their images? Resized, cropped, scaled to [0, 1], normalised.

Their evaluation code resizes bytes with Pillow, antialiased, and rounds back to bytes. To give the features they give,
`of_array` does the same; `of_tensor`, which gradients go through, resizes floats with the same kernel and clips them
to [0, 1], and so lies within half a grey level of it before normalisation for most pixels, two at sharp edges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from assay.errors import MissingExtra, UsageError
from assay.features.extractor import Crop

Interpolation = Literal["bicubic", "bilinear", "lanczos"]
Size = tuple[int, int]


@dataclass(frozen=True)
class Preprocessing:
    """What happens to an image before the network.

    Attributes:
        resize: "shortest": the short side to that of `size`, proportions kept; "longest": the long side;
            "squash": to `size` whatever the proportions; "none": the images' own size.
        size: (height, width) that is resized to.
        crop: (height, width) of the central crop after that, or None; what is missing is filled.
        interpolation: the kernel, widened when shrinking.
        mean, std: a channel, in units of [0, 1].
        fill: the byte that is padded with, a channel.
        offset: how half a pixel of margin is rounded: "even" (torchvision) or "floor" (transformers).
        bytes: whether the resized image is rounded to bytes, as Pillow does to RGB images.
    """

    resize: Literal["shortest", "longest", "squash", "none"]
    size: Size
    crop: Size | None
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fill: tuple[int, int, int] = (0, 0, 0)
    offset: Literal["even", "floor"] = "even"
    bytes: bool = True

    @property
    def output(self) -> Size | None:
        """(height, width) of what the network sees; None where the images decide."""
        if self.crop is not None:
            return self.crop
        return self.size if self.resize == "squash" else None

    def cropped(self, crop: Crop | None) -> Preprocessing:
        """As the network's makers have it (None), with the central square ("center"), or the whole image ("none")."""
        side = self.output or self.size
        if crop is None or (crop == "center" and self.resize == "shortest" and self.crop is not None):
            return self
        if crop == "center":
            return replace(self, resize="shortest", size=side, crop=side)
        return replace(self, resize="squash", size=side, crop=None)

    def of_array(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 (H, W, 3) -> normalised float32 (3, H', W')."""
        height, width = self._resized(image.shape[0], image.shape[1])
        resized = _resize(image, height, width, self.interpolation, self.bytes)
        if self.crop is not None:
            top, left, (above, below, before, after) = self._placed(height, width)
            if above or below or before or after:
                margins = ((above, below), (before, after))
                resized = np.stack(
                    [
                        np.pad(resized[..., c], margins, constant_values=resized.dtype.type(self.fill[c]))
                        for c in range(3)
                    ],
                    axis=-1,
                )
            resized = resized[top : top + self.crop[0], left : left + self.crop[1]]
        scaled = resized.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        mean, std = (np.asarray(each, np.float32)[:, None, None] for each in (self.mean, self.std))
        return np.ascontiguousarray((scaled - mean) / std)

    def of_tensor(self, images: Tensor) -> Tensor:
        """Float (B, 3, H, W) in [0, 1] -> normalised (B, 3, H', W'), differentiable.

        Raises:
            UsageError: another shape or type, or a kernel that has no differentiable form here (lanczos).
        """
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise UsageError(
                "images must be floating-point (B, 3, H, W) with values in [0, 1], "
                f"not {images.dtype} {tuple(images.shape)}"
            )
        height, width = self._resized(images.shape[2], images.shape[3])
        if images.shape[2:] != (height, width):
            if self.interpolation == "lanczos":
                raise UsageError(
                    "this extractor resizes with a Lanczos kernel, which has no differentiable form"
                )
            images = torch.nn.functional.interpolate(
                images, size=(height, width), mode=self.interpolation, antialias=True
            ).clamp(0.0, 1.0)
        mean, std, fill = (
            images.new_tensor(each)[:, None, None]
            for each in (self.mean, self.std, [byte / 255 for byte in self.fill])
        )
        if self.crop is not None:
            top, left, (above, below, before, after) = self._placed(height, width)
            if above or below or before or after:
                images = torch.nn.functional.pad(images - fill, (before, after, above, below)) + fill
            images = images[:, :, top : top + self.crop[0], left : left + self.crop[1]]
        return (images - mean) / std

    def _resized(self, height: int, width: int) -> Size:
        """What an image of this size is resized to."""
        to_height, to_width = self.size
        if self.resize == "none":
            return height, width
        if self.resize == "squash":
            return to_height, to_width
        if self.resize == "shortest" and to_height == to_width:
            # whole-number division, as in the packages this stands for: a rounded long side would be another image
            if height <= width:
                return to_height, to_height * width // height
            return to_height * height // width, to_height
        choose = min if self.resize == "shortest" else max
        ratio = choose(height / to_height, width / to_width)
        return max(1, round(height / ratio)), max(1, round(width / ratio))

    def _placed(self, height: int, width: int) -> tuple[int, int, tuple[int, int, int, int]]:
        """(top, left) of the crop after padding by (above, below, before, after)."""
        assert self.crop is not None
        margins, starts = [], []
        for have, want in ((height, self.crop[0]), (width, self.crop[1])):
            missing = max(0, want - have)
            margins += [missing // 2, (missing + 1) // 2]
            spare = max(0, have - want)
            starts.append(round(spare / 2) if self.offset == "even" else spare // 2)
        return starts[0], starts[1], (margins[0], margins[1], margins[2], margins[3])


def _resize(
    image: NDArray[np.uint8], height: int, width: int, interpolation: Interpolation, to_bytes: bool
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """(H, W, 3) -> (height, width, 3): bytes, or floats clipped to 0-255."""
    if image.shape[:2] == (height, width):
        return image
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("pillow", "images", "resizing images") from error
    kernel = Image.Resampling[interpolation.upper()]
    if to_bytes:
        return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((width, height), kernel))
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(image[..., c], dtype=np.float32)).resize(
                (width, height), kernel
            )
        )
        for c in range(image.shape[2])
    ]
    return np.stack(channels, axis=-1).clip(0, 255)
