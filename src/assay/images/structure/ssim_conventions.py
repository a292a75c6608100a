"""Which window, which variances, which border: the ways in which packages' SSIM values differ, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional

from ...errors import UsageError
from ...scale.separable import gaussian_taps, uniform_taps

SsimConvention = Literal["wang2004", "torchmetrics", "piq", "skimage"]
MsSsimConvention = Literal["wang2003", "tensorflow", "pytorch-msssim", "torchmetrics", "piq"]


@dataclass(frozen=True)
class Window:
    """How local statistics are taken.

    Attributes:
        taps: of the separable window, of sum 1.
        mirrored: whether the image is mirrored at its border, so that every pixel has a window; else only windows that
            fit count.
        sample_covariance: whether variances have one less than the number of pixels of the window in the denominator.
        shrunk: whether large images are shrunk first, by the whole number nearest to the short side over 256.
    """

    taps: tuple[float, ...]
    mirrored: bool = False
    sample_covariance: bool = False
    shrunk: bool = False

    @property
    def edge(self) -> int:
        """How far the window reaches beyond its middle."""
        return len(self.taps) // 2

    @property
    def covariance_scale(self) -> float:
        """What makes moments about the mean the convention's variances."""
        pixels = len(self.taps) ** 2
        return pixels / (pixels - 1) if self.sample_covariance else 1.0


WINDOWS: Mapping[SsimConvention, Window] = MappingProxyType(
    {
        "wang2004": Window(gaussian_taps(11, 1.5)),
        "torchmetrics": Window(gaussian_taps(11, 1.5), mirrored=True),
        "piq": Window(gaussian_taps(11, 1.5), shrunk=True),
        "skimage": Window(uniform_taps(7), sample_covariance=True),
    }
)


@dataclass(frozen=True)
class Scales:
    """How scales are made and put together.

    Attributes:
        together: whether means go over channels, too, before the product over scales; else a product each channel.
        mirrored_last: whether the coarsest scale counts every pixel, the image mirrored at its border.
        odd: what becomes of an odd side when 2 x 2 pixels are averaged: the last row or column is left out ("cut"),
            repeated ("last"), averaged with zeros beyond both ends ("zeros"), or the first row and column are repeated,
            where either side is odd ("first").
    """

    together: bool = False
    mirrored_last: bool = False
    odd: Literal["cut", "last", "zeros", "first"] = "cut"

    def halved(self, images: Tensor) -> Tensor:
        """Averages of 2 x 2 pixels."""
        odd = [side % 2 for side in images.shape[-2:]]
        if self.odd == "first" and any(odd):
            images = functional.pad(images, (1, 0, 1, 0), mode="replicate")
        if self.odd == "last" and any(odd):
            images = functional.pad(images, (0, odd[1], 0, odd[0]), mode="replicate")
        return functional.avg_pool2d(images, 2, padding=odd if self.odd == "zeros" else 0)

    def sides(self, height: int, width: int) -> tuple[int, int]:
        """Of the next scale."""
        if self.odd == "cut":
            return height // 2, width // 2
        if self.odd in ("zeros", "last"):
            return (height + height % 2) // 2, (width + width % 2) // 2
        extra = max(height % 2, width % 2)
        return (height + extra) // 2, (width + extra) // 2


SCALES: Mapping[MsSsimConvention, Scales] = MappingProxyType(
    {
        "wang2003": Scales(),
        "tensorflow": Scales(odd="last"),
        "pytorch-msssim": Scales(odd="zeros"),
        "torchmetrics": Scales(together=True, mirrored_last=True),
        "piq": Scales(odd="first"),
    }
)


def window_of(convention: SsimConvention, height: int, width: int) -> Window:
    """The window of a convention; refused where an image has no room for it.

    Raises:
        UsageError: an unknown convention, or images smaller than the window.
    """
    refuse_unknown_convention(convention, WINDOWS)
    window = WINDOWS[convention]
    size = len(window.taps)
    need = size // 2 + 1 if window.mirrored else size
    if min(height, width) < need:
        raise UsageError(
            f"x: images of {height} x {width} have no room for the window of {size} x {size}; enlarge them to at "
            f"least {need} pixels a side, or use psnr"
        )
    return window


def refuse_unknown_convention(convention: str, known: Mapping[Any, Any]) -> None:
    """Refuse a convention that is not in the table."""
    if not isinstance(convention, str) or convention not in known:
        raise UsageError(f"convention: expected one of {', '.join(map(repr, known))}, got {convention!r}")


def as_compared(images: Tensor, window: Window) -> Tensor:
    """The images at the size at which they are compared."""
    factor = max(1, round(min(images.shape[-2:]) / 256)) if window.shrunk else 1
    return functional.avg_pool2d(images, factor) if factor > 1 else images
