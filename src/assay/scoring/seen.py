"""What part of an image is measured? The conditions that printed numbers depend on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError, UsageError

# ITU-R BT.601 in studio swing, on RGB in [0, 1]: black is 16 and white 235 of 255
LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
BLACK = 16 / 255


@dataclass(frozen=True)
class Seen:
    """What of every image is measured.

    Attributes:
        crop_border: pixels left out at each side.
        luma: whether only Y of Y'CbCr by ITU-R BT.601 in studio swing is measured, as MATLAB's rgb2ycbcr has it, not
            rounded: Y = (65.481 R + 128.553 G + 24.966 B + 16) / 255 for R, G, B in [0, 1].
    """

    crop_border: int = 0
    luma: bool = False

    def __post_init__(self) -> None:
        if (
            isinstance(self.crop_border, bool)
            or not isinstance(self.crop_border, int)
            or self.crop_border < 0
        ):
            raise UsageError(f"crop_border: expected a whole number of at least 0, got {self.crop_border!r}")

    def of(self, unit: NDArray[np.float32], name: str) -> Tensor:
        """(C, H, W) in [0, 1] -> what is measured of it.

        Raises:
            DataError: nothing is left inside the border; luma of an image without three channels.
        """
        b = self.crop_border
        channels, height, width = unit.shape
        if 2 * b >= min(height, width):
            raise DataError(
                f"{name} is {height} x {width} pixels: a border of {b} on each side leaves nothing to measure"
            )
        inner = torch.from_numpy(unit[:, b : height - b, b : width - b])
        if not self.luma:
            return inner
        if channels == 1:
            inner = inner.expand(3, -1, -1)
        elif channels != 3:
            raise DataError(f"{name} has {channels} channels: luma is of red, green and blue")
        weights = torch.tensor(LUMA, dtype=inner.dtype)[:, None, None]
        return (inner * weights).sum(0, keepdim=True) + BLACK

    def __str__(self) -> str:
        parts = []
        if self.luma:
            parts.append("luma alone (Y of BT.601, studio swing, as MATLAB's rgb2ycbcr)")
        if self.crop_border:
            unit = "pixel" if self.crop_border == 1 else "pixels"
            parts.append(f"{self.crop_border} {unit} left out at each border")
        return "; ".join(parts) or "all channels of the whole images"

    @property
    def short(self) -> str:
        """In few words, for lists."""
        border = [f"border {self.crop_border}"] if self.crop_border else []
        return ", ".join(["pairs", *(["luma"] if self.luma else []), *border])
