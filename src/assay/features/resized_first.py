"""How are sets of different sizes compared? Every image is brought to one size before anything else is done."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from assay.errors import UsageError
from assay.features.extractor import Extractor, Outputs
from assay.features.resize import resize_array, resize_tensor

REVISION = 1
LARGEST = 4096


def resized_first(extractor: Extractor, size: int) -> Extractor:
    """`extractor` of images that were first made `size` x `size`: bicubic, antialiased, on floats, then rounded once
    to bytes, as an image file of that size would hold them.

    An image that has the size already is left as it is. The size is in the name (`efficientnet-lite0@64`) and in the
    fingerprint. The form with a gradient does not round.

    Raises `UsageError` for a size that is not a whole number from 1 to 4096.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST:
        raise UsageError(f"size must be a whole number from 1 to {LARGEST}, not {size!r}")

    def transform(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        if image.shape[:2] != (size, size):
            resized = np.rint(np.clip(resize_array(image, size), 0, 255)).astype(np.uint8)
            image = np.ascontiguousarray(resized.transpose(1, 2, 0))
        return extractor.transform(image)

    identity = f"{extractor.fingerprint}|first {size}|{REVISION}"
    return replace(
        extractor,
        name=f"{extractor.name}@{size}",
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
        transform=transform,
        torch_module=lambda: _Resized(extractor.torch_module(), size),
    )


class _Resized(nn.Module):
    def __init__(self, module: nn.Module, size: int) -> None:
        super().__init__()
        self.module = module
        self.size = size

    def outputs(self, images: Tensor) -> Outputs:
        """What the module gives for the resized images."""
        found: Outputs = self.module.outputs(self._first(images))  # type: ignore[operator]
        return found

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.module(self._first(images))
        return features

    def _first(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or not images.is_floating_point():
            raise UsageError(
                "images must be floating-point (B, 3, H, W) with values in [0, 1], "
                f"not {images.dtype} {tuple(images.shape)}"
            )
        return resize_tensor(images, self.size).clamp(0, 1)
