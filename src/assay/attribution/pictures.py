"""A signed map as a picture over its image."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingExtra, UsageError

SIDE = 256  # pixels of a picture's longer side, at most
# told apart by every kind of colour vision, and by lightness from the grey image under them
WORSE, BETTER = (230, 97, 1), (44, 92, 206)
STRONGEST = 0.8  # opacity of the largest value
FAINT = 0.55  # how much of what the network does not see gives way to white

Box = tuple[int, int, int, int]


def overlay_png(
    pixels: NDArray[np.uint8],
    values: NDArray[Any],
    *,
    limit: float | None = None,
    box: Box | None = None,
) -> bytes:
    """The image in grey with the map over it: orange above zero, blue below, the opacity the size; as a PNG file.

    Args:
        pixels: uint8 (H, W, 3).
        values: (h, w) finite numbers, spread bilinearly over the box.
        limit: the size that is drawn strongest; by default the largest of the map.
        box: (top, left, height, width) of the image that the map lies over; what is outside it is drawn faint. All of
            the image by default.

    Returns:
        A PNG of at most 256 pixels a side, in proportion, never enlarged beyond that.

    Raises:
        UsageError: wrong shapes or types, values that are not finite, a limit that is not above zero, a box beyond the
            image.
        MissingExtra: without Pillow.
    """
    image_module = _pillow()
    values = np.asarray(values, dtype=np.float64)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or pixels.size == 0:
        raise UsageError(f"pixels: expected uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise UsageError(f"values: expected finite numbers (h, w), got shape {values.shape}")
    if limit is not None and not 0 < limit < float("inf"):
        raise UsageError(f"limit: expected a number above zero, got {limit}")
    height, width = pixels.shape[:2]
    top, left, tall, wide = (0, 0, height, width) if box is None else box
    if min(top, left) < 0 or min(tall, wide) < 1 or top + tall > height or left + wide > width:
        raise UsageError(f"box: expected (top, left, height, width) within {height} x {width}, got {box}")
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = image_module.fromarray(pixels).convert("L").resize(size, image_module.Resampling.BICUBIC)
    canvas = np.repeat(np.asarray(image, dtype=np.float64)[:, :, None], 3, axis=2)
    x, y = round(left * scale), round(top * scale)
    part = (max(1, min(round(wide * scale), size[0] - x)), max(1, min(round(tall * scale), size[1] - y)))
    inside = (slice(y, y + part[1]), slice(x, x + part[0]))
    largest = float(np.abs(values).max()) if limit is None else limit
    shares = np.clip(values / (largest or 1.0), -1, 1).astype(np.float32)
    spread = np.asarray(image_module.fromarray(shares).resize(part, image_module.Resampling.BILINEAR))
    painted = _painted(canvas[inside], spread.astype(np.float64))
    canvas = FAINT * 255 + (1 - FAINT) * canvas
    canvas[inside] = painted
    return _png(canvas)


def legend_png(width: int = 240, height: int = 12) -> bytes:
    """The colours from the largest value below zero, at the left, to the largest above, at the right; as a PNG file.

    Raises:
        UsageError: a width or height below 1.
        MissingExtra: without Pillow.
    """
    if width < 1 or height < 1:
        raise UsageError(f"width, height: expected at least 1, got {width} and {height}")
    shares = np.tile(np.linspace(-1, 1, width), (height, 1))
    return _png(_painted(np.full((height, width, 3), 160.0), shares))


def _painted(grey: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The grey (H, W, 3) under the colour of each share (H, W) in [-1, 1]."""
    colour = np.where(shares[:, :, None] > 0, np.array(WORSE), np.array(BETTER))
    opacity = STRONGEST * np.abs(shares)[:, :, None]
    painted: NDArray[np.float64] = (1 - opacity) * grey + opacity * colour
    return painted


def _png(canvas: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    rounded = np.rint(np.clip(canvas, 0, 255)).astype(np.uint8)
    # 8 bits a pixel: neither the grey nor two colours need more, and a report holds many
    image = _pillow().fromarray(rounded).quantize(128)
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("pillow", "images", "drawing maps") from error
    return Image
