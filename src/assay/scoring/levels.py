"""An image's own integers: how many levels has it, and what are they between 0 and 1?

A difference of one level is the smallest there is, and PSNR is made of it: a 16-bit grey image keeps its 65,536 levels
here, where a network would see 256. What else is read how says `assay.data.decode`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.decode import PARSERS, SIXTEEN_BIT, Raw, pixels_of

PNG = b"\x89PNG\r\n\x1a\n"
DEPTH_AT = 24  # of a PNG's header: bits a channel
BITS_PER_SAMPLE = 258  # a TIFF's tag
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF


@dataclass(frozen=True)
class Levels:
    """One image as it is stored.

    Attributes:
        pixels: (H, W, C) uint8, uint16, or float32 that is between 0 and 1 already.
        grey: whether all channels are equal everywhere.
        cut: whether it has 16 bits a channel of which only the high eight could be read.
    """

    pixels: NDArray[Any]
    grey: bool
    cut: bool = False

    def unit(self) -> NDArray[np.float32]:
        """(C, H, W) float32 between 0 and 1: the level over the largest that there is."""
        first = self.pixels.transpose(2, 0, 1)
        if first.dtype == np.float32:
            return first
        return np.asarray(np.divide(first, np.iinfo(first.dtype).max, dtype=np.float32, order="C"))


def levels_of(raw: Raw, name: str) -> Levels:
    """An image as it is stored -> its levels in three channels.

    Raises:
        UnreadableImage: as `assay.data.decode.decode_image` does.
    """
    pixels = pixels_of(raw, name)
    deep = _sixteen_bit_grey(raw) if isinstance(raw, bytes) and _may_be_deep(raw) else None
    if deep is not None and deep.shape == pixels.shape[:2]:
        return Levels(np.repeat(deep[:, :, None], 3, axis=2), True)
    return Levels(
        pixels, is_grey(pixels), isinstance(raw, bytes) and _may_be_deep(raw) and _sixteen_bits(raw)
    )


def is_grey(pixels: NDArray[Any]) -> bool:
    """Whether all channels of (H, W, C) are equal; a few rows tell almost every colour image."""
    if pixels.shape[2] == 1:
        return True
    return all(
        bool((part[..., :1] == part[..., 1:]).all()) for part in (pixels[:: max(1, len(pixels) // 8)], pixels)
    )


def _may_be_deep(raw: bytes) -> bool:
    return (raw.startswith(PNG) and raw[DEPTH_AT : DEPTH_AT + 1] == b"\x10") or raw.startswith(TIFF)


def _sixteen_bits(raw: bytes) -> bool:
    """Whether a channel of a PNG, or of a TIFF, has 16 bits."""
    if raw.startswith(PNG):
        return raw[DEPTH_AT : DEPTH_AT + 1] == b"\x10"
    from PIL import Image

    with Image.open(io.BytesIO(raw), formats=("TIFF",)) as image:
        tags: Any = getattr(image, "tag_v2", {})
        return 16 in tags.get(BITS_PER_SAMPLE, ())


def _sixteen_bit_grey(raw: bytes) -> NDArray[np.uint16] | None:
    """(H, W) levels, upright; None where the file is something else or has a transparent level."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(raw), formats=PARSERS) as image:
        deep = image.mode in SIXTEEN_BIT or (image.mode == "I" and image.format == "PNG")
        if not deep or "transparency" in image.info:
            return None
        return np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)
