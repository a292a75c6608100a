"""The image itself as features: the plainest extractor, for small images and for checks."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from assay.errors import UsageError
from assay.features.extractor import Crop, Extractor, Outputs
from assay.features.resize import center_crop_box, resize_array, resize_tensor

REVISION = 1


class _Pixels(nn.Module):
    def __init__(self, size: int | None, crop: Crop) -> None:
        super().__init__()
        self.size = size
        self.crop = crop

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise UsageError(
                "images must be floating-point (B, 3, H, W) with values in [0, 1], "
                f"not {images.dtype} {tuple(images.shape)}"
            )
        if self.crop == "center":
            top, left, side = center_crop_box(images.shape[2], images.shape[3], 1.0)
            images = images[:, :, top : top + side, left : left + side]
        return (images if self.size is None else resize_tensor(images, self.size)).flatten(1)


def pixels(argument: str | None, *, device: torch.device, crop: Crop | None = None) -> Extractor:
    """`pixels` or `pixels:SIZE`: the RGB values divided by 255, channel by channel, as 3 * H * W features.

    Without SIZE the images must all have one size (the pass raises `DataError` otherwise). With it they are
    resized to SIZE x SIZE, bicubic and antialiased, whole (crop="none", the default) or the central square
    (crop="center").

    Raises `UsageError` for a SIZE that is not a whole number from 1 to 1024.
    """
    size = _size(argument)
    crop = "none" if crop is None else crop

    def transform(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        if crop == "center":
            top, left, side = center_crop_box(image.shape[0], image.shape[1], 1.0)
            image = image[top : top + side, left : left + side]
        if size is not None:
            return resize_array(image, size) / np.float32(255)
        return np.ascontiguousarray(image.transpose(2, 0, 1).astype(np.float32) / np.float32(255))

    def forward(batch: Tensor) -> Outputs:
        return Outputs(batch.detach().flatten(1).float().cpu(), None)

    def torch_module() -> nn.Module:
        return _Pixels(size, crop).to(device)

    return Extractor(
        name="pixels" if size is None else f"pixels:{size}",
        dim=None if size is None else 3 * size * size,
        license="none needed",
        fingerprint=hashlib.sha256(f"pixels|{size}|{crop}|{REVISION}".encode()).hexdigest(),
        transform=transform,
        forward=forward,
        torch_module=torch_module,
    )


def _size(argument: str | None) -> int | None:
    if argument is None:
        return None
    if not (argument.isascii() and argument.isdigit() and 1 <= int(argument) <= 1024):
        raise UsageError(
            f"pixels:SIZE wants a whole number from 1 to 1024, not {argument!r}: for example pixels:32"
        )
    return int(argument)
